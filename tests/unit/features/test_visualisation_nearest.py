"""What real people excite, and how it compares: values, places, responses per unit norm, percentiles."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from voxplain.features.cohort import cohort_values
from voxplain.features.comparison import compare_with_cohort, without_answers
from voxplain.features.nearest import nearest_people
from voxplain.features.objectives import Objective, channel_objectives, output_objectives
from voxplain.features.visualisation import visualise as synthesise
from voxplain.features.visualisation_settings import VisualisationSettings
from voxplain.models.folding import fold_batchnorm
from voxplain.models.voxel_cnn import VoxelCNN

SHAPE = (12, 14, 10)


@pytest.fixture
def looking():
    """A first convolution that looks at the voxel in the middle of its kernel, bright (0) or dark (1)."""
    network = nn.Sequential(
        nn.Conv3d(1, 2, 3), nn.ReLU(), nn.MaxPool3d(2), nn.Flatten(), nn.Linear(2 * 5 * 6 * 4, 1)
    ).eval()  # fmt: skip
    with torch.no_grad():
        network[0].weight.zero_()
        network[0].bias.zero_()
        network[0].weight[:, 0, 1, 1, 1] = torch.tensor([1.0, -1.0])
    return network.requires_grad_(False)


AFFINE = np.array([[-2.0, 0, 0, 50], [0, 3, 0, -20], [0, 0, 4, 7], [0, 0, 0, 1]])


def people_with_spots():
    """Person i has a bright spot of i + 1 at the voxel (i + 1, 5, 4)."""
    stack = np.zeros((4, *SHAPE), dtype=np.float32)
    for i in range(4):
        stack[i, i + 1, 5, 4] = i + 1
    return stack


def test_the_spot_is_found_where_it_is(looking):
    objectives = channel_objectives(looking, torch.zeros(1, 1, *SHAPE), [1])
    cohort = cohort_values(looking, objectives, people_with_spots(), [0, 1, 2, 3], batch_size=3)
    bright = cohort[cohort["objective"] == "layer-1_channel-0"]
    assert bright["value"].tolist() == [1, 2, 3, 4]
    assert bright[["unit_0", "unit_1", "unit_2"]].to_numpy().tolist() == [[i, 4, 3] for i in range(4)]
    image = torch.zeros(1, 1, *SHAPE)
    near = nearest_people(looking, objectives[:1], cohort, image, AFFINE, 2)
    assert near["row"].tolist() == [3, 2]
    assert near["rank"].tolist() == [1, 2]
    assert near.loc[0, ["x_mm", "y_mm", "z_mm"]].tolist() == [50 - 2 * 4, -20 + 3 * 5, 7 + 4 * 4]
    edges = ["x_low_mm", "x_high_mm", "y_low_mm", "y_high_mm", "z_low_mm", "z_high_mm"]
    assert near.loc[0, edges].tolist() == [42 - 3, 42 + 3, -5 - 4.5, -5 + 4.5, 23 - 6, 23 + 6]


def test_the_empty_background_is_no_rival(looking):
    """In positive brains the background of 0 excites a filter of -1 most, and is the same for everybody."""
    objectives = channel_objectives(looking, torch.zeros(1, 1, *SHAPE), [1])[1:]
    brain = np.zeros(SHAPE, dtype=bool)
    brain[3:9, 4:10, 3:7] = True
    stack = np.where(brain, 5.0, 0.0).astype(np.float32)[None].repeat(2, axis=0)
    stack[0, 6, 7, 5], stack[1, 4, 5, 3] = 1.0, 2.0
    everywhere = cohort_values(looking, objectives, stack, [0, 1])
    assert everywhere["value"].tolist() == [0, 0]
    table = cohort_values(looking, objectives, stack, [0, 1], brain=brain)
    assert table["value"].tolist() == [-1, -2]
    assert table[["unit_0", "unit_1", "unit_2"]].to_numpy().tolist() == [[5, 6, 4], [3, 4, 2]]
    nowhere = cohort_values(looking, objectives, stack, [0, 1], brain=np.zeros(SHAPE, dtype=bool))
    pd.testing.assert_frame_equal(nowhere, everywhere)


def test_the_response_per_norm_is_that_of_what_the_most_excited_unit_sees(looking):
    with torch.no_grad():
        looking[0].bias[:] = 7.0
    objectives = [*channel_objectives(looking, torch.zeros(1, 1, *SHAPE), [1])[:1], *output_objectives([])]
    stack = np.random.default_rng(0).normal(size=(3, *SHAPE)).astype(np.float32)
    start = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    for begin in (np.zeros(SHAPE, np.float32), start):
        table = cohort_values(looking, objectives, stack, range(3), start=begin, batch_size=2).set_index("objective")
        for image, (_, person) in zip(stack, table.loc["layer-1_channel-0"].iterrows(), strict=True):
            a, b, c = (int(person[f"unit_{axis}"]) for axis in range(3))
            patch = (image - begin)[a : a + 3, b : b + 3, c : c + 3]
            assert image[a + 1, b + 1, c + 1] == image[1:-1, 1:-1, 1:-1].max() == pytest.approx(person["value"] - 7)
            assert person["per_norm"] == pytest.approx(patch[1, 1, 1] / np.linalg.norm(patch), rel=1e-4)
        with torch.no_grad():
            change = (looking(torch.from_numpy(stack)[:, None]) - looking(torch.from_numpy(begin)[None, None])).numpy()
        expected = change[:, 0] / np.linalg.norm((stack - begin).reshape(3, -1), axis=1)
        np.testing.assert_allclose(table.loc["output-high", "per_norm"], expected, rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(table.loc["output-low", "per_norm"], -expected, rtol=1e-3, atol=1e-6)


def test_an_input_made_for_a_linear_filter_beats_everybody_for_its_norm():
    """People reach far more at a hundredfold amplitude, and less for the size of what is seen."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv3d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 10 * 12 * 8, 1)).eval()
    network.requires_grad_(False)
    objectives = channel_objectives(network, torch.zeros(1, 1, *SHAPE), [1])
    stack = 100 * np.random.default_rng(0).normal(size=(6, *SHAPE)).astype(np.float32)
    settings = VisualisationSettings(start_noise=0, within_brain=False, jitter=0, scale=0, rotation=0)
    made = synthesise(network, objectives, SHAPE, settings)
    cohort = cohort_values(network, objectives, stack, range(6))
    reached, per_norm = [one.reached for one in made], [one.per_norm for one in made]
    table = compare_with_cohort(objectives, reached, per_norm, cohort)
    assert table["percentile"].tolist() == [0, 0]
    assert table["percentile_per_norm"].tolist() == [100, 100]
    # With the right direction a person's patch comes as far as the synthesised input, and no farther.
    stack[0, 2:5, 2:5, 2:5] = 1000 * network[0].weight[0, 0].numpy()
    cohort = cohort_values(network, objectives, stack, range(6)).set_index("objective")
    best = float(network[0].weight[0].norm())
    assert cohort.loc["layer-1_channel-0", "per_norm"].iloc[0] == pytest.approx(best, rel=1e-4)
    assert cohort["per_norm"].max() <= best * 1.5


def test_without_a_receptive_field_there_is_no_response_per_norm(looking):
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv3d(1, 1, 3), nn.Conv3d(1, 1, 1)

        def forward(self, images):
            return self.second(nn.functional.max_pool3d(self.first(images), 2)).flatten(1).mean(dim=1, keepdim=True)

    network = Functional().eval().requires_grad_(False)
    stack = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype(np.float32)
    objectives = [Objective("known", 1, 0), Objective("unknown", 2, 0)]
    table = cohort_values(network, objectives, stack, [0, 1], brain=np.ones(SHAPE, dtype=bool)).set_index("objective")
    assert table.loc["known", "per_norm"].notna().all()
    assert table.loc["unknown", "per_norm"].isna().all()
    assert table["value"].notna().all()
    settings = VisualisationSettings(within_brain=False, steps=2)
    known, unknown = synthesise(network, objectives, SHAPE, settings)
    assert np.isfinite(known.per_norm)
    assert np.isnan(unknown.per_norm)
    compared = compare_with_cohort(objectives, [1, 1], [known.per_norm, unknown.per_norm], table.reset_index())
    assert compared["percentile_per_norm"].isna().tolist() == [False, True]


def test_nobody_is_named_where_nobody_is_asked_for(looking):
    objectives = channel_objectives(looking, torch.zeros(1, 1, *SHAPE), [1])
    cohort = cohort_values(looking, objectives, people_with_spots(), [0, 1])
    near = nearest_people(looking, objectives, cohort, torch.zeros(1, 1, *SHAPE), AFFINE, 0)
    some = nearest_people(looking, objectives, cohort, torch.zeros(1, 1, *SHAPE), AFFINE, 1)
    assert len(near) == 0
    assert list(near.columns) == list(some.columns)


def test_a_layer_of_a_single_unit_has_no_place():
    """A network that ends in a convolution over all that is left answers there."""
    network = nn.Sequential(nn.Conv3d(1, 1, 3), nn.ReLU(), nn.Conv3d(1, 2, (10, 12, 8)), nn.Flatten()).eval()
    network.requires_grad_(False)
    stack = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype(np.float32)
    objectives = [Objective("map", 1, 0), Objective("answer", 2, 0)]
    cohort = cohort_values(network, objectives, stack, [0, 1]).set_index("objective")
    assert cohort["unit_0"].isna().groupby("objective").all().to_dict() == {"map": False, "answer": True}
    assert cohort["per_norm"].notna().all()
    near = nearest_people(network, objectives, cohort.reset_index(), torch.zeros(1, 1, *SHAPE), AFFINE, 1)
    compared = compare_with_cohort(objectives, [1, 1], [1, 1], cohort.reset_index())
    compared, near = without_answers(compared, near, cohort.reset_index())
    assert near["objective"].tolist() == ["map"]
    assert compared["cohort_median"].isna().tolist() == [False, True]


def test_means_are_held_against_means(looking):
    objectives = channel_objectives(looking, torch.zeros(1, 1, *SHAPE), [1])
    stack = np.full((1, *SHAPE), 2.0, dtype=np.float32)
    values = cohort_values(looking, objectives, stack, [0], where="everywhere")["value"]
    assert values.tolist() == [2, -2]


def test_outputs_have_no_place_and_low_ones_are_sorted_from_below(looking):
    objectives = output_objectives([])
    stack = np.random.default_rng(0).normal(size=(6, *SHAPE)).astype(np.float32)
    cohort = cohort_values(looking, objectives, stack, range(6))
    with torch.no_grad():
        outputs = looking(torch.from_numpy(stack)[:, None])[:, 0].numpy()
    for name in ("output-high", "output-low"):
        np.testing.assert_allclose(cohort.loc[cohort["objective"] == name, "value"], outputs, rtol=1e-5)
    near = nearest_people(looking, objectives, cohort, torch.zeros(1, 1, *SHAPE), AFFINE, 3)
    assert near["row"].tolist() == [*np.argsort(-outputs)[:3], *np.argsort(outputs)[:3]]
    assert near["x_mm"].isna().all()


def test_neither_the_batches_nor_the_order_of_people_matter():
    torch.manual_seed(0)
    network = fold_batchnorm(VoxelCNN(shape=SHAPE, channels=2, blocks=2).eval())
    stack = np.random.default_rng(1).normal(size=(5, *SHAPE)).astype(np.float32)
    objectives = [*output_objectives("FM"), *channel_objectives(network, torch.zeros(1, 1, *SHAPE), [2, 1])]
    table = cohort_values(network, objectives, stack, [4, 0, 2], batch_size=8)
    assert table["row"].tolist() == np.repeat([4, 0, 2], 8).tolist()
    assert table["objective"].tolist() == 3 * [o.name for o in objectives]
    again = cohort_values(network, objectives, stack, [2, 4, 0], batch_size=1)
    keys = ["row", "objective"]
    pd.testing.assert_frame_equal(
        again.sort_values(keys, ignore_index=True), table.sort_values(keys, ignore_index=True), rtol=1e-4, atol=1e-5
    )
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
    with pytest.raises(ValueError, match="no rows"):
        cohort_values(network, objectives, stack, [])


def test_percentiles():
    objectives = [Objective("a", 1, 0), Objective("b", None, 1, "M"), Objective("low", None, 0, "low", -1)]
    cohort = pd.DataFrame({"row": [0, 1, 2, 3] * 3, "objective": np.repeat(["a", "b", "low"], 4)})
    cohort["value"], cohort["per_norm"] = [1, 2, 3, 4] * 3, [0.1, 0.2, 0.3, np.nan] * 3
    table = compare_with_cohort(objectives, [3, 9, 1.5], [0.25, np.nan, 0.5], cohort)
    assert list(table.columns) == [
        *("objective", "layer", "channel", "label", "reached", "cohort_min", "cohort_median", "cohort_max"),
        *("percentile", "reached_per_norm", "cohort_max_per_norm", "percentile_per_norm", "people"),
    ]
    # Of an objective that is lowered: the share of the people who have more.
    assert table["percentile"].tolist() == [62.5, 100, 75]
    assert table["percentile_per_norm"].tolist() == pytest.approx([200 / 3, np.nan, 100], nan_ok=True)
    assert table["cohort_max_per_norm"].tolist() == [0.3] * 3
    assert table.loc[0, ["cohort_min", "cohort_median", "cohort_max", "people"]].tolist() == [1, 2.5, 4, 4]
    assert compare_with_cohort(objectives[:1], [0], [0], cohort)["percentile"].tolist() == [0]
