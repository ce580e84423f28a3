"""Curves of deletion and insertion: closed forms of linear networks, and what must not play a part."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import wilcoxon
from torch import nn

from voxplain.base.errors import InputError
from voxplain.evaluation.faithfulness import SHARES, curves
from voxplain.evaluation.faithfulness_tables import gain, summarise_areas, summarise_curves, tables_of
from voxplain.evaluation.replacement import Replacement

SHAPE, VOXELS, N = (4, 4, 4), 64, 8
IDS = [f"p{i}" for i in range(N)]
BRAIN = np.ones(SHAPE, bool)
NOTHING = Replacement("mean", mean_image=np.zeros(SHAPE, np.float32))
REGRESSION = {"task": "regression", "labels": [], "target_mean": 50.0, "target_sd": 10.0}
CLASSES = {"task": "classification", "labels": ["A", "B"], "target_mean": None, "target_sd": None}


@pytest.fixture
def stack():
    return np.random.default_rng(0).standard_normal((N, *SHAPE)).astype(np.float32)


@pytest.fixture
def weights():
    return np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)


def linear(weights, outputs=1):
    """f = w·x; as classes, the logit of the second one."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(VOXELS, outputs, bias=False))
    with torch.no_grad():
        model[1].weight.zero_()
        model[1].weight[-1] = torch.from_numpy(weights).flatten()
    return model


def measure(model, maps, stack, targets, metadata, replacement=NOTHING, brain=BRAIN, rows=range(N), **options):
    ids = [IDS[row] for row in rows]
    named = [(person, volume) for person, volume in zip(ids, maps, strict=True)]
    options = {"batch_size": 200} | options
    return curves(model, named, stack, list(rows), ids, targets, metadata, brain, replacement, **options)


def curve_of(table, kind, order, measure):
    chosen = table[(table["kind"] == kind) & (table["order"] == order) & (table["measure"] == measure)]
    return chosen.set_index("share")["value"]


def area_of(table, kind, order, measure):
    chosen = table[(table["kind"] == kind) & (table["order"] == order) & (table["measure"] == measure)]
    (row,) = chosen.to_dict("records")
    return row


def test_a_linear_network_of_a_number(stack, weights):
    shares = [0, 12.5, 50, 100]
    counts = np.array([0, 8, 32, 64])
    contributions = (stack * weights).reshape(N, -1)
    ordered = np.take_along_axis(contributions, np.argsort(-np.abs(contributions), axis=1), axis=1)
    gone = np.pad(np.cumsum(ordered.astype(float), axis=1), ((0, 0), (1, 0)))[:, counts]
    answers = contributions.sum(axis=1)
    ages = 50 + 10 * answers + 3
    table, areas = measure(linear(weights), stack * weights, stack, ages, REGRESSION, shares=shares)
    for kind, lost in (("deletion", gone), ("insertion", gone[:, -1:] - gone)):
        curve = curve_of(table, kind, "map", "change")
        np.testing.assert_allclose(curve, (lost**2).mean(axis=0), rtol=1e-4, atol=1e-8)
        np.testing.assert_allclose(curve_of(table, kind, "map", "mae"), np.abs(10 * lost + 3).mean(axis=0), rtol=1e-4)
        area = np.trapezoid(lost**2, counts / 64, axis=1)
        row = area_of(areas, kind, "map", "change")
        assert row["auc"] == pytest.approx(area.mean(), rel=1e-4)
        assert row["sd"] == pytest.approx(area.std(ddof=1), rel=1e-4)
    assert table["people"].eq(N).all()
    assert list(curve.index) == shares


def test_a_linear_network_of_classes(stack, weights):
    """All contributions speak for B and are 1/16: the logit of B falls by that much with each voxel."""
    images = 1 / (16 * weights[None].repeat(N, axis=0))
    table, areas = measure(linear(weights, 2), images * weights, images, ["B"] * 6 + ["A"] * 2, CLASSES)
    left = np.array([64 - round(share / 100 * 64) for share in SHARES])
    expected = 1 / (1 + np.exp(-left / 16))
    for order in ("map", "random", "intensity"):  # equal contributions: no order is better than another
        np.testing.assert_allclose(curve_of(table, "deletion", order, "probability"), expected, rtol=1e-5)
        assert curve_of(table, "deletion", order, "accuracy").iloc[:-1].eq(0.75).all()
        area = area_of(areas, "deletion", order, "probability")
        # The softplus is the integral of the logistic function: (log(1 + e⁴) - log 2) / 4, but for the trapezoids.
        assert area["auc"] == pytest.approx((np.log1p(np.exp(4)) - np.log(2)) / 4, rel=2e-3)
    for order in ("map", "intensity"):
        row = area_of(areas, "deletion", order, "probability")
        assert row["difference_to_random"] == pytest.approx(0, abs=1e-7)
        assert row["p_random"] == 1  # rounding has no sign


def test_at_both_ends_every_order_is_the_same(stack, weights, small_network):
    brain = np.random.default_rng(3).random(SHAPE) < 0.6
    mean = np.random.default_rng(4).standard_normal(SHAPE).astype(np.float32)
    replacement, targets = Replacement("mean", mean_image=mean), list("AB" * 4)
    maps = np.random.default_rng(5).standard_normal(stack.shape)
    table, _ = measure(small_network, maps, stack, targets, CLASSES, replacement, brain)
    with torch.no_grad():
        clean = small_network(torch.from_numpy(stack[:, None])).softmax(1)
        replaced = small_network(torch.from_numpy(np.where(brain, mean, stack)[:, None])).softmax(1)
    own = clean.argmax(1, keepdim=True)
    for order in ("map", "random", "intensity"):
        for kind, ends in (("deletion", (clean, replaced)), ("insertion", (replaced, clean))):
            curve = curve_of(table, kind, order, "probability")
            found = [end.gather(1, own).mean().item() for end in ends]
            np.testing.assert_allclose(curve.iloc[[0, -1]], found, rtol=1e-5)
            assert not np.allclose(curve, curve.iloc[0], rtol=1e-3)


@pytest.fixture
def small_network():
    """A network that is not linear, with BatchNorm to fold."""
    torch.manual_seed(0)
    layers = [nn.Conv3d(1, 3, 3), nn.BatchNorm3d(3), nn.ReLU(), nn.Flatten(), nn.Linear(24, 2)]
    model = nn.Sequential(*layers).eval()
    with torch.no_grad():
        model[1].running_mean.normal_()
        model[4].weight.mul_(5)
    return model


def test_a_perfect_order_beats_chance_and_its_reverse_does_not(stack):
    weights = np.random.default_rng(2).exponential(size=SHAPE).astype(np.float32)
    images = np.abs(stack) + 0.1  # every contribution is positive
    perfect = images * weights
    table, best = measure(linear(weights, 2), perfect, images, ["B"] * N, CLASSES)
    _, worst = measure(linear(weights, 2), 1 / perfect, images, ["B"] * N, CLASSES)
    ages = 50 + 10 * perfect.sum(axis=(1, 2, 3))
    _, of_number = measure(linear(weights), perfect, images, ages, REGRESSION)
    for kind in ("deletion", "insertion"):
        good, bad = (area_of(areas, kind, "map", "probability") for areas in (best, worst))
        assert good["difference_to_random"] > 0 > bad["difference_to_random"]
        assert good["difference_to_intensity"] > 0
        assert good["p_random"] == pytest.approx(2 / 2**N)  # all of 8 people: the smallest p that there is
        assert good["ranks_random"] == -bad["ranks_random"] == 36
        assert area_of(best, kind, "random", "probability")["auc"] == pytest.approx(
            area_of(worst, kind, "random", "probability")["auc"]
        )
        for name in ("change", "mae"):
            assert area_of(of_number, kind, "map", name)["difference_to_random"] > 0
    by_map, by_chance = (area_of(best, "deletion", order, "probability") for order in ("map", "random"))
    assert by_map["auc"] < by_chance["auc"]
    assert np.isnan(by_chance["difference_to_random"])
    # The definition of the order: the largest contributions go first.
    assert curve_of(table, "deletion", "map", "probability").is_monotonic_decreasing


def test_the_sign_of_a_map_plays_no_part_and_an_empty_one_is_chance(stack, weights, small_network):
    maps = np.random.default_rng(5).standard_normal(stack.shape)
    plain = measure(small_network, maps, stack, list("AB" * 4), CLASSES)
    other = measure(small_network, -maps, stack, list("AB" * 4), CLASSES)
    pd.testing.assert_frame_equal(plain[0], other[0])
    _, areas = measure(small_network, np.zeros_like(maps), stack, list("AB" * 4), CLASSES)
    row = area_of(areas, "insertion", "map", "probability")
    assert (row["difference_to_random"], row["p_random"], row["variance_random"]) == (0, 1, 0)
    assert row["p_intensity"] < 1


def test_deleting_is_inserting_the_other_way_round(stack, small_network):
    maps = np.random.default_rng(5).permuted(np.arange(1, N * 64 + 1)).reshape(stack.shape)
    shares = [0, 25, 50, 75, 100]
    table, _ = measure(small_network, maps, stack, list("AB" * 4), CLASSES, shares=shares)
    reverse, _ = measure(small_network, 1 / maps, stack, list("AB" * 4), CLASSES, shares=shares)
    for name in ("probability", "accuracy"):
        deleted, inserted = curve_of(table, "deletion", "map", name), curve_of(reverse, "insertion", "map", name)
        np.testing.assert_allclose(deleted, inserted[::-1], rtol=1e-5)
        assert len(set(deleted)) > 1


def test_batches_order_of_people_and_other_shares_play_no_part(stack, small_network):
    maps = np.random.default_rng(5).standard_normal(stack.shape)
    donors = {person: [(i + 2) % N, (i + 4) % N] for i, person in enumerate(IDS)}
    replacement, targets = Replacement("resample", stack=stack, donors=donors), np.array(list("AB" * 4))
    shares = [0, 5, 30, 60, 100]
    expected = measure(small_network, maps, stack, targets, CLASSES, replacement, shares=shares, seed=3)
    order = np.random.default_rng(1).permutation(N)
    found = measure(
        small_network,
        maps[order],
        stack,
        targets[order],
        CLASSES,
        replacement,
        rows=order,
        shares=shares,
        seed=3,
        batch_size=7,
    )
    for a, b in zip(expected, found, strict=True):
        pd.testing.assert_frame_equal(a, b, rtol=1e-4, atol=1e-6)
    few, _ = measure(small_network, maps, stack, targets, CLASSES, replacement, shares=[0, 30, 100], seed=3)
    for order in ("map", "random"):
        many = curve_of(expected[0], "insertion", order, "probability")[[0, 30, 100]]
        np.testing.assert_allclose(curve_of(few, "insertion", order, "probability"), many, rtol=1e-5)
    other, _ = measure(small_network, maps, stack, targets, CLASSES, replacement, shares=shares, seed=4)
    for order, same in (("map", True), ("intensity", True), ("random", False)):
        pair = (curve_of(t, "deletion", order, "probability") for t in (expected[0], other))
        assert np.allclose(*pair, rtol=1e-5) is same


def test_orders_that_know_no_map_are_measured_once_for_all_methods(stack, small_network):
    first, second = np.random.default_rng(5).standard_normal((2, *stack.shape))
    references = {}
    passes = []
    small_network.register_forward_hook(lambda module, inputs, output: passes.append(len(output)))
    arguments = (stack, list("AB" * 4), CLASSES)
    measure(small_network, first, *arguments, references=references)
    before, own = sum(passes), measure(small_network, second, *arguments, references=references)
    assert sum(passes) - before < before / 2
    for found, alone in zip(own, measure(small_network, second, *arguments), strict=True):
        pd.testing.assert_frame_equal(found, alone, rtol=1e-5, atol=1e-7)


def test_several_donors_are_averaged(stack, small_network):
    maps = np.random.default_rng(5).standard_normal(stack.shape)
    tables = [
        measure(
            small_network, maps, stack, list("AB" * 4), CLASSES,
            Replacement("resample", stack=stack, donors=dict.fromkeys(IDS, rows)),
        )[0]["value"]
        for rows in ([1, 6], [1], [6])
    ]  # fmt: skip
    np.testing.assert_allclose(tables[0], (tables[1] + tables[2]) / 2, rtol=1e-5)


def test_nothing_outside_the_brain_is_replaced(stack, weights):
    brain = BRAIN.copy()
    brain[1:] = False
    table, _ = measure(linear(weights), stack, stack, np.zeros(N), REGRESSION, brain=brain)
    lost = (stack * weights)[:, 0].sum(axis=(1, 2)) ** 2
    assert curve_of(table, "deletion", "map", "change")[100] == pytest.approx(lost.mean(), rel=1e-4)


def test_the_order_of_intensity_takes_the_brightest_first(stack):
    """A network that counts only the brightest voxel of the image loses it with the first voxel."""
    images = stack.copy()
    images[:, 2, 1, 3] = -9
    weights = np.zeros(SHAPE, np.float32)
    weights[2, 1, 3] = 1
    table, _ = measure(linear(weights), stack, images, np.zeros(N), REGRESSION, shares=[0, 100 / 64, 100])
    np.testing.assert_allclose(curve_of(table, "deletion", "intensity", "change"), [0, 81, 81], rtol=1e-5)
    np.testing.assert_allclose(curve_of(table, "insertion", "intensity", "change"), [81, 0, 0], rtol=1e-5, atol=1e-8)


def test_the_network_is_left_as_it_is(stack, small_network):
    before = {name: value.clone() for name, value in small_network.train().state_dict().items()}
    measure(small_network, stack, stack, list("AB" * 4), CLASSES, shares=[0, 50, 100])
    assert small_network.training
    for name, value in small_network.state_dict().items():
        assert torch.equal(value, before[name])


def test_gain():
    assert [gain("deletion", name) for name in ("probability", "accuracy", "change", "mae")] == [-1, -1, 1, 1]
    assert [gain("insertion", name) for name in ("probability", "accuracy", "change", "mae")] == [1, 1, -1, -1]


def test_folds_are_joined_by_a_stratified_signed_rank_test(stack, small_network):
    rng = np.random.default_rng(5)
    folds, targets = [], list("AB" * 4)
    for seed in range(3):
        tables = measure(small_network, rng.standard_normal(stack.shape), stack, targets, CLASSES, seed=seed)
        folds.append([table.assign(method="lrp", fold=seed) for table in tables])
    empty = [table.iloc[:0] for table in folds[0]]
    joined = summarise_areas([areas for _, areas in [*folds, empty]])
    row = area_of(joined, "deletion", "map", "probability")
    own = [area_of(areas, "deletion", "map", "probability") for _, areas in folds]
    assert row["auc"] == pytest.approx(np.mean([a["auc"] for a in own]))
    assert row["sd"] == pytest.approx(np.std([a["auc"] for a in own], ddof=1))
    assert (row["folds"], row["people"]) == (3, 3 * N)
    assert row["difference_to_random"] == pytest.approx(np.mean([a["difference_to_random"] for a in own]))
    curve = summarise_curves([curve for curve, _ in [*folds, empty]])
    assert list(curve) == ["method", "replacement", "kind", "order", "measure", "share", "mean", "sd", "folds"]
    assert curve["folds"].eq(3).all()
    values = [curve_of(one, "insertion", "map", "probability")[20] for one, _ in folds]
    (point,) = (
        curve.query("kind == 'insertion' and order == 'map' and measure == 'probability' and share == 20")
        .mean(axis=1, numeric_only=True)
        .index
    )
    assert curve["mean"][point] == pytest.approx(np.mean(values))
    single = summarise_areas([folds[0][1]])
    assert area_of(single, "deletion", "map", "probability")["p_random"] == own[0]["p_random"]


def test_the_joined_p_is_that_of_scipy_where_one_fold_tells_all():
    values = np.random.default_rng(8).normal(0, 1, (1, 30, 3, 2, 2)).round(1)  # measures, people, orders, kinds, shares
    values[:, :, 0] += 0.4
    folds = [values, np.ones_like(values)]  # in the second fold every order is like every other
    tables = [tables_of(fold, ["probability"], "mean", [0, 100], np.array([0.0, 1.0])) for fold in folds]
    joined = summarise_areas([areas.assign(method="lrp") for _, areas in tables])
    for kind, name in enumerate(("deletion", "insertion")):
        areas = values[0, :, :, kind].mean(axis=-1)
        differences = (areas[:, 0] - areas[:, 1]).round(9)
        nonzero = differences[differences != 0]
        assert len(np.unique(np.abs(nonzero))) < len(nonzero)  # ties
        expected = wilcoxon(nonzero, method="asymptotic", correction=False).pvalue
        row, own = (area_of(table, name, "map", "probability") for table in (joined, tables[0][1]))
        assert row["p_random"] == pytest.approx(expected)
        assert own["p_random"] == pytest.approx(wilcoxon(nonzero).pvalue)
        assert own["difference_to_random"] == pytest.approx((-1, 1)[kind] * differences.mean())
        assert row["difference_to_random"] == pytest.approx(own["difference_to_random"] / 2)


def test_refusals(stack, weights):
    model, ages = linear(weights), np.zeros(N)
    for shares in ([0, 50], [10, 100], [0, 50, 50, 100], [0]):
        with pytest.raises(InputError, match="must rise from 0 to 100 percent"):
            measure(model, stack, stack, ages, REGRESSION, shares=shares)
    with pytest.raises(InputError, match=r"brain: \[3, 3, 3\], expected the images' \[4, 4, 4\]"):
        measure(model, stack, stack, ages, REGRESSION, brain=np.ones((3, 3, 3)))
    with pytest.raises(InputError, match="the mask is empty"):
        measure(model, stack, stack, ages, REGRESSION, brain=~BRAIN)
    with pytest.raises(InputError, match="the map of p0 must be finite"):
        measure(model, np.full_like(stack, np.nan), stack, ages, REGRESSION)
    arguments = (stack, [0, 1], ["p0", "p1"], [0, 0], REGRESSION, BRAIN, NOTHING)
    with pytest.raises(InputError, match=r"(?s)People without a map.*\n  - p1\n"):
        curves(model, [("p0", stack[0])], *arguments)
    for stranger in ("p0", "p7"):
        with pytest.raises(InputError, match=f"the map of {stranger} was not expected"):
            curves(model, [("p0", stack[0]), (stranger, stack[1])], *arguments)
    with pytest.raises(InputError, match="Nobody was measured"):
        summarise_areas([pd.DataFrame()])
