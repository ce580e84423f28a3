"""A network that was trained on shuffled labels has nothing to show, and no method finds anything in it."""

import numpy as np
import pandas as pd
import pytest
import torch

from voxplain.attribution import CONTRIBUTIONS
from voxplain.attribution.explaining import target_kind
from voxplain.attribution.registry import explain
from voxplain.attribution.targets import target_weights
from voxplain.evaluation.shuffled_truth import score_beside_chance, shuffle_truth
from voxplain.imaging.grid import COMMON
from voxplain.models.prediction import network_outputs
from voxplain.models.settings import TrainingSettings
from voxplain.models.training import train
from voxplain.population.weights import joint_map

SHAPE, N, LABELS, SMOOTHING = (18, 18, 18), 96, np.array(["A", "B"]), 6.0
BRAIN, BLOCK = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
BRAIN[1:-1, 1:-1, 1:-1] = True
BLOCK[3:8, 9:14, 4:9] = True
CLASSES, TESTED = np.arange(N) % 2, np.arange(N) // 2 % 4 == 0
SETTINGS = TrainingSettings(
    arguments={"channels": 4, "blocks": 2, "dropout": 0.0}, labels=list(LABELS), epochs=12, batch_size=8,
    learning_rate=3e-3, milestones=[], checkpoint="last",
)  # fmt: skip
METHODS = {
    "gradcam": {},
    "hirescam": {},
    "guided_backprop": {},
    "lrp": {},
    "smoothgrad": {"samples": 4},
    "integrated_gradients": {"steps": 8},
    "occlusion": {"window": 6, "stride": 4},
    "perturbation": {"iterations": 15, "jitters": 1},
}


@pytest.fixture(scope="module")
def stack():
    images = np.random.default_rng(0).normal(size=(N, *SHAPE)).astype(np.float32) * BRAIN
    images[1::2, BLOCK] += 1
    return images


@pytest.fixture(scope="module")
def places():
    return shuffle_truth(BLOCK, BRAIN, 199, seed=0)


def shuffled(seed):
    """Labels of which half of either class have either, among those trained on and among those tested."""
    labels, generator = CLASSES.copy(), np.random.default_rng(seed)
    for side in (TESTED, ~TESTED):
        for label in (0, 1):
            rows = generator.permutation(np.flatnonzero(side & (label == CLASSES)))
            labels[rows] = np.arange(len(rows)) % 2
    return labels


def localised(stack, labels, places):
    """Train with labels, explain who was left out, join by these labels: AUC and chance of every method."""
    known, rows = np.flatnonzero(~TESTED), np.flatnonzero(TESTED)
    model = train(stack, known, list(LABELS[labels[known]]), SETTINGS, "cpu", seed=1).model
    logits = torch.from_numpy(network_outputs(model, stack, rows, "cpu"))
    people = pd.DataFrame({"participant_id": [f"p{row:02d}" for row in rows], "target": LABELS[labels[rows]]})
    found = {}
    for method, settings in METHODS.items():
        targets = target_weights(target_kind(method, None, list(LABELS)), logits, LABELS)
        maps = explain(method, model, stack[rows, None], targets, mean_image=stack[known].mean(axis=0), **settings)
        how = "difference" if method in CONTRIBUTIONS else "mean"
        joint = joint_map(
            zip(people["participant_id"], maps.numpy(), strict=True), people, how, list(LABELS), "mean_signed", "none",
            SMOOTHING, BRAIN, COMMON.affine,
        )  # fmt: skip
        found[method] = score_beside_chance(joint, BLOCK, BRAIN, places)
    right = (logits.argmax(dim=1).numpy() == labels[rows]).mean()
    return pd.DataFrame(found).T[["auc", "auc_chance_95", "auc_p"]], right


def test_no_method_finds_in_a_network_of_shuffled_labels_what_nearly_all_find_in_one_of_true_labels(stack, places):
    """Over three shuffles: one network's maps are smooth and may lie anywhere, the right place included."""
    learned, accuracy = localised(stack, CLASSES, places)
    assert accuracy > 0.9
    assert (learned["auc_p"] <= 0.05).sum() >= 6
    null = [localised(stack, shuffled(seed), places)[0] for seed in (1, 2, 3)]
    mean = sum(null) / len(null)
    beyond = [method for method, row in mean.iterrows() if row["auc"] > row["auc_chance_95"]]
    assert not beyond
    assert (learned["auc"] > mean["auc"]).all()
    # 24 tests at 5 %: about one is expected to alarm.
    assert sum((one["auc_p"] <= 0.05).sum() for one in null) <= 4
