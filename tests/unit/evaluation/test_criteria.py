"""The criteria as a whole: what is right passes each of them, what ignores the network or shows nothing fails.

Everything here is in closed form or a few matrix products: images of noise with a bright block in one class, and linear
networks whose weights are the difference of the classes' means.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.ndimage import gaussian_gradient_magnitude
from torch import nn

from voxplain.attribution.method import Attribution, Method, weighted_score
from voxplain.attribution.registry import METHODS, explain
from voxplain.base.files import write_image, write_table
from voxplain.evaluation import retraining
from voxplain.evaluation.agreement import compare_methods
from voxplain.evaluation.faithfulness import curves
from voxplain.evaluation.faithfulness_tables import summarise_areas
from voxplain.evaluation.inference import permutation_test, target_contrasts
from voxplain.evaluation.inference_tables import summarise_test
from voxplain.evaluation.localization import score_people
from voxplain.evaluation.masked_accuracy import measure_masks, soft_mask
from voxplain.evaluation.masked_tables import summarise_masked, summarise_retraining
from voxplain.evaluation.permutations import draw_exchanges, log_arrangements, smallest_p
from voxplain.evaluation.randomization import randomization_test
from voxplain.evaluation.randomization_tables import SHUFFLED, summarise_folds, survives
from voxplain.evaluation.replacement import Replacement
from voxplain.evaluation.reproducibility import Comparison, measure
from voxplain.evaluation.reproducibility_tables import pool_variants
from voxplain.evaluation.shuffled_truth import score_beside_chance, shuffle_truth
from voxplain.evaluation.verdicts import CRITERIA, Thresholds, judge_methods
from voxplain.imaging.grid import COMMON, Grid
from voxplain.models.exchange import exchangeable_blocks
from voxplain.models.prediction import predict
from voxplain.models.settings import TrainingSettings
from voxplain.models.voxel_cnn import VoxelCNN
from voxplain.population.threshold import top_voxels
from voxplain.population.weights import joint_map

SHAPE, N, FOLDS, EFFECT = (16, 16, 16), 96, range(4), 1.5
GRID = Grid(SHAPE, COMMON.affine)
BRAIN, BLOCK = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
BRAIN[1:-1, 1:-1, 1:-1] = True
BLOCK[3:8, 4:9, 3:7] = True
IDS, LABELS, METHOD = [f"p{i:02d}" for i in range(N)], ["A", "B"], "gradient_x_input"
PEOPLE = pd.DataFrame(
    {"participant_id": IDS, "fold": np.arange(N) // 2 % len(FOLDS), "target": LABELS * (N // 2), "row": range(N)}
)
# Labels that know nothing: of every class and fold half of the people have either.
SHUFFLED_LABELS = PEOPLE.assign(target=[LABELS[i // 8 % 2] for i in range(N)])
METADATA = {"task": "classification", "labels": LABELS, "target_mean": None, "target_sd": None}
HOW = ("difference", LABELS, "mean_signed", "none", 0.0, BRAIN)
# A sixth is left out, another one for every seed, as the inner validation of a training does.
SEEDS = {name: np.arange(N) // 16 % 6 != sixth for sixth, name in enumerate(("original", "seed"))}
CONTRAST = torch.tensor([[-1.0, 1.0]])


@dataclass(frozen=True)
class NoSettings:
    pass


def gradient_x_input(network, images, targets, settings, context):
    images = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(weighted_score(network(images), targets).sum(), images)
    return Attribution((gradient * images).detach()[:, 0], np.zeros(len(images)))


def edges(network, images, targets, settings, context):
    """The same whatever the network: the edges of the image."""
    found = [gaussian_gradient_magnitude(image[0].numpy(), 1) for image in images]
    return Attribution(torch.from_numpy(np.stack(found)), np.zeros(len(images)))


@pytest.fixture(autouse=True)
def methods(monkeypatch):
    monkeypatch.setitem(METHODS, METHOD, Method(METHOD, gradient_x_input, NoSettings, contribution=True))
    monkeypatch.setitem(METHODS, "edges", Method("edges", edges, NoSettings, signed=False))


@pytest.fixture(scope="module")
def stack():
    images = np.random.default_rng(7).normal(size=(N, *SHAPE)).astype(np.float32) * BRAIN
    images[1::2, BLOCK] += EFFECT
    return images


@pytest.fixture(scope="module")
def places():
    return shuffle_truth(BLOCK, BRAIN, 199, seed=1)


def fitted(images, targets):
    """A linear network: the difference of the classes' means as weights, the answer changes halfway."""
    of_class = [images[(targets == label).to_numpy()].mean(axis=0).ravel() for label in LABELS]
    weights = of_class[1] - of_class[0]
    weights *= 2 / (weights**2).sum()
    linear = nn.Linear(weights.size, 2)
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(np.stack([-weights, weights])))
        level = float(weights @ sum(of_class) / 2)
        linear.bias.copy_(torch.tensor([level, -level]))
    return nn.Sequential(nn.Flatten(), linear)


def networks(stack, people=PEOPLE, chosen=SEEDS["original"]):
    """A network of every fold, which has not seen the fold's people."""
    known = [(people["fold"] != fold).to_numpy() & chosen for fold in FOLDS]
    return [fitted(stack[rows], people["target"][rows]) for rows in known]


def maps_of(stack, models, people=PEOPLE):
    """The held-out map of every person, by id."""
    found = {}
    for fold, model in zip(FOLDS, models, strict=True):
        rows = np.flatnonzero(people["fold"] == fold)
        volumes = explain(METHOD, model, stack[rows, None], CONTRAST.repeat(len(rows), 1)).numpy()
        found |= dict(zip(people["participant_id"].iloc[rows], volumes, strict=True))
    return found


def save(folder, maps, people):
    for person in people:
        write_image(maps[person], GRID.affine, folder / f"sub-{person}_map.nii.gz", compression=1)
    write_table(pd.DataFrame({"participant_id": people, "target": "A"}), folder / "maps.tsv")
    return [folder]


def localization(maps, control, places):
    """Maps of networks that learned, and of those that learned from shuffled labels, joined by the labels of each."""
    joined = {"population": joint_map(maps.items(), PEOPLE, *HOW)}
    joined[SHUFFLED] = joint_map(control.items(), SHUFFLED_LABELS, *HOW)
    rows = [score_beside_chance(volume, BLOCK, BRAIN, places) | {"level": level} for level, volume in joined.items()]
    people = score_people(maps.items(), BLOCK, BRAIN).assign(level="people")
    return pd.concat([pd.DataFrame(rows), people], ignore_index=True).assign(method=METHOD, group="joint")


def randomization(method, stack, models, controls):
    """The tables of the randomisation test over all folds, with four people of each."""
    folds = []
    for fold, model, control in zip(FOLDS, models, controls, strict=True):
        tested = PEOPLE[PEOPLE["fold"] == fold][:4]
        images, targets = stack[tested["row"], None], CONTRAST.repeat(4, 1)
        ids = list(tested["participant_id"])
        folds.append(randomization_test(model, method, images, targets, BRAIN, {}, fold, ids, shuffled=control))
    table = summarise_folds(folds)
    return {"randomization": table, "randomization_verdicts": survives(table)}


def faithfulness(stack, models, maps):
    areas, replacement = [], Replacement("mean", stack.mean(axis=0))
    for fold, model in zip(FOLDS, models, strict=True):
        tested = PEOPLE[PEOPLE["fold"] == fold][:6]
        ids = list(tested["participant_id"])
        _, area = curves(
            model, [(person, maps[person]) for person in ids], stack, list(tested["row"]), ids, list(tested["target"]),
            METADATA, BRAIN, replacement, shares=(0, 2, 5, 10, 20, 50, 100),
        )  # fmt: skip
        areas.append(area.assign(method=METHOD, fold=fold))
    return summarise_areas(areas)


def closed_form(images, people, fold, *_):
    """Stands in for a training: a fit and its answers."""
    images, known = images[np.arange(N)], (people["fold"] != fold).to_numpy()
    model, tested = fitted(images[known], people["target"][known]), np.flatnonzero(~known)
    guesses = predict(model, images, tested, METADATA, "cpu")
    return model, people.iloc[tested][["participant_id", "fold", "target"]].reset_index(drop=True).join(guesses)


def retrained(stack, maps, folder):
    settings, tables = TrainingSettings(labels=LABELS), []
    for fold in FOLDS:
        known = PEOPLE[PEOPLE["fold"] != fold].reset_index(drop=True)
        own = joint_map([(person, maps[person]) for person in known["participant_id"]], known, *HOW)
        for name, volumes in ((METHOD, [own]), ("random", retraining.random_maps(own, BRAIN, 2, 1, fold))):
            table = retraining.retrain(
                stack, PEOPLE, fold, volumes, BRAIN, [5], ["removed"], settings, "cpu", 1, folder / str(fold)
            )
            tables.append(table.assign(method=name, fold=fold))
    predictions = [closed_form(stack, PEOPLE, fold)[1] for fold in FOLDS]
    return summarise_retraining(tables, predictions, PEOPLE["target"], "classification", LABELS)


def masked(stack, models, joint):
    strongest = top_voxels(joint, BRAIN, round(0.05 * BRAIN.sum())).astype(np.float32)
    masks = {(METHOD, "joint", "soft"): soft_mask(joint, BRAIN), (METHOD, "joint", "threshold"): strongest}
    networks = dict(zip(FOLDS, models, strict=True))
    parts = [
        measure_masks(networks, stack, PEOPLE, dict.fromkeys(FOLDS, METADATA), masks, BRAIN, "none", draws=39, seed=1)
    ]
    return summarise_masked(parts, PEOPLE["target"], "classification", LABELS)


def reproducibility(stack, maps, folder):
    """Of 32 people: networks with another sixth left out, and networks of other folds."""
    other = PEOPLE.assign(fold=np.arange(N) // 4 % len(FOLDS))
    again = {
        "seed-1": maps_of(stack, networks(stack, chosen=SEEDS["seed"])),
        "folds-1": maps_of(stack, networks(stack, other), other),
    }
    folders = {name: save(folder / name, own, IDS[:32]) for name, own in again.items()}
    table = measure(save(folder / "own", maps, IDS[:32]), folders, PEOPLE, Comparison(BRAIN, *HOW[:2], grid=GRID))
    return pool_variants([table.assign(method=METHOD)])


def inference(maps):
    blocks = exchangeable_blocks(PEOPLE)
    contrasts = target_contrasts(PEOPLE, draw_exchanges(blocks, 99, 1), "classification", LABELS)
    tested = permutation_test(np.stack([maps[person][BRAIN] for person in IDS]), contrasts)
    least = smallest_p(99, log_arrangements(blocks, PEOPLE["target"]))
    return summarise_test(tested, contrasts, 0.05).assign(method=METHOD, smallest_p=least)


def test_gradient_x_input_of_a_linear_network_passes_every_criterion(stack, places, tmp_path, monkeypatch):
    """The one map that is known to be right.

    A network with shuffled labels is joined by these labels: the whole analysis under a null. The repeats of networks
    share most of their people, as those of a training with another seed do; maps of networks of disjoint people agree
    where the effect is and nowhere else (see below).
    """
    models, controls = networks(stack), networks(stack, SHUFFLED_LABELS)
    maps, control = maps_of(stack, models), maps_of(stack, controls, SHUFFLED_LABELS)
    joint = joint_map(maps.items(), PEOPLE, *HOW)
    gradient = np.mean([model[1].weight[1].detach().numpy().reshape(SHAPE) for model in models], axis=0)
    monkeypatch.setattr(retraining, "train_and_test", closed_form)
    tables = {
        "localization": localization(maps, control, places),
        **randomization(METHOD, stack, models, controls),
        "faithfulness": faithfulness(stack, models, maps),
        "retraining": retrained(stack, maps, tmp_path / "retraining"),
        "masked_accuracy": masked(stack, models, joint),
        "reproducibility": reproducibility(stack, maps, tmp_path),
        "inference": inference(maps),
        "agreement": compare_methods({METHOD: joint, "gradient": gradient}, BRAIN, "joint", [5], 50, 1),
    }
    table = judge_methods(tables, [METHOD], Thresholds()).set_index("criterion")
    assert table["verdict"].to_dict() == dict.fromkeys(CRITERIA, "passes"), table[["value", "chance", "threshold"]]


def test_a_map_that_ignores_the_network_fails_randomisation(stack):
    """Edges of the image: alike whatever the network, one with shuffled labels included."""
    models = []
    for seed in range(2 * len(FOLDS)):
        torch.manual_seed(seed)
        models.append(VoxelCNN(shape=SHAPE, channels=2, blocks=2))
    tables = randomization("edges", stack, models[:4], models[4:])
    assert tables["randomization_verdicts"]["survives"].tolist() == [True]
    found = judge_methods(tables, ["edges"], Thresholds()).set_index("criterion")
    for criterion in ("randomization", "shuffled_labels"):
        assert found.loc[criterion, "verdict"] == "fails"
        assert found.loc[criterion, "value"] == pytest.approx(1)


def test_differences_of_contributions_between_classes_show_the_images_whatever_the_network_learned(stack, places):
    """What a difference by the true labels finds is no merit of the network: weights × difference of the images.

    The same maps joined by the labels that the network was trained on find nothing.
    """
    control = maps_of(stack, networks(stack, SHUFFLED_LABELS), SHUFFLED_LABELS)
    by_truth, by_shuffled = (
        score_beside_chance(joint_map(control.items(), people, *HOW), BLOCK, BRAIN, places)
        for people in (PEOPLE, SHUFFLED_LABELS)
    )
    assert by_truth["auc"] > 0.75
    assert by_truth["auc_p"] <= 0.05 < by_shuffled["auc_p"]


def test_maps_of_networks_of_disjoint_people_agree_where_the_effect_is_only(stack, tmp_path):
    """All voxels count alike: a truth of 4 % of the brain cannot make the others reproducible."""
    halves = [maps_of(stack, networks(stack, chosen=np.arange(N) // 16 % 2 == half)) for half in (0, 1)]
    folders = [save(tmp_path / str(half), maps, IDS[:16]) for half, maps in enumerate(halves)]

    def found(where):
        table = measure(folders[0], {"seed-1": folders[1]}, PEOPLE, Comparison(where, *HOW[:2], grid=GRID))
        return table.set_index(["level", "measure"])["value"]

    names = [("people", "spearman"), ("voxels", "icc_consistency")]
    assert (found(BLOCK)[names] > 0.8).all()
    assert (found(BRAIN & ~BLOCK)[names].abs() < 0.1).all()
