"""What the page shows of the regions of each atlas: the first of every map, how sure they are, and plain anatomy."""

from collections.abc import Mapping, Sequence

import pandas as pd

from voxplain.reporting import style
from voxplain.reporting.columns import percent
from voxplain.reporting.embedding import data_uri
from voxplain.reporting.packing import as_json, pack
from voxplain.reporting.tables import Table, arrange, show

COLUMNS = [
    *("group", "method", "rank", "rank_interval", "region", "hemisphere", "share", "share_interval", "inside"),
    *("voxels", "compared", "p_fwe", "q"),
]
ANATOMY = ["method", "rank_map", "region", "hemisphere", "rank_t", "t_mean"]
PICTURES = ("regions", "intervals", "anatomy_regions")
KEYS = ["method", "group", "index"]
FIRST = 10  # regions of each map beside their rank by the t-test, where the config does not say


def show_atlases(
    frames: Mapping[str, pd.DataFrame],
    of_atlases: Mapping[str, Mapping[str, pd.DataFrame]],
    figures: Mapping[str, Mapping],
    methods: Sequence[str],
    groups: Sequence[str],
    first: int | None = None,
) -> list[dict]:
    """Return what there is of every atlas.

    Parameters
    ----------
    frames : mapping of name to DataFrame
        ``region_intervals`` and ``inference_regions``, where they are.
    of_atlases : mapping of name to {atlas: DataFrame}
        ``top_regions``, ``regions`` (all of them, for those who search) and ``anatomy_regions``.
    figures : mapping of name to {atlas: path}
        `PICTURES`, all optional.
    methods, groups : sequence of str
        In the order to be shown.
    first : int, optional
        How many regions of a map are top ones.

    Returns
    -------
    list of dict
        ``name``; ``table`` and ``anatomy``, tables or None; ``whole``: the rows of all regions, packed, or None; the
        pictures as data, or None; ``tested``: whether the
        table holds p-values.
    """
    top, every, anatomy = (of_atlases.get(name, {}) for name in ("top_regions", "regions", "anatomy_regions"))
    pictures = {name: figures.get(name, {}) for name in PICTURES}
    atlases = []
    for atlas in style.in_order([*top, *anatomy, *(name for own in pictures.values() for name in own)]):
        table, whole, tested = None, None, False
        if atlas in top:
            frame = arrange(every.get(atlas, top[atlas]), methods, ["group", "method", "rank"], groups)
            frame = _with_tests(_with_intervals(frame, atlas, frames), atlas, frames)
            tested = "p_fwe" in frame
            # A column of a test that says nothing about any region is left out.
            names = [name for name in COLUMNS if name in frame]
            table = show(frame.merge(top[atlas][KEYS], "inner", KEYS), names)
            whole = _pack_rows(show(frame, names), atlas, len(atlases)) if atlas in every else None
        drawn = {name: data_uri(own[atlas]) if atlas in own else None for name, own in pictures.items()}
        atlases.append(
            {
                "name": atlas,
                "table": table,
                "whole": whole,
                "tested": tested,
                "anatomy": _anatomy(anatomy[atlas], methods, first or FIRST) if atlas in anatomy else None,
                **drawn,
            }
        )
    return atlases


def _pack_rows(table: Table, atlas: str, number: int) -> dict:
    """Return the rows for the page's script: [text] of each cell, or [text, what it is sorted by]."""
    rows = [[[cell.text] if cell.text == cell.sort else [cell.text, cell.sort] for cell in row] for row in table.rows]
    return {
        "id": f"regions-{number}",
        "rows": len(rows),
        "caption": f"All regions of {atlas}",
        "packed": pack(as_json(rows).encode("ascii")),
    }


def _with_intervals(table: pd.DataFrame, atlas: str, frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Add the bootstrap intervals of share and rank, as text."""
    if "region_intervals" not in frames:
        return table
    own = frames["region_intervals"]
    own = own[own["atlas"].astype(str) == atlas]
    ends = ["share_low", "share_high", "rank_low", "rank_high"]
    joined = table.merge(own[[*KEYS, *ends]].drop_duplicates(KEYS), "left", KEYS)
    if joined[ends].isna().all(axis=None):
        return table
    share = [_ends(*both, percent) for both in zip(joined["share_low"], joined["share_high"], strict=True)]
    rank = [
        _ends(*both, lambda value: f"{value:.0f}") for both in zip(joined["rank_low"], joined["rank_high"], strict=True)
    ]
    return joined.assign(share_interval=share, rank_interval=rank)


def _ends(low: float, high: float, write) -> str | None:
    return None if pd.isna(low) or pd.isna(high) else f"{write(low)} to {write(high)}"


def _with_tests(table: pd.DataFrame, atlas: str, frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Add p and q of the difference between classes; of several contrasts those of the one with the smallest p."""
    if "inference_regions" not in frames:
        return table
    own = frames["inference_regions"]
    own = own[(own["atlas"].astype(str) == atlas) & (own["contrast"] != "mean")]
    if own.empty:
        return table
    keys = ["method", "index"]
    several = own["groups"].nunique() > 1
    best = own.sort_values("p_fwe", kind="stable").drop_duplicates(keys).rename(columns={"groups": "compared"})
    return table.merge(best[[*keys, *["compared"] * several, "p_fwe", "q"]], "left", keys)


def _anatomy(table: pd.DataFrame, methods: Sequence[str], first: int) -> Table:
    rows = table[table["rank_map"] <= first]
    return show(arrange(rows, methods, ["method", "rank_map"], []), ANATOMY)
