"""What is read, and what is refused."""

import gzip
import struct

import nibabel as nib
import numpy as np
import pytest

from voxplain.base.errors import InputError
from voxplain.imaging import reading
from voxplain.imaging.reading import Memory, Volume, check_headers, read_volume

SHAPE = (12, 10, 9)
AFFINE = np.array([[-2.0, 0, 0, 10], [0, 2.5, 0, -8], [0, 0, 3.0, -12], [0, 0, 0, 1]])


@pytest.fixture
def numbers():
    return np.random.default_rng(0).integers(0, 900, SHAPE).astype(np.int16)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("stored", ["uint8", "int16", ">i2", "int32", "float32", ">f4", "float64"])
def test_values_and_place_are_nibabels(save, numbers, name, kind, stored):
    data = (numbers % 250).astype(stored)
    path = save(name, data, AFFINE, kind=kind)
    volume = read_volume(path)
    assert volume.data.dtype == np.float32
    np.testing.assert_array_equal(volume.data, nib.load(path).get_fdata(dtype=np.float32))
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-6)


def test_a_header_of_the_other_byte_order(tmp_path, numbers):
    header = nib.Nifti1Header(endianness=">")
    image = nib.Nifti1Image(numbers.astype(">i2"), AFFINE, header)
    path = tmp_path / "big.nii.gz"
    nib.save(image, path)
    assert gzip.decompress(path.read_bytes())[:4] == struct.pack(">i", 348)
    np.testing.assert_array_equal(read_volume(path).data, numbers)


def test_scaling_is_applied(save, numbers):
    path = save("a.nii.gz", numbers, AFFINE, slope=(0.5, -3))
    np.testing.assert_array_equal(nib.load(path).dataobj.get_unscaled(), numbers)
    np.testing.assert_allclose(read_volume(path).data, numbers * 0.5 - 3, rtol=1e-6)


def test_a_trailing_axis_of_one_is_dropped(save, numbers):
    np.testing.assert_array_equal(read_volume(save("a.nii.gz", numbers[..., None])).data, numbers)


@pytest.mark.parametrize("piece", [1, 7, 100, 1079, 1080, 5000])  # the volume has 1080 values
@pytest.mark.parametrize("stored", ["uint8", ">i2", "float32", "float64"])
def test_values_do_not_depend_on_the_pieces_that_are_read(save, numbers, monkeypatch, piece, stored):
    path = save("a.nii.gz", (numbers % 250).astype(stored), AFFINE, slope=(-0.5, 3))
    expected = read_volume(path)
    monkeypatch.setattr(reading, "PIECE", piece)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.data, expected.data)
    assert volume.value_range() == expected.value_range()


def test_the_range_is_that_of_the_values(save, numbers):
    volume = read_volume(save("a.nii.gz", numbers, AFFINE, slope=(-2, 5)))
    assert volume.known_range == (volume.data.min(), volume.data.max()) == Volume(*volume[:2]).value_range()


def test_memory_is_used_for_one_volume_after_the_other(save, numbers):
    small = numbers[:, :, :8] + 1
    paths = [save(f"{i}.nii.gz", data) for i, data in enumerate([small, numbers, small])]
    memory = Memory()
    for path, data in zip(paths, [small, numbers, small], strict=True):
        volume = read_volume(path, memory)
        np.testing.assert_array_equal(volume.data, data)
        assert volume.data.flags.f_contiguous
    again = read_volume(paths[1], memory)
    assert np.shares_memory(volume.data, again.data)
    np.testing.assert_array_equal(again.data, numbers)


@pytest.mark.parametrize("name", ["a.mgz", "a.mgh"])
@pytest.mark.parametrize("stored", [np.uint8, np.int16, np.float32])
def test_freesurfer_volumes(tmp_path, numbers, name, stored):
    numbers %= 250
    nib.save(nib.MGHImage(numbers.astype(stored), AFFINE), tmp_path / name)
    volume = read_volume(tmp_path / name)
    np.testing.assert_array_equal(volume.data, numbers)
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-5)


def test_the_qform_is_used_when_there_is_no_sform(save, numbers):
    path = save("a.nii", numbers, AFFINE, sform=0, qform=1)
    np.testing.assert_allclose(read_volume(path).affine, AFFINE, atol=1e-5)


def test_the_sform_comes_before_a_nearby_qform(save, numbers):
    nearby = AFFINE.copy()
    nearby[0, 3] += 0.5
    image = nib.load(save("a.nii", numbers, AFFINE))
    image.set_qform(nearby, code=1)
    path = save("b.nii", numbers)
    nib.save(image, path)
    np.testing.assert_allclose(read_volume(path).affine, AFFINE, atol=1e-5)


def patched(path, offset, payload):
    """Overwrite bytes of a plain NIfTI file's header."""
    raw = bytearray(path.read_bytes())
    raw[offset : offset + len(payload)] = payload
    path.write_bytes(bytes(raw))
    return path


def shortened(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    return path


def replaced(path, content):
    path.write_bytes(content)
    return path


def forms_apart(path):
    image = nib.load(path)
    image = nib.Nifti1Image(np.asarray(image.dataobj), AFFINE)
    image.set_sform(AFFINE, code=2)
    # The same brain with left and right swapped.
    image.set_qform(AFFINE @ np.diag([-1, 1, 1, 1]), code=1)
    nib.save(image, path)
    return path


def freesurfer(folder, numbers):
    nib.save(nib.MGHImage(numbers, AFFINE), folder / "a.mgh")
    return folder / "a.mgh"


def with_value(numbers, value):
    data = numbers.astype(np.float32)
    data[3, 4, 5] = value
    return data


RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
BAD_HEADERS = {
    "missing": (lambda s, n, t: t / "nobody.nii.gz", "does not exist"),
    "dangling link": (lambda s, n, t: (t / "l.nii.gz").symlink_to(t / "no") or t / "l.nii.gz", "link to a file"),
    "folder": (lambda s, n, t: (t / "f.nii").mkdir() or t / "f.nii", "cannot be read"),
    "other format": (lambda s, n, t: replaced(t / "a.png", b"x" * 900), "no known format"),
    "no bytes": (lambda s, n, t: replaced(t / "a.nii.gz", b""), "0 bytes"),
    "not gzipped": (lambda s, n, t: replaced(t / "a.nii.gz", b"x" * 900), "not gzipped"),
    "gzipped": (lambda s, n, t: s("a.nii.gz", n).rename(t / "b.nii"), "is gzipped"),
    "text": (lambda s, n, t: replaced(t / "a.nii", b"x" * 900), "not a NIfTI file"),
    "short header": (lambda s, n, t: shortened(s("a.nii", n), 300), "header is incomplete"),
    "short gzip header": (lambda s, n, t: shortened(s("a.nii.gz", n), 60), "header is incomplete"),
    "a pair's header": (lambda s, n, t: patched(s("a.nii", n), 344, b"ni1\0"), ".hdr/.img"),
    "4-D": (lambda s, n, t: s("a.nii.gz", np.stack([n, n], axis=-1)), "has 4 axes (12×10×9×2)"),
    "2-D": (lambda s, n, t: s("a.nii.gz", n[..., 0]), "has 2 axes"),
    "RGB": (lambda s, n, t: s("a.nii.gz", np.zeros(SHAPE, RGB)), "RGB"),
    "complex": (lambda s, n, t: s("a.nii.gz", n.astype(np.complex64)), "complex"),
    "unknown type": (lambda s, n, t: patched(s("a.nii", n), 70, struct.pack("<h", 9999)), "damaged header"),
    "absurd shape": (lambda s, n, t: patched(s("a.nii", n), 42, struct.pack("<h", 32000)), "has the shape 32000×10×9"),
    "negative shape": (lambda s, n, t: patched(s("a.nii", n), 42, struct.pack("<h", -5)), "has the shape -5×10×9"),
    "too many voxels": (lambda s, n, t: patched(s("a.nii", n), 42, struct.pack("<3h", *[2000] * 3)), "2000×2000×2000"),
    "one slice": (lambda s, n, t: s("a.nii.gz", n[:, :, :1]), "has the shape 12×10×1"),
    "absurd axes": (lambda s, n, t: patched(s("a.nii", n), 40, struct.pack("<h", 99)), "99 axes"),
    "absurd offset": (lambda s, n, t: patched(s("a.nii", n), 108, struct.pack("<f", -1e9)), "data at byte"),
    "no place": (lambda s, n, t: s("a.nii.gz", n, AFFINE, sform=0, qform=0), "left and right are unknown"),
    "two places": (lambda s, n, t: forms_apart(s("a.nii.gz", n, AFFINE)), "sform and a qform"),
    "no axis": (lambda s, n, t: patched(s("a.nii", n, qform=0), 280, struct.pack("<12f", *[0] * 12)), "singular"),
    "one plane": (
        lambda s, n, t: patched(s("a.nii", n, qform=0), 280, struct.pack("<12f", 2, 2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0)),
        "singular",
    ),
    "not a place": (lambda s, n, t: patched(s("a.nii", n, qform=0), 280, struct.pack("<f", np.nan)), "singular"),
    "metres": (lambda s, n, t: s("a.nii.gz", n, np.diag([0.002, 0.002, 0.002, 1])), "0.002×0.002×0.002 mm"),
    "not FreeSurfer's": (lambda s, n, t: replaced(t / "a.mgh", b"x" * 900), "not a FreeSurfer volume"),
    "short FreeSurfer header": (lambda s, n, t: shortened(freesurfer(t, n), 100), "header is incomplete"),
    "FreeSurfer's without place": (lambda s, n, t: patched(freesurfer(t, n), 28, bytes(2)), "goodRASFlag"),
    "FreeSurfer's unknown type": (lambda s, n, t: patched(freesurfer(t, n), 20, bytes([0, 0, 0, 99])), "type 99"),
}
BAD_DATA = {
    "truncated gzip": (lambda s, n, t: shortened(s("a.nii.gz", n), 900), "is truncated"),
    "truncated": (lambda s, n, t: shortened(s("a.nii", n), 900), "is truncated"),
    "checksum": (lambda s, n, t: replaced(p := s("a.nii.gz", n), p.read_bytes()[:-8] + b"12345678"), "damaged"),
    "NaN": (lambda s, n, t: s("a.nii.gz", with_value(n, np.nan)), "NaN or infinite"),
    "infinite": (lambda s, n, t: s("a.nii.gz", with_value(n, -np.inf)), "NaN or infinite"),
    "beyond float32": (lambda s, n, t: s("a.nii.gz", with_value(n, 0).astype(float) * 1e300), "NaN or infinite"),
    "empty": (lambda s, n, t: s("a.nii.gz", np.zeros_like(n)), "is empty"),
    "constant": (lambda s, n, t: s("a.nii.gz", np.full_like(n, 7)), "all voxels are 7"),
    "two volumes": (lambda s, n, t: replaced(p := s("a.nii", n), p.read_bytes() + bytes(2**21)), "more data"),
}


@pytest.mark.parametrize("case", [*BAD_HEADERS, *BAD_DATA])
def test_bad_files_are_refused_by_name(save, numbers, tmp_path, case):
    make, message = {**BAD_HEADERS, **BAD_DATA}[case]
    path = make(save, numbers, tmp_path)
    with pytest.raises(InputError) as refusal:
        read_volume(path)
    assert message in str(refusal.value)
    assert str(refusal.value).startswith(f"{path}: ")


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_are_refused_in_whatever_piece_they_lie(save, numbers, tmp_path, monkeypatch, case):
    monkeypatch.setattr(reading, "PIECE", 50)
    test_bad_files_are_refused_by_name(save, numbers, tmp_path, case)


def named(refusal):
    """The offenders of a refusal."""
    return [line.removeprefix("  - ") for line in str(refusal.value).splitlines() if line.startswith("  - ")]


@pytest.mark.parametrize("case", BAD_HEADERS)
def test_headers_are_checked_without_data(save, numbers, tmp_path, case):
    make, message = BAD_HEADERS[case]
    path = make(save, numbers, tmp_path)
    with pytest.raises(InputError) as refusal:
        check_headers([path])
    (problem,) = named(refusal)
    assert message in problem
    assert problem.startswith(f"{path}: ")


def test_every_bad_header_is_named_and_no_good_one(save, numbers, tmp_path):
    good = save("good.nii.gz", numbers)
    bad = [tmp_path / "x.nii", save("y.nii.gz", np.stack([numbers] * 2, axis=-1))]
    with pytest.raises(InputError, match=r"^2 images cannot be read") as refusal:
        check_headers([bad[0], good, bad[1]])
    assert [problem.split(": ")[0] for problem in named(refusal)] == [str(path) for path in bad]
    check_headers([good])
