"""Headers of any content: what is taken is a 3D volume with a place in space, the one that nibabel sees."""

import io
import math

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxplain.imaging.headers import AXIS_VOXELS, MOST_VOXELS, VOXEL_MM, Header, Unfit, read_header

QUICK = settings(max_examples=300, deadline=None, database=None, derandomize=True)
LONG = settings(max_examples=5000, deadline=None, database=None)

shorts = st.integers(-(2**15), 2**15 - 1)
singles = st.floats(width=32)
lengths = st.floats(-400, 400, width=32)
sizes = st.one_of(st.integers(1, 300), shorts)
# Mostly good values, or nothing would get past the first check.
edges = st.one_of(st.floats(0.5, 4, width=32), lengths, singles)
HEADERS = st.fixed_dictionaries(
    {
        "endianness": st.sampled_from("<>"),
        "axes": st.one_of(st.just(3), st.integers(0, 8), shorts),
        "sizes": st.lists(sizes, min_size=7, max_size=7),
        "datatype": st.one_of(st.sampled_from([2, 4, 8, 16, 64, 128, 32, 256, 512, 768, 1024, 1536]), shorts),
        "pixdim": st.lists(edges, min_size=8, max_size=8),
        "offset": st.one_of(st.just(352.0), singles),
        "slope": st.one_of(st.just(1.0), singles),
        "intercept": st.one_of(st.just(0.0), singles),
        "codes": st.tuples(st.integers(-1, 5), st.integers(-1, 5)),
        "quaternion": st.lists(st.one_of(st.floats(-0.5, 0.5, width=32), singles), min_size=6, max_size=6),
        "rows": st.lists(st.one_of(lengths, singles), min_size=12, max_size=12),
    }
)


def block(parts: dict) -> bytes:
    header = nib.Nifti1Header(endianness=parts["endianness"])
    header["magic"] = b"n+1"
    header["dim"] = [parts["axes"], *parts["sizes"]]
    header["datatype"] = parts["datatype"]
    header["pixdim"] = parts["pixdim"]
    header["vox_offset"] = parts["offset"]
    header["scl_slope"], header["scl_inter"] = parts["slope"], parts["intercept"]
    header["sform_code"], header["qform_code"] = parts["codes"]
    for name, value in zip(
        ["quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"], parts["quaternion"], strict=True
    ):
        header[name] = value
    for number, name in enumerate(["srow_x", "srow_y", "srow_z"]):
        header[name] = parts["rows"][4 * number : 4 * number + 4]
    return header.binaryblock + bytes(4)


def check(path, parts) -> bool:
    """Return whether the header was taken, after looking at what it was taken for."""
    path.write_bytes(block(parts))
    try:
        header = read_header(path)
    except Unfit:
        return False
    assert isinstance(header, Header)
    assert len(header.shape) == 3
    assert AXIS_VOXELS[0] <= min(header.shape) <= max(header.shape) <= AXIS_VOXELS[1]
    assert math.prod(header.shape) <= MOST_VOXELS
    assert list(header.shape) == list(parts["sizes"][:3])
    assert header.dtype.kind in "iuf"
    assert math.isfinite(header.slope)
    assert math.isfinite(header.intercept)
    assert header.slope != 0
    assert 352 <= header.offset <= 2**30
    lengths = np.linalg.norm(header.affine[:3, :3], axis=0)
    assert VOXEL_MM[0] <= lengths.min() <= lengths.max() <= VOXEL_MM[1]
    assert abs(np.linalg.det(header.affine)) > 0
    # nibabel mends what it can, such as a qfac of 0; of two places it takes the sform.
    expected = nib.Nifti1Header.from_fileobj(io.BytesIO(path.read_bytes()), check=False)
    if expected["pixdim"][0] == 0:
        expected["pixdim"][0] = 1
    codes = parts["codes"]
    np.testing.assert_array_equal(header.affine, expected.get_sform() if codes[0] > 0 else expected.get_qform())
    assert max(codes) > 0
    return True


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("headers") / "f.nii"


@QUICK
@given(parts=HEADERS)
def test_headers_of_any_content(file, parts):
    check(file, parts)


@pytest.mark.slow
@LONG
@given(parts=HEADERS)
def test_many_headers_of_any_content(file, parts):
    check(file, parts)


good = st.fixed_dictionaries(
    {
        "shape": st.tuples(*[st.integers(8, 300)] * 3),
        "trailing": st.integers(0, 4),
        "edges": st.tuples(*[st.floats(0.25, 10)] * 3),
        "turn": st.permutations(range(3)),
        "signs": st.tuples(*[st.sampled_from([-1, 1])] * 3),
        "origin": st.tuples(*[st.floats(-300, 300)] * 3),
        "kind": st.sampled_from(["u1", "i2", "i4", "f4", "f8", "u2", "i1", "i8"]),
        "order": st.sampled_from("<>"),
        "codes": st.sampled_from([(1, 0), (0, 1), (4, 1), (2, 2)]),
    }
)


def check_good(path, parts):
    """A header that nibabel writes for a plain volume is taken, whatever its orientation and byte order."""
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[list(parts["turn"])] * np.multiply(parts["edges"], parts["signs"])
    affine[:3, 3] = parts["origin"]
    header = nib.Nifti1Header(endianness=parts["order"])
    header.set_data_dtype(np.dtype(parts["kind"]))
    header.set_data_shape((*parts["shape"], *[1] * parts["trailing"]))
    header.set_sform(affine, code=parts["codes"][0])
    header.set_qform(affine, code=parts["codes"][1])
    header["magic"], header["vox_offset"] = b"n+1", 352
    path.write_bytes(header.binaryblock + bytes(4))
    found = read_header(path)
    assert found.shape == parts["shape"]
    assert found.dtype == np.dtype(parts["kind"]).newbyteorder(parts["order"])
    np.testing.assert_allclose(found.affine, affine, rtol=1e-5, atol=1e-3)
    plane = math.prod(sorted(parts["shape"])[:2]) * found.dtype.itemsize
    assert (found.slope, found.intercept, found.offset, found.padding) == (1, 0, 352, plane - 1)


@QUICK
@given(parts=good)
def test_good_headers_are_taken(file, parts):
    check_good(file, parts)


@pytest.mark.slow
@LONG
@given(parts=good)
def test_many_good_headers_are_taken(file, parts):
    check_good(file, parts)
