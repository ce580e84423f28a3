"""The phantom: an artificial cohort in HCP layout whose group differences are known, because they were planted.

Importing the package and drawing the people (`design`) costs no torch; whatever makes volumes is imported when asked
for.
"""

from voxplain.cohort.phantom.csv_tables import freesurfer_csv, restricted_csv, unrestricted_csv
from voxplain.cohort.phantom.families import design
from voxplain.cohort.phantom.settings import PhantomSettings

__all__ = [
    "PhantomSettings",
    "design",
    "freesurfer_csv",
    "make_parcels",
    "make_people",
    "restricted_csv",
    "unrestricted_csv",
    "write_truth",
]


def __getattr__(name: str):
    if name == "make_parcels":
        from voxplain.cohort.phantom.parcels import make_parcels

        return make_parcels
    if name == "make_people":
        from voxplain.cohort.phantom.people import make_people

        return make_people
    if name == "write_truth":
        from voxplain.cohort.phantom.effects import write_truth

        return write_truth
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
