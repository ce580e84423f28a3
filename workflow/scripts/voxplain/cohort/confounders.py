"""What the figures are held against: head size and age of everybody whose image is in the stack."""

import os
from collections.abc import Collection

import pandas as pd

from voxplain.base.errors import refuse
from voxplain.cohort.ages import ages_in_years
from voxplain.cohort.head_size import estimate_head_size
from voxplain.cohort.people import read_roster
from voxplain.cohort.phantom_people import add_measures
from voxplain.cohort.size_table import names_size_table

COLUMNS = ("participant_id", "tiv_mm3", "age_years", "tiv_source")


def read_measures(
    cohort: dict, seed: int, tables: dict[str, str | os.PathLike], ids: Collection[str]
) -> tuple[pd.DataFrame, str]:
    """Read head sizes and ages from the tables of the cohort.

    Parameters
    ----------
    cohort : dict
        ``cohort`` of the config, with its defaults filled in.
    seed : int
        The config's seed; only the phantom's people depend on it.
    tables : dict
        The tables that the phantom wrote, which measure head size: ``unrestricted_csv``, ``restricted_csv``; empty for
        other sources.
    ids : collection of str
        People of the stack; those whom the cohort lacks are left out.

    Returns
    -------
    people : DataFrame
        Columns of a roster, with ``size`` in mm³ and ``age`` as the source writes it: may be restricted fields in the
        clear.
    size_source : str
        Column that ``size`` comes from; empty when there is none.

    Raises
    ------
    InputError
        As `voxplain.cohort.people.read_roster` and `voxplain.cohort.phantom_people.add_measures`.
    """
    roster = read_roster(cohort, seed)
    people = roster.people[roster.people["participant_id"].isin(set(ids))].reset_index(drop=True)
    if not tables:
        return people, roster.size_source
    measured, size_source = add_measures(people, cohort["target"], tables)
    if names_size_table(cohort):  # it comes before what the phantom measured
        return measured.assign(size=people["size"]), roster.size_source
    return measured, size_source


def collect_confounders(
    people: pd.DataFrame, index: pd.DataFrame, size_source: str, estimate: str, align: str, space: str
) -> pd.DataFrame:
    """Return head size and age of the people of the stack.

    Head sizes of a table and estimated ones measure different things: estimates are made for all when the table has
    nobody's, and otherwise for nobody.

    Parameters
    ----------
    people : DataFrame
        ``participant_id``, ``size`` (mm³) and ``age`` (text), as of `read_measures`.
    index : DataFrame
        ``images/index.tsv``.
    size_source : str
        Column that ``size`` comes from.
    estimate, align, space : str
        See `voxplain.cohort.head_size.estimate_head_size`.

    Returns
    -------
    DataFrame
        `COLUMNS`, sorted by id; NaN where unknown. ``tiv_source`` is the same for all: `size_source`,
        ``affine determinant``, ``brain mask``, or NaN when nobody's head size is known.

    Raises
    ------
    InputError
        For people of the stack whom the table does not have, and as `estimate_head_size`.
    """
    index = index.sort_values("participant_id", ignore_index=True)
    ids = index["participant_id"]
    strangers = sorted(set(ids) - set(people["participant_id"]))
    if strangers:
        refuse(
            f"{len(strangers)} people of the image stack are not in the participants table",
            strangers,
            "The stack and the table come from different runs: make them anew.",
        )
    known = people.set_index("participant_id").loc[ids]
    sizes, source = known["size"].astype(float), size_source
    if sizes.isna().all():
        sizes, source = estimate_head_size(index, estimate, align, space)
    return pd.DataFrame(
        {
            "participant_id": ids,
            "tiv_mm3": sizes.to_numpy(),
            "age_years": ages_in_years(known["age"]).to_numpy(),
            "tiv_source": source if sizes.notna().any() else None,
        }
    )
