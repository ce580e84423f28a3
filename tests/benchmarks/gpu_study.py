"""The parts of a study on one device: synthetic people, a network for each fold, and everybody's maps."""

import tempfile
from dataclasses import dataclass

import measuring  # noqa: F401  (puts the library on the path)
import numpy as np
import pandas as pd
from gpu_report import Report, amount, say, timed

LABELS = ("F", "M")
SEED = 1
# Seconds for everybody; for other numbers of people, folds or epochs they say nothing and are left out.
WANTED_S = {"training": 180.0, "perturbation": 600.0, "gradcam": 20.0, "guided_backprop": 20.0}
# A unit of work between two looks at the clock: as many people as are explained at once on a GPU.
AT_ONCE = 48
# The slowest last: what a limit of time cuts off is then the least.
SLOWEST = ("noise", "occlusion", "perturbation")


@dataclass(frozen=True)
class Study:
    """How large the study is.

    Attributes
    ----------
    shape : tuple of 3 int
        Voxels of the images.
    people, folds, epochs, batch, channels : int
    edge : int
        Of the matrices whose product gives the rate to compare with.
    """

    shape: tuple[int, int, int] = (58, 70, 58)
    people: int = 1113
    folds: int = 10
    epochs: int = 20
    batch: int = 45
    channels: int = 32
    edge: int = 8192

    @property
    def full(self) -> bool:
        return self == Study()


SMALL = Study(shape=(22, 24, 22), people=24, folds=2, epochs=1, batch=5, channels=2, edge=128)


def make_people(study: Study) -> tuple[np.ndarray, pd.DataFrame]:
    """Return images, float32 [people, D, H, W], and ``participant_id, fold, target`` of each.

    An image is a sum of 30 smooth fields with the person's own weights, plus noise in each voxel; one more field is
    there in one class alone.
    """
    generator = np.random.default_rng(SEED)
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in study.shape), indexing="ij")
    brain = (sum(axis**2 for axis in axes) < 0.9).astype(np.float32)
    # Plane waves of a few periods over the volume.
    waves = zip(generator.uniform(-6, 6, (30, 3)), generator.uniform(0, 2 * np.pi, 30), strict=True)
    fields = np.stack(
        [np.cos(sum(k * axis for k, axis in zip(wave, axes, strict=True)) + phase) for wave, phase in waves]
    )
    planted = np.exp(-sum((axis - place) ** 2 for axis, place in zip(axes, (0.3, -0.2, 0.1), strict=True)) / 0.05)
    basis = (np.concatenate([fields, planted[None]]) * brain).reshape(31, -1).astype(np.float32)
    classes = np.arange(study.people) % 2
    weights = np.column_stack([generator.normal(0, 0.3, (study.people, 30)), classes]).astype(np.float32)
    stack = (weights @ basis).reshape(study.people, *study.shape)
    for image in stack:
        image += 0.5 * generator.standard_normal(study.shape, dtype=np.float32) * brain
    ids = [f"{100000 + number}" for number in range(study.people)]
    folds = np.arange(study.people) // 2 % study.folds
    targets = [LABELS[one] for one in classes]
    return stack, pd.DataFrame({"participant_id": ids, "fold": folds, "target": targets})


def train_folds(study: Study, stack, people, device, report: Report) -> list[tuple[int, object]]:
    """Train a network for each fold and test it; return the networks with their folds."""
    from training_speed import operations, product_rate

    from voxplain.base.seeds import seed_for
    from voxplain.models.fold import train_and_test
    from voxplain.models.settings import TrainingSettings

    settings = TrainingSettings(
        arguments={"channels": study.channels}, labels=LABELS, epochs=study.epochs, batch_size=study.batch
    )
    networks, pieces, counted, right, peak, rate = [], [], 0, [], 0.0, None
    forward, both = (operations(study.shape, study.channels, training) for training in (False, True))
    for fold in range(study.folds):
        if not report.time_for(max(pieces, default=0)):
            break
        with tempfile.TemporaryDirectory() as state, timed(device) as piece:
            trained, guesses = train_and_test(
                stack, people, fold, settings, device, seed_for(SEED, "fold", fold), state
            )
        networks.append((fold, trained))
        pieces.append(piece["seconds"])
        right.append(float((guesses["prediction"] == guesses["target"]).mean()))
        fitted, validated = trained.metadata["people_trained"], trained.metadata["people_validated"]
        counted += study.epochs * (fitted * both + validated * forward) + len(guesses) * forward
        peak = max(peak, piece.get("peak_mb", 0.0))
        precision = trained.metadata["precision"]
        rate = rate or product_rate(device, precision, study.edge)
        spent = sum(pieces)
        report.add(
            "training",
            done=len(pieces),
            of=study.folds,
            seconds=spent,
            seconds_of_each=pieces,
            seconds_for_all=spent / len(pieces) * study.folds,
            samples_per_s=study.epochs * fitted * len(pieces) / spent,
            first_epoch_s=float(trained.history["seconds"].iloc[0]),
            other_epochs_s=float(trained.history["seconds"].iloc[1:].mean()) if study.epochs > 1 else None,
            precision=precision,
            operations=counted,
            share_of_peak=counted / spent / rate,
            accuracy=right,
            peak_gpu_mb=peak,
            wanted_s=WANTED_S["training"] if study.full else None,
        )
    found = report.facts.get("training")
    if found:
        say("training", amount(found), f"{found['samples_per_s']:.4g} samples/s, {found['precision']}, "
            f"{100 * found['share_of_peak']:.0f}% of the product's rate, accuracy {np.mean(right):.2f}")  # fmt: skip
    return networks


def map_people(study, stack, people, networks, methods, settings, device, report: Report) -> None:
    """Draw the maps of everybody by each method, from the network that has not seen them."""
    mean = stack.mean(axis=0)
    for method in sorted(methods, key=lambda name: SLOWEST.index(name) if name in SLOWEST else -1):
        noise = train_noise_models(stack, people, networks, settings, device, report) if method == "noise" else {}
        pieces, drawn, peak = [], 0, 0.0
        for fold, trained in networks:
            if method == "noise" and fold not in noise:
                continue
            rows = np.flatnonzero(people["fold"] == fold)
            for start in range(0, len(rows), AT_ONCE):
                some = rows[start : start + AT_ONCE]
                if not report.time_for(max(pieces, default=0)):
                    break
                with timed(device) as piece:
                    draw_maps(method, trained, stack, people, some, device, mean, noise.get(fold), settings)
                pieces.append(piece["seconds"])
                drawn, peak = drawn + len(some), max(peak, piece.get("peak_mb", 0.0))
                report.add(
                    method,
                    done=drawn,
                    of=study.people,
                    seconds=sum(pieces),
                    seconds_for_all=sum(pieces) / drawn * study.people,
                    peak_gpu_mb=peak,
                    wanted_s=WANTED_S.get(method) if study.full else None,
                )
        if method in report.facts:
            say(method, amount(report.facts[method]), f"{drawn / sum(pieces):.4g} maps/s")


def train_noise_models(stack, people, networks, settings, device, report: Report) -> dict:
    """Return the noise model of each fold that there is time for."""
    from voxplain.attribution.noise_model import NoiseSettings
    from voxplain.attribution.noise_training import train_noise

    models, pieces = {}, []
    for fold, trained in networks:
        if not report.time_for(max(pieces, default=0)):
            break
        rows = np.flatnonzero(people["fold"] != fold)
        with timed(device) as piece:
            facts = {**trained.metadata, "fold": fold}
            chosen = NoiseSettings(**settings.get("noise", {}))
            models[fold], _ = train_noise(trained.model, stack, rows, facts, chosen, device, SEED)
        pieces.append(piece["seconds"])
        report.add(
            "noise_training",
            done=len(pieces),
            of=len(networks),
            seconds=sum(pieces),
            seconds_for_all=sum(pieces) / len(pieces) * len(networks),
            peak_gpu_mb=piece.get("peak_mb", 0.0),
        )
    if pieces:
        say("noise_training", amount(report.facts["noise_training"]))
    return models


def draw_maps(method, trained, stack, people, rows, device, mean, noise_model, settings) -> None:
    import torch

    from voxplain.attribution.explaining import target_kind
    from voxplain.attribution.registry import attribute
    from voxplain.attribution.targets import target_weights
    from voxplain.models.prediction import network_outputs

    some = people.iloc[rows]
    logits = torch.from_numpy(network_outputs(trained.model, stack, rows, device)).float()
    weights = target_weights(target_kind(method, None, LABELS), logits, LABELS, list(some["target"]))
    attribute(
        method, trained.model, stack[rows][:, None], weights, participant_ids=list(some["participant_id"]), seed=SEED,
        mean_image=mean, noise_model=noise_model, **settings.get(method, {}),
    )  # fmt: skip
