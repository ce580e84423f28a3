import numpy as np
import pandas as pd
import pytest
import torch

from voxplain.base.errors import InputError
from voxplain.models import training
from voxplain.models.answers import Answers
from voxplain.models.checkpoint import load_checkpoint, save_checkpoint
from voxplain.models.holdout import hold_out
from voxplain.models.prediction import predict
from voxplain.models.settings import TrainingSettings
from voxplain.models.training import batches, train, training_precision


def settings_for(small, **changes):
    defaults = {"arguments": small, "labels": ["A", "B"], "epochs": 4, "batch_size": 5, "learning_rate": 3e-3}
    return TrainingSettings(**{**defaults, "milestones": (2,), **changes})


def assert_same(first, second):
    for (name, a), b in zip(first.model.state_dict().items(), second.model.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    pd.testing.assert_frame_equal(
        first.history.drop(columns="seconds"), second.history.drop(columns="seconds"), check_exact=True
    )


@pytest.fixture(params=["float32", "bfloat16"])
def precision(request, monkeypatch):
    """Train as on a processor without bfloat16 and as on one with it."""
    monkeypatch.setattr(training, "_processor_multiplies_bfloat16", lambda: request.param == "bfloat16")
    return request.param


def test_learns_and_predicts_people_it_has_not_seen(cohort, small, tmp_path):
    stack, labels = cohort
    result = train(stack, range(16), labels[:16], settings_for(small, epochs=16, milestones=(12,)), "cpu", seed=1)
    save_checkpoint(result.model, tmp_path / "w.safetensors", {**result.metadata, "fold": 0})
    model, metadata = load_checkpoint(tmp_path / "w.safetensors")
    predictions = predict(model, stack, range(16, 24), metadata, "cpu")
    assert (predictions["prediction"] == labels[16:]).mean() == 1
    assert not result.model.training
    assert metadata["labels"] == ["A", "B"]
    assert metadata["arguments"] == {**small, "shape": [12, 14, 10], "outputs": 2}
    assert metadata["people_trained"] + metadata["people_validated"] == 16


def test_same_arguments_same_network_and_other_seed_other_network(cohort, small, precision):
    stack, labels = cohort
    first, second, other = (train(stack, range(24), labels, settings_for(small), "cpu", seed) for seed in (1, 1, 2))
    assert_same(first, second)
    assert not torch.equal(first.model.head.linear.weight, other.model.head.linear.weight)


def test_the_precision_follows_from_the_device_and_the_setting(monkeypatch):
    cpu, gpu = torch.device("cpu"), torch.device("cuda", 0)
    for supported, on_gpu, on_cpu in ((True, torch.bfloat16, torch.bfloat16), (False, torch.float16, torch.float32)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda supported=supported, **_: supported)
        monkeypatch.setattr(training, "_processor_multiplies_bfloat16", lambda supported=supported: supported)
        assert training_precision(gpu, "auto") is on_gpu
        assert training_precision(cpu, "auto") is on_cpu
        assert training_precision(gpu, "never") is training_precision(cpu, "never") is torch.float32


def test_a_processor_that_only_emulates_bfloat16_computes_in_float32(monkeypatch):
    for capabilities, expected in (
        ({"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, torch.float32),
        ({"avx512_f": True, "avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
        ({"neon": True, "bf16": True}, torch.float32),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=capabilities: found, raising=False)
        assert training_precision(torch.device("cpu"), "auto") is expected


def test_weights_outputs_and_metadata_of_either_precision(cohort, small, precision, tmp_path):
    """Trained in 16 bits, the network is a float32 network near the one trained in float32."""
    stack, labels = cohort
    result = train(stack, range(24), labels, settings_for(small), "cpu", seed=1)
    assert {tensor.dtype for tensor in result.model.parameters()} == {torch.float32}
    save_checkpoint(result.model, tmp_path / "w.safetensors", {**result.metadata, "fold": 0})
    assert load_checkpoint(tmp_path / "w.safetensors")[1]["precision"] == precision
    exact = train(stack, range(24), labels, settings_for(small, amp="never"), "cpu", seed=1)
    assert exact.metadata["precision"] == "float32"
    guesses, expected = (predict(r.model, stack, range(24), r.metadata, "cpu")["p_B"] for r in (result, exact))
    if precision == "float32":
        assert_same(result, exact)
    else:
        assert not np.array_equal(guesses, expected)
    np.testing.assert_allclose(guesses, expected, atol=0.05)
    np.testing.assert_allclose(result.history["train_loss"], exact.history["train_loss"], rtol=0.05)


def test_a_processor_of_another_kind_does_not_go_on_with_a_training(cohort, small, tmp_path, monkeypatch, capfd):
    stack, labels = cohort
    monkeypatch.setattr(training, "_processor_multiplies_bfloat16", lambda: True)
    train(stack, range(24), labels, settings_for(small, epochs=1), "cpu", 1, resume_folder=tmp_path)
    monkeypatch.setattr(training, "_processor_multiplies_bfloat16", lambda: False)
    train(stack, range(24), labels, settings_for(small, epochs=1), "cpu", 1, resume_folder=tmp_path)
    assert "belongs to another training" in capfd.readouterr().err


def test_the_dropout_seed_changes_the_dropout_masks_alone(cohort, small):
    stack, labels = cohort
    for dropout, same in ((0.0, True), (0.5, False)):
        settings = settings_for({**small, "dropout": dropout})
        first, other = (train(stack, range(24), labels, settings, "cpu", 1, dropout_seed=seed) for seed in (None, 7))
        states = zip(first.model.state_dict().values(), other.model.state_dict().values(), strict=True)
        assert all(torch.equal(a, b) for a, b in states) == same


def test_order_in_which_people_are_given_does_not_matter(cohort, small):
    stack, labels = cohort
    families = [i // 2 for i in range(24)]
    order = np.random.default_rng(0).permutation(24)
    first = train(stack, range(24), labels, settings_for(small), "cpu", 1, groups=families)
    shuffled = [[column[i] for i in order] for column in (labels, families)]
    second = train(stack, order, np.array(shuffled[0]), settings_for(small), "cpu", 1, groups=np.array(shuffled[1]))
    assert_same(first, second)


@pytest.mark.parametrize("checkpoint", ["best", "last"])
@pytest.mark.parametrize("stop_after", [1, 3, 4])
def test_interrupted_and_resumed_equals_undisturbed(
    cohort, small, tmp_path, monkeypatch, checkpoint, stop_after, precision
):
    stack, labels = cohort
    settings = settings_for(small, checkpoint=checkpoint)
    undisturbed = train(stack, range(24), labels, settings, "cpu", 1)
    save = training.save_state

    def save_and_die(folder, key, state, *rest):
        save(folder, key, state, *rest)
        if len(state["history"]) == stop_after:
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "save_state", save_and_die)
    with pytest.raises(KeyboardInterrupt):
        train(stack, range(24), labels, settings, "cpu", 1, resume_folder=tmp_path)
    epochs_saved = []
    monkeypatch.setattr(training, "save_state", lambda *a: epochs_saved.append(len(a[2]["history"])) or save(*a))
    resumed = train(stack, range(24), labels, settings, "cpu", 1, resume_folder=tmp_path)
    assert epochs_saved == list(range(stop_after + 1, 5))
    assert_same(undisturbed, resumed)


def test_best_epoch_before_the_interruption_is_kept(cohort, small, tmp_path, monkeypatch):
    """The validation loss is made to be lowest after epoch 1; the training dies after epoch 3."""
    stack, labels = cohort
    validate, save = training._Training._validate, training.save_state
    monkeypatch.setattr(
        training._Training, "_validate", lambda self: {**validate(self), "validation_loss": len(self.history) + 1.0}
    )
    undisturbed = train(stack, range(24), labels, settings_for(small), "cpu", 1)
    first_epoch = train(stack, range(24), labels, settings_for(small, epochs=1), "cpu", 1)

    def save_and_die(folder, key, state, *rest):
        save(folder, key, state, *rest)
        if len(state["history"]) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "save_state", save_and_die)
    with pytest.raises(KeyboardInterrupt):
        train(stack, range(24), labels, settings_for(small), "cpu", 1, resume_folder=tmp_path)
    resumed = train(stack, range(24), labels, settings_for(small), "cpu", 1, resume_folder=tmp_path)
    assert_same(undisturbed, resumed)
    for name, tensor in first_epoch.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], tensor), name


def test_state_of_another_training_and_damaged_state_are_not_used(cohort, small, tmp_path, capfd):
    stack, labels = cohort
    expected = train(stack, range(24), labels, settings_for(small), "cpu", 1)
    other_images = stack + np.float32(0.1)
    train(other_images, range(24), labels, settings_for(small, epochs=1), "cpu", 1, resume_folder=tmp_path)
    assert_same(expected, train(stack, range(24), labels, settings_for(small), "cpu", 1, resume_folder=tmp_path))
    assert "belongs to another training" in capfd.readouterr().err
    (tmp_path / "epoch.safetensors").write_bytes(b"half a file")
    assert_same(expected, train(stack, range(24), labels, settings_for(small), "cpu", 1, resume_folder=tmp_path))
    assert "is damaged" in capfd.readouterr().err


def test_changed_images_alone_are_another_training(cohort, small, tmp_path, capfd):
    stack, labels = cohort
    train(stack, range(24), labels, settings_for(small, epochs=1), "cpu", 1, resume_folder=tmp_path)
    train(stack * 2, range(24), labels, settings_for(small, epochs=1), "cpu", 1, resume_folder=tmp_path)
    assert "belongs to another training" in capfd.readouterr().err


def test_history_and_best_epoch(cohort, small):
    stack, labels = cohort
    result = train(stack, range(24), labels, settings_for(small, epochs=6, learning_rate=0.05), "cpu", 1)
    history = result.history
    columns = "epoch train_loss train_accuracy validation_loss validation_accuracy learning_rate seconds best"
    assert " ".join(history) == columns
    assert history["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(history["learning_rate"], [0.05, 0.05, 0.005, 0.005, 0.005, 0.005])
    assert history["best"].tolist() == (history.index == history["validation_loss"].argmin()).tolist()
    assert result.metadata["epoch"] == history["epoch"][history["best"]].item()


def test_weights_returned_are_those_of_the_best_epoch(cohort, small, monkeypatch):
    """The validation loss is made to be lowest after epoch 2."""
    stack, labels = cohort
    seen = []
    validate = training._Training._validate

    def rigged(self):
        seen.append({name: tensor.clone() for name, tensor in self.model.state_dict().items()})
        return {**validate(self), "validation_loss": [3.0, 1.0, 2.0, 1.0][len(seen) - 1]}

    monkeypatch.setattr(training._Training, "_validate", rigged)
    best = train(stack, range(24), labels, settings_for(small), "cpu", 1)
    assert best.history["best"].tolist() == [False, True, False, False]
    for name, tensor in best.model.state_dict().items():
        assert torch.equal(tensor, seen[1][name]), name


def test_last_epoch_without_validation(cohort, small):
    stack, labels = cohort
    result = train(stack, range(24), labels, settings_for(small, checkpoint="last"), "cpu", 1)
    assert result.history["validation_loss"].isna().all()
    assert result.history["validation_accuracy"].isna().all()
    assert result.history["best"].tolist() == [False, False, False, True]
    assert (result.metadata["people_trained"], result.metadata["people_validated"]) == (24, 0)


@pytest.mark.parametrize("loss", ["mse", "l1"])
def test_regression_is_in_the_targets_unit(cohort, small, loss):
    stack, labels = cohort
    ages = [30.0 if label == "A" else 70.0 for label in labels]
    settings = settings_for(small, task="regression", labels=(), loss=loss, epochs=8, milestones=(), checkpoint="last")
    result = train(stack, range(24), ages, settings, "cpu", 1)
    assert (result.metadata["target_mean"], result.metadata["target_sd"]) == (50.0, 20.0)
    predictions = predict(result.model, stack, range(24), result.metadata, "cpu")
    assert (predictions["prediction"] - ages).abs().mean() < 12
    first, last = result.history["train_mae"].iloc[[0, -1]]
    assert 10 < first < 60
    assert last < first


def test_scale_of_a_regression_comes_from_the_people_trained_on(cohort, small):
    stack, _ = cohort
    ages = np.arange(24) ** 2.0
    settings = settings_for(small, task="regression", labels=(), epochs=1)
    fitted, validated = hold_out(Answers(ages, False), settings.validation_fraction, 1)
    metadata = train(stack, range(24), ages, settings, "cpu", 1).metadata
    assert metadata["target_mean"] == pytest.approx(ages[fitted].mean())
    assert metadata["target_mean"] != pytest.approx(ages.mean())
    assert (metadata["people_trained"], metadata["people_validated"]) == (len(fitted), len(validated))


def test_a_loss_that_is_not_finite_stops_the_training(cohort, small):
    stack, labels = cohort
    broken = stack.copy()
    broken[:, 5, 5, 5] = np.inf
    with pytest.raises(InputError, match=r"train and validation loss of epoch 1 is not finite.*learning_rate"):
        train(broken, range(24), labels, settings_for(small), "cpu", 1)


def test_people_that_cannot_be_trained_on(cohort, small):
    stack, _ = cohort
    with pytest.raises(InputError, match="all have the same target"):
        train(stack, [0, 2, 4], ["A"] * 3, settings_for(small, checkpoint="last"), "cpu", 1)
    with pytest.raises(ValueError, match="more than once"):
        train(stack, [0, 1, 1], ["A", "B", "B"], settings_for(small), "cpu", 1)
    with pytest.raises(ValueError, match="3 rows but 2 targets"):
        train(stack, [0, 1, 2], ["A", "B"], settings_for(small), "cpu", 1)
    with pytest.raises(InputError, match="'C'"):
        train(stack, [0, 1, 2], ["A", "B", "C"], settings_for(small), "cpu", 1)


def test_the_callers_random_numbers_are_left_alone(cohort, small):
    stack, labels = cohort
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(stack, range(24), labels, settings_for(small, epochs=1), "cpu", 1)
    assert torch.equal(torch.rand(3), expected)


def test_a_last_batch_of_one_person_is_left_out():
    assert [list(b) for b in batches(np.arange(7), 3, drop_single=True)] == [[0, 1, 2], [3, 4, 5]]
    assert [list(b) for b in batches(np.arange(7), 3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [list(b) for b in batches(np.arange(8), 3, drop_single=True)] == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert [list(b) for b in batches(np.arange(1), 3, drop_single=True)] == [[0]]
    assert batches(np.arange(0), 3) == []


def test_one_message_names_every_impossible_setting():
    with pytest.raises(InputError) as caught:
        TrainingSettings(
            task="ranking", epochs=0, batch_size=1, learning_rate=0, weight_decay=-1, gamma=0, loss="l3",
            checkpoint="first", validation_fraction=0.7, amp="on", arguments={"shape": (1, 2, 3)},
        )  # fmt: skip
    words = (
        "task 'ranking'", "epochs 0", "batch_size 1", "learning_rate 0", "weight_decay -1", "gamma 0", "loss 'l3'",
        "checkpoint 'first'", "validation_fraction 0.7", "amp 'on'", "must not set shape",
    )  # fmt: skip
    assert [word for word in words if word not in str(caught.value)] == []
    with pytest.raises(InputError, match=r"labels \['A'\]: a classification needs at least two"):
        TrainingSettings(labels=["A"])
