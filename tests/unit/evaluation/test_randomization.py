"""Randomised layers: which, in what order, and what the similarity of maps then says of a method."""

import copy
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import randomize_network
import tabulate_randomization
from voxplain.attribution.method import Attribution, Method
from voxplain.attribution.registry import METHODS, explain
from voxplain.base.errors import InputError
from voxplain.base.files import read_table, write_array, write_image, write_table
from voxplain.evaluation.randomization import (
    cascade,
    label_shuffled,
    randomization_test,
)
from voxplain.evaluation.randomization_tables import summarise_folds, survives
from voxplain.evaluation.similarity import MEASURES
from voxplain.imaging.grid import COMMON
from voxplain.models.checkpoint import save_checkpoint
from voxplain.models.voxel_cnn import VoxelCNN

SHAPE = (10, 10, 10)
BRAIN = np.ones(SHAPE, bool)
IDS = ["p1", "p2", "p3"]
LAYERS = ["head.linear", "features.1.conv", "features.0.conv"]


@pytest.fixture
def model():
    torch.manual_seed(0)
    network = VoxelCNN(shape=SHAPE, channels=2, blocks=2, outputs=2).train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return network


@pytest.fixture
def images():
    return torch.from_numpy(np.random.default_rng(1).normal(size=(3, 1, *SHAPE)).astype(np.float32))


@pytest.fixture
def contrast():
    return torch.tensor([[-1.0, 1.0]]).repeat(3, 1)


def state(network, name):
    return {key: value for key, value in network.state_dict().items() if key.startswith(name)}


def same(a, b):
    return all(torch.equal(a[key], b[key]) for key in a)


def block(name):
    return name.removesuffix(".conv")


def test_layers_from_the_output_down_each_step_on_top_of_the_last(model, images):
    before = model
    steps = list(cascade(model, 3, images))
    assert [(name, layers) for name, layers, _ in steps] == [(name, i + 1) for i, name in enumerate(LAYERS)]
    for name, layers, network in steps:
        assert not network.training
        part = state(network, name)
        assert all(not torch.equal(part[key], value) for key, value in state(model, name).items())
        for higher in LAYERS[: layers - 1]:
            assert same(state(network, higher), state(before, higher))
        for lower in LAYERS[layers:]:  # with its BatchNorm
            assert same(state(network, block(lower)), state(model, block(lower)))
        before = network
    norm = steps[-1][2].features[0].norm
    assert torch.equal(norm.weight, torch.ones(2))
    assert torch.equal(norm.bias, torch.zeros(2))


def test_the_network_and_the_random_generator_are_left_as_they_were(model, images, contrast):
    model.features[0].eval()
    modes = [module.training for module in model.modules()]
    before, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    randomization_test(model, "guided_backprop", images, contrast, BRAIN, {}, 0, IDS)
    assert same(before, model.state_dict())
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert torch.equal(random, torch.get_rng_state())


class Backwards(nn.Module):
    """Registered from the last layer to the first; BatchNorm at the very beginning and after the hidden layer."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(4, 1)
        self.norm = nn.BatchNorm1d(4)
        self.hidden = nn.Linear(1000, 4)
        self.first = nn.BatchNorm3d(1)

    def forward(self, images):
        return self.last(self.norm(self.hidden(self.first(images).flatten(1))))


def test_the_order_is_that_of_execution(images):
    steps = list(cascade(Backwards(), 0, images))
    assert [name for name, _, _ in steps] == ["last", "hidden", "first"]
    statistics = [network.norm.running_var for _, _, network in steps]
    assert torch.equal(statistics[0], torch.ones(4))
    assert not torch.equal(statistics[1], torch.ones(4))


def test_new_weights_depend_on_the_seed_and_the_name_of_the_layer_only(model, images):
    torch.manual_seed(99)
    steps, again, other = (list(cascade(model, seed, images)) for seed in (3, 3, 4))
    assert same(steps[-1][2].state_dict(), again[-1][2].state_dict())
    for name in LAYERS:
        assert not torch.equal(steps[-1][2].get_submodule(name).weight, other[-1][2].get_submodule(name).weight)
    alone = nn.Sequential()
    alone.add_module("features", nn.Sequential(model.features[0]))  # the same name without the layers above it
    *_, (_, _, network) = cascade(alone, 3, images)
    assert torch.equal(network.features[0].conv.weight, steps[-1][2].features[0].conv.weight)


def test_statistics_of_batchnorm_are_those_of_a_pass_in_training_mode(model, images):
    """The statistics of the last step against torch's own, with momentum 1 and everybody in one batch."""
    *_, (_, _, network) = cascade(model, 3, images, batch_size=2)
    expected = copy.deepcopy(network)
    for module in expected.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.train()
            module.momentum = 1.0
            module.reset_running_stats()
    with torch.no_grad():
        expected(images)
    # Training divides by the variance with ddof 0, evaluation by that with ddof 1, of 3 · 8³ voxels: the second layer
    # sees the difference.
    for i, rtol in enumerate((1e-5, 1 / (3 * 8**3))):
        ours, theirs = network.features[i].norm, expected.features[i].norm
        torch.testing.assert_close(ours.running_mean, theirs.running_mean, rtol=rtol, atol=1e-6)
        torch.testing.assert_close(ours.running_var, theirs.running_var, rtol=rtol, atol=1e-6)


class Bare(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(1000, 1))

    def forward(self, images):
        return self.scale * self.body(images)


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1000, 1)

    def forward(self, images):
        return nn.functional.linear(images.flatten(1), self.linear.weight, self.linear.bias)


class Gained(nn.Linear):
    """A layer with a parameter that its reset_parameters, inherited from torch, knows nothing of."""

    def __init__(self):
        super().__init__(1000, 1)
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return self.gain * super().forward(x)


def test_what_cannot_be_randomised_is_named(images):
    with pytest.raises(InputError, match=r"network \(Bare\): cannot be reset"):
        next(cascade(Bare(), 0, images))
    with pytest.raises(InputError, match=r"linear \(Linear\): is not called by the network"):
        next(cascade(Functional(), 0, images))
    new = nn.Sequential(nn.Flatten(), nn.utils.parametrizations.weight_norm(nn.Linear(1000, 1)))
    with pytest.raises(InputError, match=r"1\.parametrizations\.weight \(.*ParametrizationList\): cannot be reset"):
        next(cascade(new, 0, images))
    with pytest.raises(InputError, match=r"1 \(Gained\): its reset_parameters leaves parameters as they are"):
        next(cascade(nn.Sequential(nn.Flatten(), Gained()), 0, images))


@dataclass(frozen=True)
class NoSettings:
    pass


@pytest.fixture
def edges(monkeypatch):
    """A method that draws the edges of the image whatever the network is."""

    def find(network, images, targets, settings, context):
        steps = torch.gradient(images[:, 0], dim=(1, 2, 3))
        return Attribution(torch.stack(steps).square().sum(0).sqrt(), np.zeros(len(images)))

    monkeypatch.setitem(METHODS, "edges", Method("edges", find, NoSettings, signed=False))


def test_a_method_that_ignores_the_network_survives(edges, model, images, contrast):
    table = randomization_test(model, "edges", images, contrast, BRAIN, {}, 0, IDS, shuffled=copy.deepcopy(model))
    assert len(table) == 2 * (len(LAYERS) + 2)
    np.testing.assert_allclose(table[list(MEASURES)].astype(float), 1)
    verdict = survives(table)
    assert verdict.to_numpy().tolist() == [["edges", "spearman", 2, pytest.approx(1), 0.5, True]]


@pytest.mark.parametrize("method", [("lrp", {"composite": "epsilon"}), ("smoothgrad", {"sigma": 0, "samples": 1})])
def test_the_gradient_of_a_linear_network_forgets(method):
    """Image ±1, so that the absolute maps share no factor. Then ρ has mean 0 and SD 1/√(n - 1) for every seed."""
    signs = np.sign(np.random.default_rng(2).normal(size=(2, 1, *SHAPE))).astype(np.float32)
    torch.manual_seed(5)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(1000, 1))
    tables = [
        randomization_test(linear, method[0], signs, torch.ones(2, 1), BRAIN, method[1], seed, ["a", "b"])
        for seed in range(5)
    ]
    for table in tables:
        step = table[(table["level"] == "people") & (table["layers"] == 1)].iloc[0]
        assert step["layer"] == "1"
        assert abs(step["spearman"]) < 4 / np.sqrt(999)
        assert abs(step["spearman_absolute"]) < 4 / np.sqrt(999)
        assert survives(table)["survives"].tolist() == [False]
    means = summarise_folds(tables).query("level == 'people' and layers == 1").iloc[0]
    assert abs(means["spearman"]) < 4 / np.sqrt(5 * 999)
    assert means["folds"] == 5


def test_the_ceiling_of_random_methods_is_measured(model, images, contrast):
    still = randomization_test(model, "guided_backprop", images, contrast, BRAIN, {}, 0, IDS)
    drawn = randomization_test(model, "smoothgrad", images, contrast, BRAIN, {"samples": 2}, 0, IDS)
    first = still[still["layers"] == 0]
    np.testing.assert_allclose(first[list(MEASURES)].astype(float), 1)
    assert first["layer"].tolist() == ["none", "none"]
    assert 0 < drawn["spearman"][0] < 0.999


def test_neither_batches_nor_the_order_of_people_play_a_part(model, images, contrast):
    def run(order, **more):
        ids = [IDS[i] for i in order]
        options = {"samples": 2}
        return randomization_test(model, "smoothgrad", images[order], contrast[order], BRAIN, options, 0, ids, **more)

    expected = run([0, 1, 2])
    for table in (run([0, 1, 2], batch_size=2), run([2, 0, 1], batch_size=1)):
        pd.testing.assert_frame_equal(table, expected, rtol=1e-3, atol=1e-3)


def test_a_network_trained_on_shuffled_labels(model, images, contrast):
    torch.manual_seed(8)
    other = VoxelCNN(shape=SHAPE, channels=2, blocks=2, outputs=2)
    table = randomization_test(model, "guided_backprop", images, contrast, BRAIN, {}, 0, IDS, shuffled=other)
    rows = table[table["test"] == "shuffled labels"]
    assert rows["layers"].isna().all()
    maps = [explain("guided_backprop", network, images, contrast) for network in (model, other)]
    pd.testing.assert_frame_equal(rows.reset_index(drop=True), label_shuffled("guided_backprop", *maps, BRAIN))


def test_noise_is_refused(model, images, contrast):
    with pytest.raises(InputError, match="noise cannot be tested by randomising layers"):
        randomization_test(model, "noise", images, contrast, BRAIN, {}, 0, IDS)


def test_from_networks_to_the_table(tmp_path):
    people = [f"{i:03d}" for i in range(8)]
    rng = np.random.default_rng(2)
    write_array(rng.standard_normal((8, *COMMON.shape), dtype=np.float32), tmp_path / "stack.npy")
    write_table(pd.DataFrame({"participant_id": people}), tmp_path / "index.tsv")
    folds = pd.DataFrame({"participant_id": people, "fold": [0, 0, 0, 0, 1, 1, 1, 1], "target": list("FMFMFMFM")})
    write_table(folds.sample(frac=1, random_state=0), tmp_path / "folds.tsv")
    brain = np.zeros(COMMON.shape, bool)
    brain[20:40, 20:40, 20:40] = True
    write_image(brain, COMMON.affine, tmp_path / "brain.nii.gz")
    write_image(np.zeros(COMMON.shape, np.float32), COMMON.affine, tmp_path / "mean.nii.gz")
    arguments = {"shape": list(COMMON.shape), "channels": 1, "blocks": 1, "outputs": 2, "dropout": 0.0}
    metadata = {"network": "VoxelCNN", "arguments": arguments, "task": "classification", "labels": ["F", "M"]}
    metadata |= {"target_mean": None, "target_sd": None, "fold": 0}
    for name in ("weights", "shuffled"):
        torch.manual_seed(len(name))
        save_checkpoint(VoxelCNN(**arguments), tmp_path / f"{name}.safetensors", metadata)
    inputs = [tmp_path / name for name in ("stack.npy", "index.tsv", "mean.nii.gz")]
    inputs += [tmp_path / "brain.nii.gz", tmp_path / "folds.tsv"]
    settings = {"target": "contrast", "people": 6, "batch_size": None, "samples": 1, "sigma": 0.1}
    randomize_network.run(
        dict.fromkeys((0, 1), tmp_path / "weights.safetensors"), *inputs, tmp_path / "smoothgrad.tsv",
        method="smoothgrad", settings=settings, people=2, seed=4, device=("cpu", 1),
        shuffled={1: tmp_path / "shuffled.safetensors"},
    )  # fmt: skip
    both = read_table(tmp_path / "smoothgrad.tsv")
    first = both[both["fold"] == 0]
    assert both["fold"].tolist() == [0] * 6 + [1] * 8
    assert first["layer"].tolist() == ["none"] * 2 + ["head.linear"] * 2 + ["features.0.conv"] * 2
    assert first["people"].eq(2).all()
    text = (tmp_path / "smoothgrad.tsv").read_text()
    assert not any(person in text.split() for person in people)
    tabulate_randomization.run(
        [tmp_path / "smoothgrad.tsv"], tmp_path / "table.tsv", tmp_path / "verdicts.tsv", threshold=0.5
    )
    table = read_table(tmp_path / "table.tsv")
    assert table["folds"].tolist() == [2] * 6 + [1] * 2
    assert table["test"].tolist() == ["cascade"] * 6 + ["shuffled labels"] * 2
    verdicts = read_table(tmp_path / "verdicts.tsv")
    assert list(verdicts) == ["method", "measure", "layers", "similarity", "threshold", "survives"]
    deep = both.query("level == 'people' and test == 'cascade' and layers >= 1")
    over_folds = deep.groupby("layers")["spearman"].agg(lambda own: np.sqrt((own**2).mean()))
    assert verdicts["similarity"].tolist() == pytest.approx([over_folds.max()])


def test_noise_is_refused_before_anything_is_read(tmp_path):
    missing = [tmp_path / "nowhere"] * 7
    with pytest.raises(InputError, match="noise cannot be tested"):
        randomize_network.run(
            *missing, method="noise", settings={}, people=2, seed=0, device=("cpu", 1), shuffled={}
        )  # fmt: skip
