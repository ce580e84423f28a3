"""Bad images read one by one: the message of each, word for word; and what looks bad and is read."""

import os
import tracemalloc

import nibabel as nib
import numpy as np
import pytest

from bad_images import COPY, DATA, ENDS, GOOD, HEADERS, PLACES, WHOLE
from voxplain.base.errors import InputError
from voxplain.imaging.reading import read_volume


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
