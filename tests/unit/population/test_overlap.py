import numpy as np
import pytest

from voxplain.base.errors import InputError
from voxplain.imaging.grid import COMMON
from voxplain.population.overlap import COLUMNS, agreement, compare, dice, dice_chance, spearman


def disjoint_masks():
    """Three masks of 1.94, 3.41 and 3.39 % of the grid that share no voxel."""
    size = int(np.prod(COMMON.shape))
    masks, start = [], 0
    for percent in (1.94, 3.41, 3.39):
        mask = np.zeros(size, dtype=bool)
        mask[start : start + round(percent / 100 * size)] = True
        start += round(percent / 100 * size)
        masks.append(mask.reshape(COMMON.shape))
    return masks


def test_the_published_dice_is_agreement_and_the_true_dice_can_be_zero():
    a, b, c = disjoint_masks()
    for pair, printed in (((a, b), 0.9465), ((a, c), 0.9467), ((b, c), 0.9320)):
        assert agreement(*pair) == pytest.approx(printed, abs=5e-5)
        assert dice(*pair) == 0
        assert dice_chance(*pair) > 0


def test_known_values():
    a, b = np.array([1, 1, 1, 0, 0, 0, 0, 0]), np.array([0, 0, 1, 0, 0, 0, 0, 0])
    assert dice(a, b) == 2 * 1 / 4
    assert dice_chance(a, b) == 2 * 3 * 1 / (8 * 4)
    assert agreement(a, b) == 6 / 8
    within = np.array([0, 0, 1, 1, 1, 1, 0, 0])
    assert dice(a, b, within) == 1
    assert dice_chance(a, b, within) == 2 / (4 * 2)
    assert agreement(a, b, within) == 1


def test_chance_is_the_mean_over_random_masks():
    rng = np.random.default_rng(3)
    a = np.arange(200) < 30
    drawn = [dice(a, rng.permutation(200) < 50) for _ in range(4000)]
    assert np.mean(drawn) == pytest.approx(dice_chance(a, np.arange(200) < 50), abs=0.003)


def test_two_empty_masks_have_no_dice():
    empty = np.zeros(5, dtype=bool)
    assert np.isnan(dice(empty, empty))
    assert np.isnan(dice_chance(empty, empty))
    assert dice(empty, ~empty) == 0
    assert agreement(empty, empty) == 1


def test_a_constant_map_has_no_rank_correlation():
    assert np.isnan(spearman(np.ones(5), np.arange(5)))
    assert spearman(np.arange(5), np.exp(np.arange(5))) == pytest.approx(1)


def test_table_of_pairs():
    rng = np.random.default_rng(0)
    brain = np.zeros((6, 6, 6), dtype=bool)
    brain[1:5, 1:5, 1:5] = True
    one = rng.normal(size=brain.shape)
    maps = {"gradcam": one, "guided_backprop": -one, "perturbation": np.abs(one) ** 2}
    masks = {name: np.abs(volume) > 1 for name, volume in maps.items()}
    table = compare(maps, masks, brain, "joint")
    assert list(table.columns) == COLUMNS
    assert list(zip(table.method_a, table.method_b, strict=True)) == [
        ("gradcam", "guided_backprop"),
        ("gradcam", "perturbation"),
        ("guided_backprop", "perturbation"),
    ]
    # Signed and unsigned methods are compared by their strength.
    np.testing.assert_allclose(table.spearman, 1)
    np.testing.assert_allclose(table.dice, 1)
    inside = int((masks["gradcam"] & brain).sum())
    assert (table.voxels_a == inside).all()
    assert table.dice_chance[0] == pytest.approx(inside / brain.sum())
    assert (table.group == "joint").all()


def test_a_single_method_gives_an_empty_table():
    one = np.ones((2, 2, 2))
    assert list(compare({"a": one}, {"a": one}, one, "F").columns) == COLUMNS


def test_refusals():
    with pytest.raises(InputError, match=r"\(3,\), \(4,\)"):
        dice(np.ones(3), np.ones(4))
    with pytest.raises(InputError, match="no voxel to compare"):
        agreement(np.ones(3), np.ones(3), np.zeros(3))
    with pytest.raises(InputError, match="gradcam"):
        compare({"gradcam": np.ones(3)}, {}, np.ones(3), "F")
