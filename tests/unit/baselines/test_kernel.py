import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics.pairwise import rbf_kernel as plain_rbf

from voxplain.base.errors import InputError
from voxplain.base.files import write_array
from voxplain.baselines import kernel
from voxplain.baselines.kernel import (
    DotProducts,
    dot_products,
    dot_products_with,
    gamma_scale,
    rbf_kernel,
    residualise,
)
from voxplain.baselines.residual import Residualiser

PEOPLE, SHAPE = 12, (3, 4, 5)
VOXELS = 60


@pytest.fixture
def stack():
    generator = np.random.default_rng(0)
    return (generator.normal(size=(PEOPLE, *SHAPE)) * 2 + 5).astype(np.float32)


@pytest.fixture
def flat(stack):
    return stack.reshape(PEOPLE, -1).astype(float)


def of_all(stack):
    products, sums = dot_products(stack)
    return DotProducts(products, np.diag(products), sums)


def of_the_first(count, stack):
    return DotProducts(*dot_products_with(stack, range(count)))


def test_closed_form():
    products, sums = dot_products(np.array([[[1.0, 2.0]], [[0.0, -1.0]]], dtype=np.float32))
    assert products.tolist() == [[5, -2], [-2, 1]]
    assert sums.tolist() == [3, -1]


@pytest.mark.parametrize("block_bytes", [1, 8 * PEOPLE * 7, 2**20])
def test_blocks_do_not_change_the_result(stack, flat, block_bytes):
    products, sums = dot_products(stack, block_bytes)
    assert products == pytest.approx(flat @ flat.T, rel=1e-13)
    assert sums == pytest.approx(flat.sum(axis=1), rel=1e-13)
    assert products.dtype == sums.dtype == np.float64
    assert np.array_equal(products, products.T)


def test_products_with_a_sample_in_closed_form():
    stack = np.array([[[1.0, 2.0]], [[0.0, -1.0]], [[3.0, 1.0]]], dtype=np.float32)
    products, squares, sums = dot_products_with(stack, [2, 0])
    assert products.tolist() == [[5, 5], [-1, -2], [10, 5]]
    assert squares.tolist() == [5, 1, 10]
    assert sums.tolist() == [3, -1, 4]


@pytest.mark.parametrize("block_bytes", [1, 8 * 5 * 7, 2**20])
@pytest.mark.parametrize("mapped", [False, True])
def test_products_with_a_sample_are_those_with_everybody(tmp_path, stack, block_bytes, mapped):
    sample = np.array([1, 4, 5, 9, 11])
    expected, expected_sums = dot_products(stack)
    if mapped:
        write_array(stack, tmp_path / "stack.npy")
        stack = np.load(tmp_path / "stack.npy", mmap_mode="r")
    products, squares, sums = dot_products_with(stack, sample, block_bytes)
    assert products == pytest.approx(expected[:, sample], rel=1e-13)
    assert squares == pytest.approx(np.diag(expected), rel=1e-13)
    assert sums == pytest.approx(expected_sums, rel=1e-13)
    assert products.dtype == squares.dtype == sums.dtype == np.float64


PEAK = """
import re, sys
import numpy as np
from pathlib import Path
from voxplain.baselines.kernel import dot_products, dot_products_with

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text()).group(1)) / 1024

def of_all(stack, **options):
    return dot_products(stack, **options)[1]

def of_a_sample(stack, **options):
    return dot_products_with(stack, range(8), **options)[2]

function = {"all": of_all, "sample": of_a_sample}[sys.argv[2]]
function(np.ones((64, 10), dtype=np.float32))
before = peak()
sums = function(np.load(sys.argv[1], mmap_mode="r"), block_bytes=4 * 2**20)
print(peak() - before, sums[5])
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the peak is read from /proc")
@pytest.mark.parametrize("whom", ["all", "sample"])
def test_memory_is_that_of_a_block_however_large_the_map(tmp_path, whom):
    """128 MiB are read in blocks of 4 MiB; BLAS and a copy or two of a block take some, too."""
    stack = np.lib.format.open_memmap(tmp_path / "stack.npy", "w+", np.float32, (64, 2**19))
    stack[5] = 1
    stack.flush()
    library = Path(kernel.__file__).parents[2]
    command = [sys.executable, "-c", PEAK, tmp_path / "stack.npy", whom]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(library)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    growth, total = map(float, done.stdout.split())
    assert total == 2**19
    assert growth < 32


@pytest.mark.parametrize("mode", ["r", "c"])
@pytest.mark.parametrize("block_bytes", [1, 8 * PEOPLE * 7, 2**20])
def test_maps_are_read_as_arrays_are(tmp_path, stack, mode, block_bytes):
    """A private copy of the file may hold changes that the file does not; a part of a map does not begin its file."""
    write_array(stack, tmp_path / "stack.npy")
    opened = np.load(tmp_path / "stack.npy", mmap_mode=mode)
    if mode == "c":
        stack[0] = opened[0] = 0
    for part in (slice(None), slice(2, 9), slice(None, None, 2), slice(None, None, -1)):
        products, sums = dot_products(opened[part], block_bytes)
        expected, expected_sums = dot_products(stack[part], block_bytes)
        assert np.array_equal(products, expected)
        assert np.array_equal(sums, expected_sums)


def test_order_of_people_only_orders_the_result(stack):
    order = np.random.default_rng(1).permutation(PEOPLE)
    products, sums = dot_products(stack)
    shuffled, shuffled_sums = dot_products(stack[order])
    assert shuffled == pytest.approx(products[np.ix_(order, order)], rel=1e-13)
    assert shuffled_sums == pytest.approx(sums[order], rel=1e-13)


def test_images_that_are_not_finite(stack):
    stack[3, 0, 0, 0], stack[7, 1, 1, 1] = np.nan, np.inf
    with pytest.raises(InputError, match=r"2 images .*\n  - row 3 of the stack\n  - row 7 of the stack"):
        dot_products(stack)
    with pytest.raises(InputError, match=r"2 images .*\n  - row 3 of the stack\n  - row 7 of the stack"):
        dot_products_with(stack, [0, 1])


def test_rbf_kernel_of_scikit_learn(stack, flat):
    a, b = np.array([0, 11, 5, 3]), np.array([5, 1])
    for images in (of_all(stack), of_the_first(6, stack)):
        result = rbf_kernel(images, a, b, 0.01)
        assert result == pytest.approx(plain_rbf(flat[a], flat[b], 0.01), rel=1e-12)
        assert result[2, 0] == pytest.approx(1, abs=1e-12)


def test_gamma_scale_in_closed_form_and_from_the_training_people_alone(stack, flat):
    images = of_all(np.array([[[1.0, 3.0]], [[5.0, 7.0]], [[9.0, 1e6]]]))
    assert gamma_scale(images, 2, np.array([0, 1])) == pytest.approx(1 / (2 * 5))
    train = np.array([1, 4, 5, 9])
    assert gamma_scale(of_all(stack), VOXELS, train) == pytest.approx(1 / (VOXELS * flat[train].var()), rel=1e-10)


def test_gamma_of_constant_images_is_one_as_in_scikit_learn():
    assert gamma_scale(of_all(np.full((4, 2, 3, 5), 0.1, dtype=np.float32)), 30, np.arange(4)) == 1


def test_residualised_products_are_those_of_residualised_images(stack, flat):
    size = np.random.default_rng(2).normal(1.5e6, 1.5e5, PEOPLE)
    flat = flat + 1e-5 * size[:, None] * np.linspace(-1, 1, VOXELS)
    train = np.array([0, 2, 3, 5, 6, 8, 9])
    with_size = np.column_stack([flat, size])
    images = Residualiser().fit(with_size[train]).transform(with_size)
    products = flat @ flat.T
    for columns in (PEOPLE, 10):
        left = residualise(DotProducts(products[:, :columns], np.diag(products), flat.sum(axis=1)), train, size)
        assert left.products == pytest.approx(images @ images[:columns].T, rel=1e-9)
        assert left.squares == pytest.approx((images**2).sum(axis=1), rel=1e-9)
        assert left.sums == pytest.approx(images.sum(axis=1), rel=1e-9)


def test_residualising_learns_nothing_from_test_people(stack):
    size = np.random.default_rng(3).normal(size=PEOPLE)
    train = np.arange(6)
    before = residualise(of_all(stack), train, size)
    stack[7:], size[7:] = stack[7:] * 3, 100
    after = residualise(of_all(stack), train, size)
    assert after.products[:7, :7] == pytest.approx(before.products[:7, :7], rel=1e-12)
    assert after.sums[:7] == pytest.approx(before.sums[:7], rel=1e-12)
    assert not np.allclose(after.products[7:, :7], before.products[7:, :7])


def test_residualising_by_a_constant_changes_nothing(stack):
    images = of_all(stack)
    size = np.full(PEOPLE, 1.1e6)
    size[-1] = 2e6
    assert residualise(images, np.arange(6), size) is images


def test_residualising_needs_everybody_s_confounder(stack):
    size = np.ones(PEOPLE)
    size[4] = np.nan
    with pytest.raises(InputError, match="missing for 1 people\n  - row 4\n"):
        residualise(of_all(stack), np.arange(6), size)
