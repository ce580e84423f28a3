"""A small result folder with everything that figures and page read."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from voxplain.base.files import write_image, write_table
from voxplain.imaging.grid import COMMON, mni_brain

METHODS = ("guided_backprop", "gradcam")
GROUPS = ("F", "M", "joint")


@pytest.fixture(scope="session")
def brain_files(tmp_path_factory):
    """Mean image, brain mask, a map on the right side of the brain only, and its mask."""
    folder = tmp_path_factory.mktemp("brain")
    brain = mni_brain()
    x = COMMON.affine[0, 0] * np.arange(COMMON.shape[0]) + COMMON.affine[0, 3]
    right = np.broadcast_to(((x > 25) & (x < 50))[:, None, None], COMMON.shape) & brain
    rng = np.random.default_rng(0)
    # As a z-scored mean: 0 outside, both signs inside.
    volumes = {
        "mean": np.where(brain, rng.normal(0, 1, COMMON.shape), 0).astype(np.float32),
        "brain": brain,
        "map": right.astype(np.float32) * 0.002,
        "mask": right,
    }
    for name, data in volumes.items():
        write_image(data, COMMON.affine, folder / f"{name}.nii.gz")
    return folder


def _region_table() -> pd.DataFrame:
    """Twelve regions for each method and group; ranks as a method would give them."""
    rows = []
    for method in METHODS:
        for group in GROUPS:
            for index in range(1, 13):
                rank = index if method == "gradcam" else 13 - index
                rows.append(
                    {
                        "method": method,
                        "group": group,
                        "index": index,
                        "region": f"Region {index}",
                        "hemisphere": "left" if index % 2 else "right",
                        "voxels": 100 + index,
                        "mean": 0.1 / rank,
                        "share": 0.3 / rank,
                        "inside": 1 / rank,
                        "rank": rank,
                    }
                )
    return pd.DataFrame(rows)


def _accuracy_tables(mean: float = 0.9, sd: float = 0.05, chance: float = 0.5):
    """Two folds around `mean`, and their summary."""
    folds = pd.DataFrame({"fold": [0, 1], "n_train": [20, 20], "n_test": [20, 20]})
    folds = folds.assign(accuracy=[mean - 0.03, mean + 0.03], balanced_accuracy=mean, auc=[np.nan, mean])
    summary = pd.DataFrame(
        {"metric": ["accuracy", "balanced_accuracy", "auc"], "mean": mean, "sd": sd, "chance": chance}
    )
    return folds, summary


@pytest.fixture
def region_table():
    return _region_table()


@pytest.fixture
def accuracy_tables():
    """The function that makes them: mean, sd, chance -> (folds, summary)."""
    return _accuracy_tables


@pytest.fixture
def contents(tmp_path):
    """What write_page takes, over files in `tmp_path`; tests change single entries or files."""
    folder = tmp_path / "results"
    regions = _region_table()
    planted = regions[regions["index"].isin([1, 2])].assign(kind="volume", regions=12)
    planted["in_top"] = planted["rank"] <= 5
    folds, summary = _accuracy_tables()
    pairs = [{"group": group, "method_a": METHODS[0], "method_b": METHODS[1]} for group in GROUPS]
    values = {"dice": 0.3, "dice_chance": 0.05, "agreement": 0.95, "spearman": -0.2, "voxels_a": 50, "voxels_b": 50}
    ids = ["100001", "100002"]
    tables = {
        "cohort": pd.DataFrame(
            {"key": ["rows", "used", "class_F", "class_M", "grouped"], "value": ["41", "40", "19", "21", "no"]}
        ),
        "accuracy": folds,
        "accuracy_summary": summary,
        "dice": pd.DataFrame(pairs).assign(**values),
        # In disorder on purpose: the page sorts.
        "top_regions": regions[regions["rank"] <= 11].sample(frac=1, random_state=0),
        "planted_regions": planted,
        "localization": pd.DataFrame({"method": METHODS, "group": "joint", "auc": [0.9, 0.5]}),
        "index": pd.DataFrame({"participant_id": ids, "dice": [0.93, 0.97]}),
    }
    paths = {name: folder / "tables" / f"{name}.tsv" for name in tables}
    for name, table in tables.items():
        write_table(table, paths[name])
    maps = {}
    for method in METHODS:
        people = {"participant_id": ids, "target": ["F", "M"], "explained": "M-F"}
        write_table(pd.DataFrame(people), folder / "maps" / method / "fold-0_part-0" / "maps.tsv")
        maps[method] = [folder / "maps" / method / "fold-0_part-0"]
    picture = folder / "figures" / "picture.png"
    picture.parent.mkdir()
    Image.new("RGB", (4, 3), "red").save(picture)
    return {
        "config": {
            "name": "trial",
            "cohort": {
                "source": "phantom",
                "target": "Gender",
                "task": "classification",
                "labels": ["F", "M"],
                "restricted_target": False,
            },
            "report": {"top_regions": 5},
            "interpret": {"weights": None},
        },
        "tables": paths | {"top_regions": {"parcels": paths["top_regions"]}},
        "figures": {
            "training": picture,
            "accuracy": picture,
            "dice": picture,
            "montage": None,
            "maps": {method: dict.fromkeys(GROUPS, picture) for method in METHODS},
            "regions": {"parcels": picture},
        },
        "maps": maps,
        "versions": {"voxplain": "0.1.0"},
    }
