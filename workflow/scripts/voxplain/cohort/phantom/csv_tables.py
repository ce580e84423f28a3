"""The phantom's tables, with the column names of the HCP's CSV files."""

import pandas as pd

from voxplain.base.errors import refuse
from voxplain.cohort.phantom.families import design
from voxplain.cohort.phantom.settings import PhantomSettings

INTRACRANIAL = "FS_IntraCranial_Vol"


def unrestricted_csv(settings: PhantomSettings, measures: pd.DataFrame) -> pd.DataFrame:
    """Make the unrestricted table.

    Parameters
    ----------
    settings : PhantomSettings
    measures : DataFrame
        Rows of the ``measures.tsv`` of all batches.

    Returns
    -------
    DataFrame
        ``Subject, Release, Acquisition, Gender, Age`` (band) and ``FS_IntraCranial_Vol`` (mm³); a row a measured
        person, in the order of the design.

    Raises
    ------
    InputError
        For people measured twice or not in the design.
    """
    people = _measured(settings, measures)
    return people[["Subject", "Release", "Acquisition", "Gender", "Age", INTRACRANIAL]]


def restricted_csv(settings: PhantomSettings, measures: pd.DataFrame) -> pd.DataFrame:
    """Make the restricted table; parameters and errors as in `unrestricted_csv`.

    Returns
    -------
    DataFrame
        ``Subject, Age_in_Yrs, Family_ID, Mother_ID, Father_ID, ZygositySR, ZygosityGT``; the phantom has no twins.
    """
    people = _measured(settings, measures)[["Subject", "Age_in_Yrs", "Family_ID", "Mother_ID", "Father_ID"]]
    return people.assign(ZygositySR="NotTwin", ZygosityGT="")


def freesurfer_csv(settings: PhantomSettings, measures: pd.DataFrame) -> pd.DataFrame:
    """Make the morphometry table; parameters and errors as in `unrestricted_csv`.

    Returns
    -------
    DataFrame
        ``Subject, Release, Gender, FS_InterCranial_Vol`` (as that table of the HCP spells it) and one
        ``FS_{parcel}_Vol`` a parcel, in mm³ of the native brain.
    """
    people = _measured(settings, measures).rename(columns={INTRACRANIAL: "FS_InterCranial_Vol"})
    parcels = [column for column in measures.columns if column not in ("Subject", INTRACRANIAL)]
    return people[["Subject", "Release", "Gender", "FS_InterCranial_Vol", *parcels]]


def _measured(settings: PhantomSettings, measures: pd.DataFrame) -> pd.DataFrame:
    people = design(settings).rename(columns={"participant_id": "Subject"})
    measures = measures.assign(Subject=measures["Subject"].astype(str))
    twice = measures.loc[measures["Subject"].duplicated(), "Subject"]
    strangers = sorted(set(measures["Subject"]) - set(people["Subject"]))
    if len(twice) or strangers:
        refuse(
            f"phantom: measures of people who occur twice ({len(twice)}) or are not in the design ({len(strangers)})",
            [*sorted(set(twice)), *strangers],
            "They were written with other settings: delete the phantom's folder and make it anew.",
        )
    return people.merge(measures, on="Subject", validate="one_to_one")
