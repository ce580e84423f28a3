"""Who belongs to a group that maps are summarised over: a class, or a third of the people by a number."""

import numpy as np
import pandas as pd

from voxplain.base.errors import refuse
from voxplain.population.maps import JOINT

# Of a regression's target, from the smallest numbers to the largest.
TERTILES = ("lowest-third", "middle-third", "highest-third")


def members_of(group: str, people: pd.DataFrame) -> pd.Series:
    """Return the ids of a group's people.

    Parameters
    ----------
    group : str
        ``joint`` for everybody, a class, or one of `TERTILES`: thirds by rank of a target that is a number, equal
        numbers ordered by id, the first thirds being larger by one where the people cannot be divided by three.
    people : DataFrame
        ``participant_id`` and ``target`` (text, or float) of those who were explained.

    Raises
    ------
    InputError
        When nobody belongs to the group.
    """
    if group == JOINT:
        members = people["participant_id"]
    elif group in TERTILES:
        ordered = people.sort_values(["target", "participant_id"])["participant_id"]
        places = np.array_split(np.arange(len(ordered)), len(TERTILES))[TERTILES.index(group)]
        members = ordered.iloc[places]
    else:
        members = people.loc[people["target"] == group, "participant_id"]
    if members.empty:
        refuse(f"Nobody of the {len(people)} explained people belongs to the group {group!r}", advice="Explain more.")
    return members
