"""Training against a plain loop of torch's own parts: same losses, same weights."""

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from voxplain.base.seeds import seed_for, stream
from voxplain.models.metrics import fold_metrics
from voxplain.models.prediction import predict
from voxplain.models.settings import TrainingSettings
from voxplain.models.training import train
from voxplain.models.voxel_cnn import VoxelCNN

SHAPE, SEED = (12, 10, 14), 4


def plain_network():
    """The same network of unnamed layers, in torch's usual memory layout, as the paper's code would write it."""
    return nn.Sequential(
        nn.Conv3d(1, 2, 3), nn.BatchNorm3d(2), nn.ReLU(), nn.MaxPool3d(2),
        nn.Conv3d(2, 4, 3), nn.BatchNorm3d(4), nn.ReLU(), nn.MaxPool3d(2),
        nn.Flatten(), nn.Dropout(0.3), nn.Linear(4 * 1 * 1 * 2, 2), nn.LogSoftmax(dim=1),
    )  # fmt: skip


def test_same_as_a_plain_loop():
    torch.set_num_threads(1)
    stack = np.random.default_rng(0).normal(size=(11, *SHAPE)).astype(np.float32)
    answers = np.array([0, 1] * 5 + [0])
    settings = TrainingSettings(
        arguments={"channels": 2, "blocks": 2, "dropout": 0.3},
        labels=["A", "B"],
        epochs=4,
        batch_size=5,  # the last batch would have one person
        learning_rate=1e-2,
        weight_decay=1e-3,
        milestones=(1, 3),
        gamma=0.5,
        checkpoint="last",
        amp="never",
    )
    result = train(stack, range(11), ["AB"[i] for i in answers], settings, "cpu", SEED)

    torch.manual_seed(seed_for(SEED, "weights"))
    start = VoxelCNN(shape=SHAPE, outputs=2, channels=2, blocks=2, dropout=0.3)
    model = plain_network()
    model.load_state_dict(dict(zip(model.state_dict(), start.state_dict().values(), strict=True)))
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=1e-3)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimiser, [1, 3], gamma=0.5)
    losses, rates = [], []
    for epoch in range(1, 5):
        order = stream(SEED, "shuffle", epoch).permutation(11)
        torch.manual_seed(seed_for(SEED, "dropout", epoch))
        model.train()
        total = 0.0
        rates.append(scheduler.get_last_lr()[0])
        for places in (order[:5], order[5:10]):
            loss = nn.functional.nll_loss(
                model(torch.from_numpy(stack[places]).unsqueeze(1)), torch.from_numpy(answers[places])
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item() * 5
        losses.append(total / 10)
        scheduler.step()

    np.testing.assert_allclose(result.history["train_loss"], losses, rtol=1e-4)
    np.testing.assert_allclose(result.history["learning_rate"], rates)
    model.eval()
    with torch.no_grad():
        expected = model(torch.from_numpy(stack).unsqueeze(1)).exp().numpy()
    predictions = predict(result.model, stack, range(11), result.metadata, "cpu", batch_size=3)
    np.testing.assert_allclose(predictions[["p_A", "p_B"]], expected, atol=1e-4)
    metrics = fold_metrics(predictions.assign(target=["AB"[i] for i in answers]), "classification", ["A", "B"])
    assert metrics["accuracy"] == (expected.argmax(axis=1) == answers).mean()
    assert abs(metrics["auc"] - roc_auc_score(answers, expected[:, 1])) < 1e-12
