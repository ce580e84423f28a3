"""The statistic of every voxel of the images, against scipy."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from map_anatomy import run
from voxplain.base.errors import InputError
from voxplain.base.files import write_array, write_image, write_table
from voxplain.evaluation.univariate import univariate
from voxplain.imaging.grid import COMMON
from voxplain.population.maps import read_on_grid

SHAPE = (5, 4, 6)


@pytest.fixture
def brain():
    inside = np.ones(SHAPE, dtype=bool)
    inside[0] = False
    return inside


@pytest.fixture
def images():
    values = np.random.default_rng(0).standard_normal((23, *SHAPE))
    values[8:] *= 1.5  # unequal variances
    values[:8, 1:3] += 3
    values += 100
    values[:, 4, 3, 5] = 7  # nothing varies
    return values


def by_class(sizes):
    return [name for name, size in sizes.items() for _ in range(size)]


def fdr(p, brain):
    return stats.false_discovery_control(np.nan_to_num(p[brain], nan=1)) <= 0.05


def check(found, statistic, p, brain):
    values, significant = found
    assert values.dtype == np.float32
    assert not values[~brain].any() and not significant[~brain].any()  # noqa: PT018
    np.testing.assert_allclose(values[brain], np.nan_to_num(statistic[brain]), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(significant[brain], fdr(p, brain))
    assert 0 < significant.sum() < brain.sum()


def test_two_classes_are_welchs_test(images, brain):
    targets = by_class({"F": 8, "M": 15})
    with np.errstate(invalid="ignore"), pytest.warns(RuntimeWarning):  # the constant voxel
        expected = stats.ttest_ind(images[8:], images[:8], equal_var=False)
    check(univariate(zip(targets, images, strict=True), brain, ["F", "M"]), *expected, brain)


def test_more_classes_are_an_analysis_of_variance(images, brain):
    targets = by_class({"a": 8, "b": 6, "c": 9})
    with np.errstate(invalid="ignore"), pytest.warns(stats.ConstantInputWarning):
        expected = stats.f_oneway(images[:8], images[8:14], images[14:])
    check(univariate(zip(targets, images, strict=True), brain, ["a", "b", "c"]), *expected, brain)


def test_a_number_is_a_regression(images, brain):
    ages = np.random.default_rng(1).uniform(20, 80, len(images))
    images[:, 2] -= 0.1 * ages[:, None, None]
    statistic, p = np.zeros(SHAPE), np.ones(SHAPE)
    for voxel in np.argwhere(brain):
        own = images[(slice(None), *voxel)]
        if np.ptp(own):
            line = stats.linregress(ages, own)
            statistic[tuple(voxel)], p[tuple(voxel)] = line.slope / line.stderr, line.pvalue
    check(univariate(zip(ages, images, strict=True), brain, None), statistic, p, brain)


def test_the_order_of_people_does_not_matter(images, brain):
    targets, order = by_class({"F": 8, "M": 15}), np.random.default_rng(2).permutation(23)
    one = univariate(zip(targets, images, strict=True), brain, ["F", "M"])[0]
    other = univariate([(targets[i], images[i]) for i in order], brain, ["F", "M"])[0]
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_refusals(images, brain):
    for targets, labels, word in (
        (["F"] * 22 + ["M"], ["F", "M"], "M: 1"),
        (["F"] * 22 + ["X"], ["F", "M"], "X"),
        ([3.0] * 23, None, "varies"),
    ):
        with pytest.raises(InputError, match=word):
            univariate(zip(targets, images, strict=True), brain, labels)
    with pytest.raises(InputError, match="rate"):
        univariate([], brain, None, 1)


def test_the_script_finds_where_classes_differ(tmp_path):
    rng = np.random.default_rng(0)
    brain = np.zeros(COMMON.shape, dtype=bool)
    brain[20:36, 20:36, 20:36] = True
    ids = [f"s{i}" for i in range(10)]
    stack = rng.standard_normal((10, *COMMON.shape), dtype=np.float32)
    stack[5:, 24:28, 24:28, 24:28] += 3
    stack *= rng.uniform(1, 9, 10)[:, None, None, None]  # gains
    write_array(stack[::-1], tmp_path / "stack.npy")
    write_table(pd.DataFrame({"participant_id": ids[::-1]}), tmp_path / "index.tsv")
    folds = pd.DataFrame({"participant_id": ids, "fold": 0, "target": ["F"] * 5 + ["M"] * 5})
    write_table(folds.sample(frac=1, random_state=0), tmp_path / "folds.tsv")
    write_image(brain, COMMON.affine, tmp_path / "brain.nii.gz")
    inputs = [tmp_path / name for name in ("stack.npy", "index.tsv", "folds.tsv", "brain.nii.gz")]
    outputs = [tmp_path / name for name in ("t.nii.gz", "significant.nii.gz")]
    run(*inputs, *outputs, task="classification", labels=["F", "M"], smoothing_fwhm_mm=8.0, rate=0.05)
    t, significant = (read_on_grid(path) for path in outputs)
    middle = (slice(25, 27),) * 3
    assert (t[middle] > 5).all()
    assert significant[middle].all()
    assert significant[brain].mean() < 0.2
    assert not t[~brain].any()
