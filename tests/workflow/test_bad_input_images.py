"""Bad images, one person each, in one cohort: all are named with the reason, word for word, and nothing is trained.

The same people go through the workflow three times: where bad images are left out, where they stop the run by what
their headers say, and where they stop it by what their data are.
"""

import gzip
import os
import pickle
import struct
import tracemalloc
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from voxplain.base.errors import InputError
from voxplain.imaging.grid import COMMON, mni_brain
from voxplain.imaging.reading import read_volume

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
    "not in "
    "mni space"
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


@pytest.fixture(scope="module")
def study(tmp_path_factory, workflow):
    """Everybody's files, and a table with a byte-order mark and Windows line ends; its config leaves bad images out."""
    folder = tmp_path_factory.mktemp("images")
    rows = []
    for person, (name, content, *_) in {**HEADERS, **DATA, **GOOD}.items():
        write(folder / person / name, content())
        rows.append([person, f"{person}/{name}", "n/a"])
    for person, (content, _) in MASKS.items():
        write(folder / person / "f.nii.gz", WHOLE)
        write(folder / person / "mask.nii.gz", content())
        rows.append([person, f"{person}/f.nii.gz", f"{person}/mask.nii.gz"])
    (folder / "aFolder").mkdir()
    (folder / "aLink.nii.gz").symlink_to(folder / "nowhere.nii.gz")
    rows += [[name.split(".")[0], name, "n/a"] for name in ("aFolder", "aLink.nii.gz", "nobody.nii.gz")]
    table = pd.DataFrame(rows, columns=["participant_id", "t1", "brain"])
    table["sex"] = ["F", "M"] * (len(rows) // 2) + ["F"] * (len(rows) % 2)
    text = table.to_csv(sep=",", index=False).replace("\n", "\r\n")
    (folder / "people.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    columns = {"image_column": "t1", "mask_column": "brain"}
    config = {
        "name": "bad",
        "device": "cpu",
        "torch_threads": 1,
        "cohort": {
            "source": "table",
            "target": "sex",
            "labels": ["F", "M"],
            "min_found": 0.5,
            "table": {"file": str(folder / "people.csv"), **columns},
        },
        "images": {"on_bad_image": "exclude", "subjects_per_job": 100},
        "folds": {"count": 2},
        "model": {"arguments": {"channels": 1}},
        "training": {"epochs": 1},
    }
    return workflow(folder, config)


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


def failing(study, *without: str) -> tuple[Path, str]:
    """Run up to the networks where bad images stop the run; return its folder and words, nothing having begun."""
    config = {**study.config, "name": "fail", "images": {"subjects_per_job": 100}}
    if without:
        table = pd.read_csv(study.folder / "people.csv", dtype=str, keep_default_na=False)
        table[~table["participant_id"].isin(without)].to_csv(study.folder / "fewer.csv", index=False)
        own = {**config["cohort"]["table"], "file": str(study.folder / "fewer.csv")}
        config |= {"name": "fewer", "cohort": {**config["cohort"], "table": own}}
    ended = study.run("models", config=config, check=False)
    assert ended.returncode == 1
    results = study.folder / "results" / config["name"]
    assert not (results / "models").exists()
    assert not (results / "images" / "stack.npy").exists()
    return results, ended.stdout


def said(log: Path) -> str:
    return log.read_text().strip()


def refusal(headline: str, offenders: list[str], advice: str) -> str:
    more = [f"... and {len(offenders) - 20} more ({len(offenders)} in all)"] if len(offenders) > 20 else []
    return "\n".join([headline, *(f"  - {line}" for line in [*offenders[:20], *more]), advice])


def problems() -> dict[str, str]:
    """What the table of excluded people says about each."""
    named = {person: f"{name}: {problem}" for person, (name, _, problem) in {**HEADERS, **DATA}.items()}
    named |= {person: DATA[person][2] for person in ("outside", "head", "binary", *PLACES)}
    return named | {person: f"mask.nii.gz: {problem}" for person, (_, problem) in MASKS.items()}


def test_bad_images_are_left_out_and_listed_with_the_reason(study):
    study.run("results/bad/images/index.tsv", "results/bad/private/missing.tsv")
    excluded = pd.read_csv(study.results / "images" / "excluded.tsv", sep="\t", dtype=str)
    assert dict(zip(excluded["participant_id"], excluded["problem"], strict=True)) == problems()
    index = pd.read_csv(study.results / "images" / "index.tsv", sep="\t", dtype=str)
    assert list(index["participant_id"]) == sorted(GOOD)
    missing = pd.read_csv(study.results / "private" / "missing.tsv", sep="\t", dtype=str)
    assert dict(zip(missing["participant_id"], missing["reason"], strict=True)) == {
        "aFolder": "the image aFolder is a folder",
        "aLink": "the image aLink.nii.gz is a link whose file is not there (git-annex or DataLad: get it first)",
        "nobody": "no image nobody.nii.gz",
    }


def test_bad_headers_stop_the_run_before_data_are_read(study):
    results, words = failing(study)
    bad = [f"{study.folder / person / HEADERS[person][0]}: {HEADERS[person][2]}" for person in sorted(HEADERS)]
    expected = refusal(
        f"{len(bad)} images cannot be read; every one must be a whole 3D volume (.nii or .nii.gz)",
        bad,
        "Fetch or convert these files again, take these people out of the table, or set images.on_bad_image: "
        "exclude to go on without them.",
    )
    assert f"\n{expected}\n" in words
    assert not results.exists()


def test_bad_data_stop_the_run_before_anything_is_trained(study):
    results, _ = failing(study, *HEADERS)
    bad = [f"{person}: {problem}" for person, problem in sorted(problems().items()) if person not in HEADERS]
    assert said(results / "logs" / "stack_images.log") == refusal(
        f"{len(bad)} of {len(bad) + len(GOOD)} images cannot be used",
        bad,
        "Mend them, or set images.on_bad_image: exclude to go on without these people.",
    )


@pytest.mark.parametrize(
    "case", [*HEADERS, *(case for case in DATA if case not in ("outside", "head", "binary", *PLACES))]
)
def test_the_message_of_each(tmp_path, case):
    name, content, problem = {**HEADERS, **DATA}[case]
    (tmp_path / name).write_bytes(content())
    with pytest.raises(InputError) as refused:
        read_volume(tmp_path / name)
    assert str(refused.value) == f"{tmp_path / name}: {problem}"


@pytest.mark.parametrize("case", GOOD)
def test_what_looks_bad_is_read_as_nibabel_reads_it(tmp_path, case):
    name, content = GOOD[case]
    (tmp_path / name).write_bytes(content())
    volume, expected = read_volume(tmp_path / name), nib.load(tmp_path / name)
    np.testing.assert_array_equal(volume.data, np.squeeze(expected.get_fdata(dtype=np.float32)))
    np.testing.assert_allclose(volume.affine, expected.affine, atol=1e-5)
    assert nib.aff2axcodes(volume.affine) == (("R" if case == "06qfac" else "L"), "A", "S")


@pytest.mark.parametrize("seed", range(20))
def test_compressed_data_that_end_anywhere(tmp_path, seed):
    """The header may be cut too, and the checksum; only one of three sentences is said."""
    path = tmp_path / "f.nii.gz"
    path.write_bytes(WHOLE[: int(np.random.default_rng([7, seed]).integers(1, len(WHOLE)))])
    with pytest.raises(InputError) as refused:
        read_volume(path)
    header = f"is truncated: the header is incomplete. {COPY}"
    assert str(refused.value) in {f"{path}: {problem}" for problem in (ENDS, header)}


def test_a_huge_shape_takes_no_memory(tmp_path):
    """Three million times the memory of this machine are announced; not a thousandth of a volume is asked for."""
    path = tmp_path / "f.nii"
    path.write_bytes(HEADERS["huge"][1]())
    tracemalloc.start()
    with pytest.raises(InputError):
        read_volume(path)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "f.nii.gz")
    with pytest.raises(InputError) as refused:
        read_volume(tmp_path / "f.nii.gz")
    assert str(refused.value) == f"{tmp_path / 'f.nii.gz'}: is a pipe or a device; expected a file"


def test_a_pickle_in_the_place_of_a_network(study):
    """Of the people with good images; the file, which would write another when it was loaded, is not loaded."""
    ran, path = study.folder / "ran", study.folder / "w.safetensors"

    class Trap:
        def __reduce__(self):
            return Path.write_text, (ran, "ran")

    path.write_bytes(pickle.dumps(Trap()))
    config = {**study.config, "interpret": {"weights": str(path)}}
    ended = study.run("results/bad/models/fold-external/weights.safetensors", config=config, check=False)
    assert ended.returncode == 1
    assert said(study.results / "logs" / "import_network.log") == (
        f"{path}: not a whole safetensors file (Error while deserializing header: header too large).\n"
        "A .pt or .pth file is converted once, where it is trusted:\n"
        "  import torch; from safetensors.torch import save_file\n"
        "  state = torch.load('weights.pt', map_location='cpu', weights_only=True)\n"
        "  save_file({k: v.contiguous() for k, v in state.items()}, 'weights.safetensors')"
    )
    assert not ran.exists()
    assert not list(study.results.glob("models/*/weights.safetensors"))
    pickle.loads(pickle.dumps(Trap()))
    assert ran.read_text() == "ran"
