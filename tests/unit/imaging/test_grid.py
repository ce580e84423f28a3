"""The MNI brain on the common grid."""

import numpy as np
from nilearn.datasets import load_mni152_brain_mask

from voxplain.imaging.grid import COMMON, mni_brain, resample_to


def test_the_mni_brain_is_nilearns():
    mask = load_mni152_brain_mask(resolution=1)
    expected = resample_to(np.asarray(mask.dataobj, dtype=np.float32), mask.affine, COMMON) > 0.5
    assert np.array_equal(mni_brain(), expected)
