"""Synthetic maps of many people, and what the rules read beside them."""

from pathlib import Path

import numpy as np
import pandas as pd

FOLDS, PARTS, REGIONS = 10, 2, 100
CLASSES = ("F", "M")


def folds_of(folder: Path, count: int) -> Path:
    return folder / f"folds-{count}.tsv"


def write_people(folder: Path, count: int, seed: int = 0) -> None:
    """Write what the rules read: maps in a folder a fold and part, folds, families, brain mask and an atlas."""
    from scipy.ndimage import gaussian_filter

    from voxplain.base.files import write_image, write_table
    from voxplain.imaging.grid import COMMON, mni_brain

    generator, brain = np.random.default_rng(seed), mni_brain()
    # Shuffled, so that folds and classes do not follow the ids.
    ids = [f"{100000 + number}" for number in generator.permutation(count)]
    classes = [CLASSES[number % 2] for number in range(count)]
    folds = pd.DataFrame({"participant_id": ids, "fold": np.arange(count) // 2 % FOLDS, "target": classes})
    write_table(folds, folder / "folds.tsv")
    write_table(folds, folds_of(folder, count))
    # Pairs of twins of unequal sex among the first third, the others without relatives.
    families = [f"{number // 2:016x}" if number < count // 3 else None for number in range(count)]
    write_table(pd.DataFrame({"participant_id": ids, "group": families}), folder / "participants.tsv")
    write_image(brain, COMMON.affine, folder / "brain.nii.gz")
    coarse = np.argsort(generator.random(REGIONS)).astype(np.int32) + 1
    boxes = [np.arange(n) * parts // n for n, parts in zip(COMMON.shape, (5, 5, 4), strict=True)]
    labels = coarse[(boxes[0][:, None, None] * 5 + boxes[1][:, None]) * 4 + boxes[2]] * brain
    present = np.unique(labels)[1:]
    write_image(labels.astype(np.int32), COMMON.affine, folder / "atlas.nii.gz")
    names = {"index": present, "name": [f"Region {one}" for one in present], "hemisphere": "both"}
    write_table(pd.DataFrame(names), folder / "atlas.tsv")
    effect = gaussian_filter(generator.standard_normal(COMMON.shape, dtype=np.float32), 3.0) * 2
    for fold in range(FOLDS):
        own = folds[folds["fold"] == fold].sort_values("participant_id")
        for part in range(PARTS):
            here = own.iloc[part::PARTS]
            at = folder / "maps" / f"fold-{fold}_part-{part}"
            table = pd.DataFrame({"participant_id": here["participant_id"], "target": here["target"]})
            write_table(table.assign(explained="M-F", conservation=0.9), at / "maps.tsv")
            for person, target in zip(here["participant_id"], here["target"], strict=True):
                noise = gaussian_filter(generator.standard_normal(COMMON.shape, dtype=np.float32), 1.0)
                values = np.where(brain, noise + (effect if target == "M" else 0), np.float32(0))
                write_image(values, COMMON.affine, at / f"sub-{person}_map.nii.gz")


def maps_of(folder: Path) -> list[str]:
    return sorted(str(path) for path in (folder / "maps").iterdir())


def paths_of(folder: Path, people: int) -> dict[str, list[Path]]:
    """Return the files of each class."""
    folds = pd.read_csv(folds_of(folder, people), sep="\t", dtype=str)
    files = {path.name: path for path in (folder / "maps").glob("*/*.nii.gz")}
    return {
        label: [files[f"sub-{person}_map.nii.gz"] for person in sorted(own["participant_id"])]
        for label, own in folds.groupby("target")
    }
