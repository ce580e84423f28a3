"""Captions and notes of the page that speak only of what a run has."""

from collections.abc import Container, Mapping

import pandas as pd

from voxplain.reporting import wording
from voxplain.reporting.importance import SIGNED, kind_title
from voxplain.reporting.reading import has_intervals


def captions(frames: Mapping[str, pd.DataFrame], folds: bool, external: bool, blocks: Container[str]) -> dict[str, str]:
    """Return what stands below the pictures of models, confounds and importances.

    Parameters
    ----------
    frames : mapping of name to DataFrame
        The tables of the page.
    folds : bool
        There are several.
    external : bool
        The network was brought from outside, so that nobody knows whom it has seen.
    blocks : container of str
        The blocks of confounds that the page shows; see `model_tables.BLOCKS`.
    """
    summary = frames["accuracy_summary"]
    accuracy = ["Every fold", "the mean with its 95 % interval" if has_intervals(summary) else "the mean"]
    accuracy = accuracy if folds else ["The one fold"]
    accuracy += ["chance"] if summary["chance"].notna().any() else []
    everybody = ["on everybody"]
    everybody += ["among pairs of nearly equal head size"] if "confounds_matched" in blocks else []
    everybody += ["after head size was taken out"] if "confounds_residualised" in blocks else []
    below = "; below, how the network's answer follows head size" if "confounds_correlation" in blocks else ""
    return {
        "accuracy": _listed(accuracy),
        "roc": "ROC curves" + (": mean over folds ± SD" if folds and _spread(frames, "roc") else ""),
        "calibration": "Calibration"
        + ("" if external else " in held-out people")
        + (", all folds together" if folds else ""),
        "confounds": f"How far the models get {_listed(everybody)}{below}",
        "importance": "Features that each model ranks first, relative to its largest"
        + (", ± SD over folds" if _spread(frames, "morphometry_importance") else ""),
    }


def notes(frames: Mapping[str, pd.DataFrame], regression: bool, blocks: Container[str]) -> dict[str, str]:
    """Return the notes below the tables and pictures that depend on what is there; empty where nothing is to be said.

    Parameters
    ----------
    frames, blocks
        As in `captions`.
    regression : bool
    """
    summary = frames["accuracy_summary"]
    models = [wording.INTERVALS] if has_intervals(summary) else []
    models += [wording.DIFFERENCES] if summary["p_corrected_t"].notna().any() else []
    calibration = [wording.CALIBRATION_OF_VALUES if regression else wording.CALIBRATION]
    calibrated = frames.get("calibration_summary")
    if not regression and calibrated is not None and (calibrated["model"] == "svm").any():
        calibration.append(wording.CALIBRATION_OF_SVM)
    residualised = [wording.RESIDUALISED] + [wording.PAIRS_ARE_FAIRER] * ("confounds_matched" in blocks)
    importance = frames.get("morphometry_importance")
    kinds = set() if importance is None else set(importance["kind"])
    important = [wording.PERMUTATION] if "permutation" in kinds else []
    trained = [kind_title(kind) for kind in ("gain", SIGNED) if kind in kinds]
    important += [wording.FROM_TRAINING.format(_listed(trained))] if trained else []
    said = {"models": models, "calibration": calibration, "residualised": residualised, "importance": important}
    return {name: " ".join(sentences) for name, sentences in said.items()}


def _spread(frames: Mapping[str, pd.DataFrame], name: str) -> bool:
    """Tell whether a table has any standard deviation over folds."""
    return name in frames and bool(frames[name]["sd"].notna().any())


def _listed(parts: list[str]) -> str:
    """Write parts as people do: ``a``, ``a and b``, ``a, b, and c``."""
    if len(parts) < 3:
        return " and ".join(parts)
    return ", ".join(parts[:-1]) + f", and {parts[-1]}"
