"""What the page says of the tests of the maps: do they follow the network, and does the network follow them?"""

from collections.abc import Mapping

import pandas as pd

from voxplain.reporting import style
from voxplain.reporting.reading import flags
from voxplain.reporting.tables import Table, show

VERDICTS = ["method", "measure", "layers", "similarity", "threshold", "survives"]
AREAS = [
    *("method", "replacement", "kind", "measure", "auc", "sd", "people"),
    *("difference_to_random", "p_random", "difference_to_intensity", "p_intensity"),
]
# One a task: the others are in the table of results.
HEADLINES = ("probability", "change")


def show_trust(frames: Mapping[str, pd.DataFrame]) -> dict[str, Table]:
    """Return the tables of the tests that were made.

    Parameters
    ----------
    frames : mapping of name to DataFrame
        ``randomization_verdicts`` and ``faithfulness``, where they are.
    """
    shown = {}
    if "randomization_verdicts" in frames:
        shown["randomization_verdicts"] = show(frames["randomization_verdicts"], VERDICTS)
    if "faithfulness" in frames:
        areas = frames["faithfulness"]
        own = areas[(areas["order"] == "map") & areas["measure"].isin(HEADLINES)]
        shown["faithfulness"] = show(own, AREAS, titles={"auc": "Area under the curve", "kind": "Voxels"})
    return shown


def survivors(frames: Mapping[str, pd.DataFrame]) -> list[str] | None:
    """Return the titles of the methods whose maps survive randomised layers; None when that was not tested."""
    if "randomization_verdicts" not in frames:
        return None
    verdicts = frames["randomization_verdicts"]
    return [style.method_title(method) for method in verdicts.loc[flags(verdicts["survives"]), "method"]]
