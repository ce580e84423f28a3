"""What the page says about the people: who they are, how many, and how their brains lie."""

from collections.abc import Mapping

import pandas as pd

from voxplain.reporting import verdicts, wording


def cohort_facts(config: Mapping, frames: Mapping[str, pd.DataFrame]) -> dict:
    """Return what the page says about the cohort.

    Parameters
    ----------
    config : mapping
        With its defaults.
    frames : mapping of name to DataFrame
        ``cohort``; ``index`` and ``excluded`` where they are.
    """
    cohort = config["cohort"]
    values = dict(zip(frames["cohort"]["key"].astype(str), frames["cohort"]["value"], strict=True))
    labels = list(cohort.get("labels") or [])
    counts = {label: str(values[f"class_{label}"]) for label in labels if f"class_{label}" in values}
    index = frames.get("index")
    overlap = None
    if index is not None and "dice" in index and index["dice"].notna().any():
        overlap = (verdicts.number(index["dice"].median()), verdicts.number(index["dice"].min()))
    return {
        "target": cohort["target"],
        "labels": labels,
        "counts": counts,
        "relatives": _relatives(config, known=str(values.get("grouped", "")).lower() not in ("no", "false")),
        "excluded": len(frames["excluded"]) if "excluded" in frames else 0,
        "overlap": overlap,
    }


def _relatives(config: Mapping, known: bool) -> str:
    """Return the caution about relatives, if one is due: a network from outside has no folds to tear families apart."""
    if config.get("interpret", {}).get("weights"):
        return ""
    if not known:
        return wording.RELATIVES_UNKNOWN
    return "" if config.get("folds", {}).get("grouped", True) else wording.RELATIVES_SPLIT
