"""Tables of morphometry, such as FreeSurfer's, as one table of numbers: without ids, labels and constants."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from voxplain.base.errors import refuse
from voxplain.baselines.feature_columns import (
    FREESURFER,
    HIDDEN,
    check_repeats,
    compile_pattern,
    named_columns,
    numbers_rows,
    read_numbers,
    rename_repeats,
    why_not_by_name,
    why_not_by_values,
)
from voxplain.cohort.hcp import SUBJECT
from voxplain.cohort.restricted import is_restricted_field
from voxplain.cohort.sheets import Sheet, read_sheet

SETTING = "baselines.features.tables"
HCP_LIKE = ("hcp", "phantom")


def read_features(
    tables: Sequence[str | Path], people: pd.DataFrame, cohort: dict, settings: dict
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Join tables of morphometry by id and keep what can be a feature.

    Nothing is scaled or imputed here: that belongs into the folds. Columns are left out by name (ids, the target, other
    columns that the config names, restricted fields, releases) and by value (no numbers, empty, constant, numbers of
    rows, copies of the ids or of the target); values of the target have no other use.

    Parameters
    ----------
    tables : sequence of path-like
        CSV or TSV, one row a person. Of tables of the HCP, and of the phantom, the ``FS_`` columns count, of others
        every column of numbers.
    people : DataFrame
        Columns `participant_id` and `target` (float for a regression); the tables may hold more people, or fewer.
    cohort : dict
        Of ``cohort`` of the config: ``source``, ``target``, ``task``, and of the source's own section the names of
        columns: ``id_column``, ``group_column``, ``age_column``, ``image_column``, ``mask_column``.
    settings : dict
        ``baselines.features`` of the config: ``id_column``, ``include``, ``exclude``, ``on_missing``.

    Returns
    -------
    features : DataFrame
        `participant_id` and one float column a feature, sorted by id; single missing cells are NaN. People who lack all
        values of one of the tables are left out (``on_missing: drop``) or have NaN there (``impute``).
    dropped : DataFrame
        `feature`, `reason`: every column that is not among the features. It may be published: restricted fields have
        no names in it.

    Raises
    ------
    InputError
        For tables that cannot be read (see `voxplain.cohort.sheets`), nobody of the cohort in them, cells without a
        number in columns of numbers, names that stand twice, columns of one name that contradict each other between
        tables, people who lack all values of one of the tables (``on_missing: fail``), and when no feature is left.
    """
    if not tables:
        refuse(f"{SETTING}: no table of features was given", advice="List at least one CSV or TSV file.")
    people = people.sort_values("participant_id", ignore_index=True)
    targets = people["target"].to_numpy(dtype=float if cohort["task"] == "regression" else str)
    parts: dict[str, pd.DataFrame] = {}
    reasons: list[tuple[str, str]] = []
    for path in tables:
        parts[str(path)], why = _read_part(path, people, targets, cohort, settings)
        reasons += why
    lacking = {
        person: [path for path, part in parts.items() if part.shape[1] and part.loc[person].isna().all()]
        for person in people["participant_id"]
    }
    lacking = {person: paths for person, paths in lacking.items() if paths}
    features = _join(parts)
    on_missing = settings.get("on_missing") or "drop"
    if lacking and on_missing == "fail":
        refuse(
            f"{SETTING}: {len(lacking)} of {len(people)} people lack all values of one of the tables",
            (f"{person}: no value in {', '.join(paths)}" for person, paths in lacking.items()),
            "Fill the tables, or set baselines.features.on_missing to drop (leave them out) or impute (medians).",
        )
    if on_missing == "drop":
        if len(lacking) == len(people):
            refuse(
                f"{SETTING}: every one of the {len(people)} people lacks all values of at least one table",
                (f"{person}: no value in {', '.join(paths)}" for person, paths in lacking.items()),
                "Take that table out, or set baselines.features.on_missing: impute.",
            )
        features = features.drop(index=list(lacking))
    # Once more, because a column can have been kept by people who are now left out.
    late = {name: why_not_by_values(features[name].to_numpy()) for name in features}
    reasons += [(name, why) for name, why in late.items() if why]
    features = features[[name for name, why in late.items() if not why]]
    dropped = pd.DataFrame(reasons, columns=["feature", "reason"]).drop_duplicates("feature")
    dropped = dropped[~dropped["feature"].isin(set(features.columns))].reset_index(drop=True)
    dropped.loc[dropped["feature"].map(is_restricted_field).astype(bool), "feature"] = HIDDEN
    if features.empty:
        refuse(
            f"{SETTING}: no feature is left",
            (f"{row.feature or '(no name)'}: {row.reason}" for row in dropped.itertuples()),
            "Check baselines.features.include and exclude, and that the table holds numbers.",
        )
    return features.rename_axis("participant_id").reset_index(), dropped


def _read_part(
    path: str | Path, people: pd.DataFrame, targets: np.ndarray, cohort: dict, settings: dict
) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """Return the features of one table [people of the cohort, by id], and why its other columns are none."""
    sheet = read_sheet(path, SETTING)
    sheet = replace(sheet, columns=rename_repeats(sheet.columns))
    id_column = settings.get("id_column") or "participant_id"
    if id_column not in sheet.columns and cohort["source"] in HCP_LIKE:
        id_column = SUBJECT
    ids = sheet.ids(id_column, "baselines.features.id_column")
    row_of = {person: row for row, person in enumerate(ids)}
    rows = np.array([row_of.get(person, -1) for person in people["participant_id"]])
    if np.all(rows < 0):
        refuse(
            f"{sheet}: none of the {len(people)} people of the cohort is in this table",
            [f"in the cohort: {', '.join(people['participant_id'][:3])}", f"in the table: {', '.join(ids[:3])}"],
            "Set baselines.features.id_column to the column of their ids.",
        )
    by_name = _reasons_by_name(sheet, id_column, cohort, settings)
    candidates = [name for name, why in by_name.items() if not why]
    check_repeats(sheet.columns, set(candidates), str(sheet))
    columns, wrong = {}, []
    for name in candidates:
        cells = sheet.column(name, SETTING)
        values, unreadable = read_numbers(cells)
        if unreadable.sum() >= max(1, np.isfinite(values).sum()):
            by_name[name] = "not numbers"
            continue
        wrong += [f"{ids[row]}, {name}: {cells[row]!r}" for row in rows if row >= 0 and unreadable[row]]
        here = np.where(rows < 0, np.nan, values[rows])
        row_numbers = "it numbers the rows or repeats the ids"
        by_name[name] = row_numbers if numbers_rows(values, ids) else why_not_by_values(here, targets)
        if not by_name[name]:
            columns[name] = here
    if wrong:
        refuse(
            f"{sheet}: {len(wrong)} cells in columns of numbers cannot be read as finite numbers",
            wrong,
            "Correct the cells, write n/a where a value is unknown, or leave the columns out by "
            "baselines.features.exclude.",
        )
    index = pd.Index(people["participant_id"], name="participant_id")
    return pd.DataFrame(columns, index=index, dtype=float), [(name, why) for name, why in by_name.items() if why]


def _reasons_by_name(sheet: Sheet, id_column: str, cohort: dict, settings: dict) -> dict[str, str]:
    named = named_columns(cohort, id_column)
    include, exclude = compile_pattern(settings, "include"), compile_pattern(settings, "exclude")
    # Beside FreeSurfer's measures the HCP's tables hold behaviour; a table without any is one of the user's own.
    freesurfer = cohort["source"] in HCP_LIKE and any(name.startswith(FREESURFER) for name in sheet.columns)
    return {name: why_not_by_name(name, named, include, exclude, freesurfer) for name in sheet.columns}


def _join(parts: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Put tables of the same people side by side; columns of one name must agree where both have a value."""
    home: dict[str, str] = {}
    columns: dict[str, np.ndarray] = {}
    contradictions = []
    for path, part in parts.items():
        for name in part:
            values = part[name].to_numpy()
            if name in columns:
                earlier = columns[name]
                differ = int(np.sum(~np.isnan(earlier) & ~np.isnan(values) & (earlier != values)))
                if differ:
                    contradictions.append(f"{name}: differs for {differ} people between {home[name]} and {path}")
                values = np.where(np.isnan(earlier), values, earlier)
            columns[name] = values
            home.setdefault(name, path)
    if contradictions:
        refuse(
            f"{SETTING}: {len(contradictions)} columns stand in two tables with different values",
            contradictions,
            "Rename or delete one of each, or leave them out by baselines.features.exclude.",
        )
    index = next(iter(parts.values())).index
    return pd.DataFrame(columns, index=index, dtype=float)
