"""Tables of every test of the maps, small and made up."""

import numpy as np
import pandas as pd
import pytest

from voxplain.base.files import write_table

METHODS = ["guided_backprop", "gradcam"]
EVIL = "<script>alert('x')</script>"


def _verdicts():
    rows = [(method, name) for method in METHODS for name in ("localization", "randomization", "retraining")]
    table = pd.DataFrame(rows, columns=["method", "criterion"]).assign(measure="AUC", value=0.7, chance=0.5)
    table = table.assign(threshold=0.5, verdict=["passes", "fails", "passes", "passes", "passes", "not testable"])
    return table.assign(why=["", "", "", "", "", EVIL])


def _reproducibility():
    levels = [("people", "spearman"), ("population", "spearman"), ("regions", "overlap")]
    levels += [("voxels", f"icc_consistency{end}") for end in ("", "_q25", "_q75")]
    rows = [
        {"method": method, "change": change, "level": level, "measure": measure}
        for method in METHODS
        for change in ("shuffled", "seed")
        for level, measure in levels
    ]
    numbers = {"value": 0.625, "sd": 0.1, "chance": 0.125, "dice_chance": np.nan, "n": 4, "variants": 1}
    return pd.DataFrame(rows).assign(**numbers)


def _networks():
    rows = [("original", "original", 0.9), ("seed", "seed-1", 0.88), ("shuffled", "shuffled-1", 0.5)]
    table = pd.DataFrame(rows, columns=["change", "variant", "mean"])
    return table.assign(metric="accuracy", sd=np.nan, folds=1, people=20, chance=0.5, original=0.9)


def _masked():
    rows = [(method, group, mask) for method in METHODS for group in ("M", "joint") for mask in ("soft", "threshold")]
    table = pd.DataFrame(rows, columns=["method", "group", "mask"]).assign(metric="accuracy", volume=0.05, mean=0.6)
    numbers = {"sd": 0.1, "random_mean": 0.5, "random_sd": 0.1, "random_95": 0.55, "p": 0.3, "whole": 0.9}
    return table.assign(**numbers, chance=0.5, draws=5, folds=2, people=20)


def _retraining():
    rows = [(method, mode) for method in [*METHODS, "random"] for mode in ("removed", "kept")]
    table = pd.DataFrame(rows, columns=["method", "mode"]).assign(share=20, metric="accuracy", volume=0.2, mean=0.7)
    table = table.assign(sd=0.1, random_mean=0.8, difference_to_random=0.25, p_corrected_t=0.04)
    return table.assign(whole=0.9, chance=0.5, folds=2)


def _agreement(groups=("F", "joint")):
    rows = [(group, "spearman_absolute", np.nan) for group in groups]
    rows += [(group, "dice", volume) for group in groups for volume in (1.0, 5.0, 20.0)]
    table = pd.DataFrame(rows, columns=["group", "measure", "volume"]).assign(first="gradcam", second="guided_backprop")
    return table.assign(value=0.375, chance=0.05, corrected=0.3, null_mean=0.1, null_95=0.2, p=0.002)


def _inference(contrasts=(("difference", "M-F"), ("mean", None))):
    table = pd.DataFrame(
        [(method, *one) for method in METHODS for one in contrasts], columns=["method", "contrast", "groups"]
    )
    table = table.assign(voxels_significant=100, share=0.125, voxels_fdr=0, max_t=-5.0, threshold_t=4.0, min_p=0.003)
    return table.assign(people=40, clusters=30, permutations=1000, smallest_p=0.001)


def _of_regions(contrasts=(("difference", "M-F"), ("mean", None))):
    rows = [
        (method, index, *one, 0.02 * index + 0.001 * place)
        for method in METHODS
        for index in range(1, 13)
        for place, one in enumerate(contrasts)
    ]
    table = pd.DataFrame(rows, columns=["method", "index", "contrast", "groups", "p_fwe"])
    return table.assign(atlas="parcels", q=0.5, t=2.0, p=0.04)


def _intervals():
    rows = [(method, group, index) for method in METHODS for group in ("M", "joint") for index in range(1, 13)]
    table = pd.DataFrame(rows, columns=["method", "group", "index"]).assign(atlas="parcels", share_low=0.011)
    return table.assign(share_high=0.222, rank_low=3, rank_high=9)


def _anatomy():
    rows = [
        (method, measure) for method in METHODS for measure in ("spearman_absolute", "not_significant", "overlooked")
    ]
    table = pd.DataFrame(rows, columns=["method", "measure"]).assign(value=0.375, chance=[np.nan, 0.7, 0.8] * 2)
    return table.assign(null_mean=0.0, null_95=0.15, p=0.003)


def _anatomy_regions():
    rows = [(method, index) for method in METHODS for index in range(1, 13)]
    table = pd.DataFrame(rows, columns=["method", "index"])
    return table.assign(
        region=[f"Place {i}" for i in table["index"]], hemisphere="left", rank_map=table["index"],
        rank_t=13 - table["index"], t_mean=1.5, difference=0,
    )  # fmt: skip


@pytest.fixture
def tested(contents, tmp_path):
    """The contents of a page with every test of the maps."""
    tables = {
        "verdicts": _verdicts(),
        "reproducibility": _reproducibility(),
        "reproducibility_networks": _networks(),
        "masked_accuracy": _masked(),
        "retraining": _retraining(),
        "agreement": _agreement(),
        "inference": _inference(),
        "inference_regions": _of_regions(),
        "region_intervals": _intervals(),
        "anatomy": _anatomy(),
    }
    for name, table in tables.items():
        put(contents, name, table)
    path = contents["tables"]["cohort"].parent / "anatomy_regions.tsv"
    write_table(_anatomy_regions(), path)
    contents["tables"]["anatomy_regions"] = {"parcels": path}
    picture = contents["figures"]["accuracy"]
    drawn = ("reproducibility", "masked_accuracy", "retraining", "agreement", "anatomy")
    contents["figures"] |= dict.fromkeys(drawn, picture)
    contents["figures"] |= {"intervals": {"parcels": picture}, "anatomy_regions": {"parcels": picture}}
    contents["config"]["evaluation"] = {"verdicts": {"alpha": 0.05}}
    return contents


def put(contents, name, table):
    path = contents["tables"]["cohort"].parent / f"{name}.tsv"
    write_table(table, path)
    contents["tables"][name] = path
