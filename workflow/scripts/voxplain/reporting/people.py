"""Single people: a picture of everybody's maps beside the page, and what the page says of each."""

import os
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from PIL import Image

from voxplain.base.errors import refuse
from voxplain.base.files import folder_written_whole, write_table
from voxplain.imaging.grid import COMMON
from voxplain.population.maps import read_index, read_on_grid
from voxplain.reporting import style
from voxplain.reporting.maps import crop_to_brain
from voxplain.reporting.sections import as_grey, draw_sections, strongest

TABLE = "people.tsv"
COLUMNS = ["participant_id", "target", "method", "explained", "score", "x", "y", "z"]
ACROSS = 2  # methods side by side
QUALITY = 80


def draw_people(
    folders: Mapping[str, Iterable[str | os.PathLike]],
    mean: str | os.PathLike,
    brain: str | os.PathLike,
    out: str | os.PathLike,
) -> None:
    """Draw the maps of every explained person over the mean image, a file a person, and list what was explained.

    Each map is cut where it is strongest (after a mean over 3 voxels each way) and its colours end at its own 99.9th
    percentile in the brain. The person's image is not shown.

    Parameters
    ----------
    folders : mapping of method to folders of maps
        In the order to be shown; not everybody need be in each.
    mean, brain : path-like
        On the common grid, as the maps are.
    out : path-like
        A folder: ``sub-{participant_id}.webp`` and ``people.tsv`` with a row a person and method: `COLUMNS`, the last
        three being the strongest place in mm.

    Raises
    ------
    InputError
        For folders that are not whole, and volumes on another grid or not finite.
    """
    indices = {method: read_index(own) for method, own in folders.items()}
    inside = read_on_grid(brain) > 0.5
    if not inside.any():
        refuse("There is no brain to draw on: the brain mask is empty", [brain])
    cut, corner = crop_to_brain(inside)
    inside = inside[cut]
    grey = as_grey(read_on_grid(mean)[cut], inside)
    ids = sorted({person for index in indices.values() for person in index["participant_id"]})
    of_person = {method: index.set_index("participant_id") for method, index in indices.items()}
    rows = []
    with folder_written_whole(out) as folder:
        for person in ids:
            panels = []
            for method, index in of_person.items():
                if person not in index.index:
                    continue
                said = index.loc[person]
                data = np.where(inside, read_on_grid(said["path"])[cut], 0)
                peak = strongest(data)
                place = COMMON.affine[:3, :3] @ (peak + corner) + COMMON.affine[:3, 3]
                panels.append(draw_sections(data, grey, inside, peak, style.method_title(method)))
                rows.append([person, said["target"], method, said["explained"], said["score_before"], *place.round(1)])
            _sheet(panels).save(folder / f"sub-{person}.webp", quality=QUALITY, method=2)
        write_table(pd.DataFrame(rows, columns=COLUMNS), folder / TABLE)


def describe_people(people: pd.DataFrame, methods: Mapping[str, Mapping], labels: Sequence[str]) -> dict:
    """Return what the page's script shows of single people, ready for JSON.

    Parameters
    ----------
    people : DataFrame
        ``people.tsv``.
    methods : mapping of method to settings
        Those of the config; where ``target`` is ``predicted`` the explained class is the prediction.
    labels : sequence of str
        Classes; empty for regression.

    Returns
    -------
    dict
        ``methods``: titles; ``people``: [id, target, prediction, [[number of the method, what was explained, score,
        place] ...]] of each. What cannot be told is an empty text.
    """
    names = style.in_order(list(people["method"]), first=list(methods))
    rows = []
    for person, own in people.groupby("participant_id", sort=True):
        told = (predicted(row.explained, row.score, labels, methods.get(row.method, {})) for row in own.itertuples())
        details = [
            [names.index(row.method), _text(row.explained), _number(row.score), [row.x, row.y, row.z]]
            for row in own.itertuples()
        ]
        rows.append([str(person), _text(own["target"].iloc[0]), next((text for text in told if text), ""), details])
    return {"methods": [style.method_title(name) for name in names], "people": rows}


def predicted(explained: object, score: float, labels: Sequence[str], settings: Mapping) -> str:
    """Return what the network said, as far as what was explained and its score tell; else an empty text.

    ``B-A`` (the contrast of two classes), ``p(B)-p(A)``, ``p(A)``, ``A`` or ``regression``, as
    `voxplain.attribution.targets.explained_texts` names them.
    """
    if pd.isna(explained) or pd.isna(score):
        return ""
    if explained == "regression":
        return _number(score)
    if len(labels) == 2:
        first, second = labels
        if explained in (f"{second}-{first}", f"p({second})-p({first})"):
            return second if score > 0 else first
        if explained in (f"p({first})", f"p({second})"):
            other = second if explained == f"p({first})" else first
            return str(explained)[2:-1] if score > 0.5 else other
    for label in labels:
        sure = explained == f"p({label})" and score > 0.5
        if sure or (settings.get("target") == "predicted" and explained in (label, f"p({label})")):
            return label
    return ""


def _text(value: object) -> str:
    return "" if pd.isna(value) else str(value)


def _number(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.3g}".replace("-", "−")


def _sheet(panels: Sequence[Image.Image]) -> Image.Image:
    across = min(ACROSS, len(panels))
    width, height = panels[0].size
    sheet = Image.new("RGB", (across * width, -(-len(panels) // across) * height))
    for number, panel in enumerate(panels):
        sheet.paste(panel, (number % across * width, number // across * height))
    return sheet
