"""A small result folder with everything that figures and page read."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from voxplain.base.files import write_image, write_table
from voxplain.imaging.grid import COMMON, mni_brain
from voxplain.reporting.citation import read_citation

METHODS = ("guided_backprop", "gradcam")
GROUPS = ("F", "M", "joint")
CONSERVATION = ("conservation_q25", "conservation_median", "conservation_q75")


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


def _accuracy_tables(mean: float = 0.9, sd: float = 0.05, chance: float = 0.5, others: tuple[str, ...] = ()):
    """Two folds around `mean`, and their summary; every other model is 0.1 worse than the one before."""
    tables, summaries = [], []
    for place, model in enumerate(("cnn", *others)):
        level = mean - 0.1 * place
        folds = pd.DataFrame({"model": model, "fold": [0, 1], "n_train": [20, 20], "n_test": [20, 20]})
        tables.append(folds.assign(accuracy=[level - 0.03, level + 0.03], balanced_accuracy=level, auc=[np.nan, level]))
        summary = pd.DataFrame({"model": model, "metric": ["accuracy", "balanced_accuracy", "auc"], "mean": level})
        summaries.append(
            summary.assign(
                sd=sd,
                ci_low=level - 0.1,
                ci_high=level + 0.1,
                difference_to_cnn=-0.1 * place if place else np.nan,
                p_corrected_t=0.04 if place else np.nan,
                chance=chance,
                p_permutation=np.nan,
            )
        )
    return pd.concat(tables, ignore_index=True), pd.concat(summaries, ignore_index=True)


@pytest.fixture
def figures(monkeypatch):
    """Collect the figures that are saved, each once whatever its formats, to look into them."""
    saved = []
    save = Figure.savefig

    def collect(self, *arguments, **options):
        if self not in saved:
            saved.append(self)
        return save(self, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", collect)
    return saved


@pytest.fixture
def texts_of():
    """The function that lists what a figure says."""

    def texts(figure):
        figure.draw_without_rendering()
        found = [text.get_text() for text in figure.findobj(match=lambda artist: hasattr(artist, "get_text"))]
        return [text for text in found if text]

    return texts


@pytest.fixture
def region_table():
    return _region_table()


@pytest.fixture
def accuracy_tables():
    """The function that makes them: mean, sd, chance, other models -> (folds, summary)."""
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
        "localization": pd.DataFrame(
            {
                "method": [*METHODS, *METHODS],
                "group": "joint",
                "level": ["people", "people", "population", "population"],
                "n": [2, 2, 1, 1],
                "auc": [0.7, 0.5, 0.9, 0.5],
                "auc_sd": [0.1, 0.1, np.nan, np.nan],
                "auc_chance": [0.5, 0.5, 0.55, 0.52],
                "auc_chance_95": [np.nan, np.nan, 0.7, 0.66],
                "auc_p": [np.nan, np.nan, 0.001, 0.5],
            }
        ),
        "index": pd.DataFrame({"participant_id": ids, "dice": [0.93, 0.97]}),
        "explained": pd.DataFrame(
            {"method": METHODS, "people": 2, "explained": "M-F", **dict.fromkeys(CONSERVATION, np.nan)}
        ),
    }
    paths = {name: folder / "tables" / f"{name}.tsv" for name in tables}
    for name, table in tables.items():
        write_table(table, paths[name])
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
        "citation": read_citation(),
        "provenance": {
            "versions": {"voxplain": "0.1.0", "python": "3.12.1", "numpy": "2.3.5", "captum": None},
            "not_as_pinned": {},
            "seeds": {"seed": 42},
            "device": {
                "gpus": [],
                "processor": "Abacus 9",
                "trained_on": [],
                "training_precision": ["float32"],
                "torch_threads": 1,
            },
            "inputs": {"files": [], "volumes": {"read": 40, "checksum": "0123456789abcdef"}},
            "changed": {"files": [], "volumes_checked": 40, "volumes": 0, "volumes_gone": 0},
            "outputs": {"tables/dice.tsv": "00"},
            "fingerprint": "fedcba9876543210",
        },
    }


@pytest.fixture
def study(tmp_path):
    """A data root with tables, one of them restricted, and an atlas beside it; the config that names them."""
    root = tmp_path / "home" / "jane" / "HCP_1200"
    root.mkdir(parents=True)
    (root / "unrestricted.csv").write_text("Subject\n1\n")
    (root / "RESTRICTED_jane_1_2.csv").write_text("Subject,Family_ID\n1,56789_4711\n")
    (tmp_path / "atlas.nii.gz").write_bytes(b"atlas")
    return root, {
        "name": "x",
        "seed": 7,
        "device": "cpu",
        "torch_threads": 2,
        "cohort": {
            "source": "hcp",
            "target": "Gender",
            "task": "classification",
            "hcp": {
                "root": str(root),
                "unrestricted_csv": str(root / "unrestricted.csv"),
                "restricted_csv": str(root / "RESTRICTED_jane_1_2.csv"),
                "freesurfer_csv": None,
                "image": "{id}/T1w.nii.gz",
            },
        },
        "baselines": {"features": {"tables": [str(root / "unrestricted.csv"), str(root / "missing.csv")]}},
        "atlases": {"a": {"image": str(tmp_path / "atlas.nii.gz")}},
    }
