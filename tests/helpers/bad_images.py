"""Bad images and masks, and good ones that look bad: what is in the files, and what is said of them."""

import gzip
import struct
import zlib

import nibabel as nib
import numpy as np

from voxplain.imaging.grid import COMMON, mni_brain

AFFINE = COMMON.affine
SHAPE = COMMON.shape
TOO_LARGE = "expected 8 to 2048 voxels an axis, 134217728 at most"
COPY = "Copy the file again"
PAIRS = "is not a NIfTI file in one piece (.nii); Analyze and .hdr/.img pairs must be converted first"
MORE = "holds more data than its header announces: they are not of one volume. Convert it again"
ENDS = f"is truncated: the data end before what the header announces. {COPY}"
NOT_FINITE = "holds NaN or infinite values{}. Replace them, for example by 0 outside of the brain"
PLACED = (
    "overlaps the MNI brain with Dice {} only (expected 0.9 at least). Set images.align: affine for images that are "
    "not in mni space"
)
ALIGN = ". Set images.align: affine for images that are not in mni space"
# Whose problem is not in a file, but where their brains lie.
PLACES = ("tiny", "far", "turned")
MASK = (
    "the brain mask lies on another grid than its image (shape {} against (58, 70, 58), or another affine). Resample "
    "it to the image"
)


def brain_of(seed: int) -> np.ndarray:
    """A brain in MNI space, int16, with a texture of its own."""
    texture = np.random.default_rng(seed).integers(80, 120, SHAPE)
    return (mni_brain() * texture).astype(np.int16)


def nifti(
    data=None, affine=AFFINE, kind=nib.Nifti1Image, header=None, sform=1, qform=1, patches=(), qaffine=None
) -> bytes:
    """The bytes of a NIfTI file; `patches` overwrite some at (offset, content)."""
    image = kind(brain_of(1) if data is None else data, affine, header)
    image.set_sform(affine, code=sform)
    image.set_qform(affine if qaffine is None else qaffine, code=qform)
    raw = bytearray(image.to_bytes())
    for offset, content in patches:
        raw[offset : offset + len(content)] = content
    return bytes(raw)


def gz(raw: bytes) -> bytes:
    return gzip.compress(raw, 1, mtime=0)


def dims(*sizes: int, order: str = "<") -> list[tuple[int, bytes]]:
    return [(40, struct.pack(f"{order}{len(sizes) + 1}h", len(sizes), *sizes))]


def shorts(offset: int, *values: int):
    return [(offset, struct.pack(f"<{len(values)}h", *values))]


def floats(offset: int, *values: float):
    return [(offset, struct.pack(f"<{len(values)}f", *values))]


def with_value(value: float) -> np.ndarray:
    data = brain_of(1).astype(np.float32)
    data[30, 30, 30] = value
    return data


def cut(raw: bytes, seed: int) -> bytes:
    """Compressed bytes, truncated at a random place behind the header."""
    return raw[: int(np.random.default_rng(seed).integers(2000, len(raw) - 9))]


def moved(mm: tuple[float, float, float]) -> np.ndarray:
    affine = AFFINE.copy()
    affine[:3, 3] += mm
    return affine


RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
MIRRORED = AFFINE @ np.diag([-1, 1, 1, 1])
WHOLE = gz(nifti())
# What a header tells: name of the file, content, problem.
HEADERS = {
    "fourd": (
        "f.nii.gz",
        lambda: gz(nifti(np.stack([brain_of(1)] * 2, -1))),
        "has 4 axes (58×70×58×2); expected one 3D volume. Extract it first",
    ),
    "twod": (
        "f.nii.gz",
        lambda: gz(nifti(brain_of(1)[:, :, 30])),
        "has 2 axes (58×70); expected one 3D volume. Extract it first",
    ),
    "rgb": ("f.nii.gz", lambda: gz(nifti(np.zeros(SHAPE, RGB))), "holds RGB colours; expected one number a voxel"),
    "complex": (
        "f.nii",
        lambda: nifti(brain_of(1).astype(np.complex64)),
        "holds complex numbers; expected real ones (take the magnitude)",
    ),
    "longdouble": (
        "f.nii",
        lambda: nifti(patches=shorts(70, 1536, 128)),
        "holds values of a type that cannot be read; expected integers or floats of at most 64 bits",
    ),
    "text": ("f.nii", lambda: b"no image " * 100, PAIRS),
    "zippedtext": ("f.nii.gz", lambda: gz(b"no image " * 100), PAIRS),
    "unzipped": (
        "f.nii.gz",
        lambda: nifti(),
        "is not gzipped, though its name ends in .gz: damaged, or named wrongly?",
    ),
    "zipped": ("f.nii", lambda: WHOLE, "is gzipped. Rename it to .nii.gz (or .mgz)"),
    "pair": ("f.nii", lambda: nifti(patches=[(344, b"ni1\0")]), PAIRS),
    "analyze": ("f.nii", lambda: nib.AnalyzeHeader().binaryblock + bytes(900), PAIRS),
    "img": (
        "f.img",
        lambda: bytes(900),
        "is of no known format; expected a name that ends in .nii.gz, .nii, .mgz, .mgh",
    ),
    "nobytes": ("f.nii.gz", lambda: b"", "is an empty file (0 bytes)"),
    "shortheader": ("f.nii", lambda: nifti()[:300], f"is truncated: the header is incomplete. {COPY}"),
    "shortgzip": ("f.nii.gz", lambda: WHOLE[:60], f"is truncated: the header is incomplete. {COPY}"),
    "negative": ("f.nii", lambda: nifti(patches=dims(-58, 70, 58)), f"has the shape -58×70×58; {TOO_LARGE}"),
    "huge": (
        "f.nii",
        lambda: nifti(patches=dims(32767, 32767, 32767)),
        f"has the shape 32767×32767×32767; {TOO_LARGE}",
    ),
    "eightaxes": ("f.nii", lambda: nifti(patches=shorts(40, 8)), "has a damaged header (8 axes)"),
    "noplace": (
        "f.nii",
        lambda: nifti(sform=0, qform=0),
        "does not say where its voxels lie (sform and qform codes are 0), so left and right are unknown. Convert it "
        "again from the scanner's files, or set the sform if you know it",
    ),
    "twoplaces": (
        "f.nii",
        lambda: nifti(qaffine=MIRRORED),
        "has an sform and a qform that lie more than 1 mm apart; which one is right is unknown. Set the code of the "
        "wrong one to 0, or copy the right one over it",
    ),
    "singular": (
        "f.nii",
        lambda: nifti(qform=0, patches=floats(280, *[0] * 12)),
        "has a singular affine (an axis without length, or values that are not finite)",
    ),
    "plane": (
        "f.nii",
        lambda: nifti(qform=0, patches=floats(280, 3, 3, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0)),
        "has a singular affine (its axes lie in one plane)",
    ),
    "flat": (
        "f.nii",
        lambda: nifti(qform=0, patches=floats(280, 3, 0, 3, 0, 0, 3, 3, 0, 3, 3, 6, 0)),
        "has a singular affine (its axes lie in one plane)",
    ),
    "nanplace": (
        "f.nii",
        lambda: nifti(qform=0, patches=floats(280, np.nan)),
        "has a singular affine (an axis without length, or values that are not finite)",
    ),
    "metres": (
        "f.nii",
        lambda: nifti(affine=np.diag([0.003, 0.003, 0.003, 1])),
        "has voxels of 0.003×0.003×0.003 mm; expected 0.1 to 20 mm an edge",
    ),
    "quaternion": (
        "f.nii",
        lambda: nifti(sform=0, patches=floats(256, 3, 3, 3)),
        "has a damaged header (w2 should be positive, but is -2.600000e+01)",
    ),
    "slope": ("f.nii", lambda: nifti(patches=floats(112, np.inf)), "has a damaged header (scl_slope is infinite)"),
    "intercept": (
        "f.nii",
        lambda: nifti(patches=floats(112, 2, np.nan)),
        "has a damaged header (Valid slope but invalid intercept nan)",
    ),
    "offset": ("f.nii", lambda: nifti(patches=floats(108, -5)), "has a damaged header (data at byte -5)"),
    "type": ("f.nii", lambda: nifti(patches=shorts(70, 999)), "has a damaged header (999)"),
    "gzipheader": (
        "f.nii.gz",
        lambda: b"\x1f\x8b\x07" + WHOLE[3:],
        "is damaged (Unknown compression method). Copy it again",
    ),
    "noversion": ("f.mgh", lambda: bytes(900), "is not a FreeSurfer volume"),
    "norasflag": (
        "f.mgh",
        lambda: bytes([0, 0, 0, 1]) + bytes(900),
        "does not say where its voxels lie (goodRASFlag is 0), so left and right are unknown",
    ),
}
# What the data tell.
DATA = {
    "cut1": ("f.nii.gz", lambda: cut(WHOLE, 1), ENDS),
    "cut2": ("f.nii.gz", lambda: cut(WHOLE, 2), ENDS),
    "cut3": ("f.nii.gz", lambda: cut(WHOLE, 3), ENDS),
    "checksum": (
        "f.nii.gz",
        lambda: WHOLE[:-8] + bytes(4) + WHOLE[-4:],
        f"is damaged (CRC check failed 0 != {zlib.crc32(nifti())}). Copy it again",
    ),
    "plaincut": ("f.nii", lambda: nifti()[:-2], ENDS),
    "largerdim": ("f.nii", lambda: nifti(patches=dims(58, 71, 58)), ENDS),
    "smallerdim1": ("f.nii", lambda: nifti(patches=dims(57, 70, 58)), MORE),
    "smallerdim2": ("f.nii.gz", lambda: gz(nifti(patches=dims(58, 69, 58))), MORE),
    "smallerdim3": ("f.nii", lambda: nifti(patches=dims(58, 70, 57)), MORE),
    "othertype": ("f.nii", lambda: nifti(patches=shorts(70, 2, 8)), MORE),
    "notnumber": ("f.nii.gz", lambda: gz(nifti(with_value(np.nan))), NOT_FINITE.format("")),
    "infinite": ("f.nii.gz", lambda: gz(nifti(with_value(-np.inf))), NOT_FINITE.format("")),
    "overflow": (
        "f.nii",
        lambda: nifti(patches=floats(112, 3e38, 0)),
        NOT_FINITE.format(", scaled by 3e+38 and shifted by 0 as its header asks"),
    ),
    "zero": ("f.nii.gz", lambda: gz(nifti(np.zeros(SHAPE, np.int16))), "is empty: all voxels are 0"),
    "constant": ("f.nii.gz", lambda: gz(nifti(np.full(SHAPE, 7, np.int16))), "is constant: all voxels are 7"),
    "binary": (
        "f.nii.gz",
        lambda: gz(nifti(mni_brain().astype(np.uint8))),
        "all voxels of the brain are 1: a mask in the place of an image?",
    ),
    "tiny": ("f.nii.gz", lambda: gz(nifti(tiny())), PLACED.format("0.02")),
    "far": ("f.nii.gz", lambda: gz(nifti(affine=moved((0, 60, 0)))), PLACED.format("0.53")),
    "outside": (
        "f.nii.gz",
        lambda: gz(nifti(affine=moved((0, 0, 900)))),
        "no brain within the field of view of the common grid" + ALIGN,
    ),
    "turned": ("f.nii.gz", lambda: gz(nifti(np.ascontiguousarray(brain_of(1)[:, :, ::-1]))), PLACED.format("0.78")),
    "head": (
        "f.nii.gz",
        lambda: gz(nifti(brain_of(1) + np.int16(5))),
        "non-zero voxels fill 7211 ml, more than a brain (at most 2500 ml): give skull-stripped images or a column "
        "of brain masks; overlaps the MNI brain with Dice 0.41 only (expected 0.9 at least)",
    ),
}
# Masks of people whose image is good.
MASKS = {
    "maskshape": (
        lambda: gz(nifti(np.ones((58, 70, 57), np.uint8) * mni_brain()[:, :, 1:])),
        MASK.format("(58, 70, 57)"),
    ),
    "maskplace": (lambda: gz(nifti(mni_brain().astype(np.uint8), moved((1, 0, 0)))), MASK.format("(58, 70, 58)")),
    "maskempty": (lambda: gz(nifti(np.zeros(SHAPE, np.uint8))), "is empty: all voxels are 0"),
    "maskfull": (lambda: gz(nifti(np.ones(SHAPE, np.uint8))), "is constant: all voxels are 1"),
    "maskcut": (lambda: gz(nifti(mni_brain().astype(np.uint8)))[:-40], ENDS),
}
# What looks bad and is good: read as nibabel reads it.
GOOD = {
    "00plain": ("f.nii", lambda: nifti(brain_of(2))),
    "01zipped": ("f.nii.gz", lambda: gz(nifti(brain_of(3)))),
    "02trailingaxis": ("f.nii.gz", lambda: gz(nifti(brain_of(4)[..., None]))),
    "03bigendian": ("f.nii", lambda: nifti(brain_of(5).astype(">i2"), header=nib.Nifti1Header(endianness=">"))),
    "04noscale": ("f.nii", lambda: nifti(brain_of(6), patches=floats(112, 0, 3))),
    "05nanscale": ("f.nii", lambda: nifti(brain_of(7), patches=floats(112, np.nan, np.nan))),
    "06qfac": ("f.nii", lambda: nifti(brain_of(8)[::-1].copy(), AFFINE @ flip(), sform=0, patches=floats(76, 0))),
    "07nifti2": ("f.nii.gz", lambda: gz(nifti(brain_of(9), kind=nib.Nifti2Image))),
    "08double": ("f.nii.gz", lambda: gz(nifti(brain_of(10).astype(np.float64)))),
    "09freesurfer": ("f.mgh", lambda: nib.MGHImage(brain_of(11), AFFINE).to_bytes()),
    "10qformonly": ("f.nii", lambda: nifti(brain_of(12), sform=0)),
    "11padded": ("f.nii", lambda: nifti(brain_of(13)) + bytes(512)),
}


def tiny() -> np.ndarray:
    """A brain of a fifth of the size in its middle."""
    data = np.zeros(SHAPE, np.int16)
    small = brain_of(1)[::5, ::5, ::5]
    data[23 : 23 + small.shape[0], 28 : 28 + small.shape[1], 23 : 23 + small.shape[2]] = small
    return data


def flip() -> np.ndarray:
    """Index i to 57 - i along the first axis."""
    matrix = np.diag([-1.0, 1, 1, 1])
    matrix[0, 3] = SHAPE[0] - 1
    return matrix
