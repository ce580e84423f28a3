"""People of the Human Connectome Project: its folder layout and its three CSV files.

Unrestricted CSV: ``Subject, Release, Acquisition, Gender, Age`` (bands), ``FS_IntraCranial_Vol`` ... Restricted CSV,
which needs an own permission and must never be published: ``Age_in_Yrs, Family_ID`` ... Expanded FreeSurfer CSV:
``Subject, Release, Gender`` and 935 ``FS_*`` columns, where head size is called ``FS_InterCranial_Vol``.
"""

from voxplain.base.errors import refuse
from voxplain.cohort.buckets import image_folder
from voxplain.cohort.restricted import is_restricted_field
from voxplain.cohort.roster import Roster, fill_pattern, roster_frame
from voxplain.cohort.sheets import Sheet, read_header, read_ids, read_sheet, refuse_unknown_column

SIZE_COLUMNS = ("FS_IntraCranial_Vol", "FS_InterCranial_Vol")
FILES = ("unrestricted_csv", "restricted_csv", "freesurfer_csv")
SUBJECT = "Subject"


def read_hcp(settings: dict, target: str) -> Roster:
    """Read the people of an HCP release from its CSV files.

    Parameters
    ----------
    settings : dict
        ``cohort.hcp`` of the config: ``root``, ``unrestricted_csv``, ``image``, and optionally ``restricted_csv``,
        ``freesurfer_csv`` and ``ids``, a text file that picks people.
    target : str
        Column to predict, from any of the CSV files; the first that has it counts, in the order of `FILES`.

    Returns
    -------
    Roster
        Families from ``Family_ID``, age from ``Age_in_Yrs`` or else the band in ``Age``, head size in mm³ from
        FreeSurfer's intracranial volume, whichever of its two names the files use.

    Raises
    ------
    InputError
        See `voxplain.cohort.sheets`; also for a restricted target without the restricted CSV, and when nobody of
        the list of ids is in the table.
    """
    sheets = read_files(settings, "cohort.hcp")
    main = sheets["unrestricted_csv"]
    everyone = main.ids(SUBJECT, main.setting)
    ids, absent = everyone, []
    if settings.get("ids"):
        wanted = read_ids(settings["ids"], "cohort.hcp.ids")
        known = set(everyone)
        ids = [person for person in wanted if person in known]
        absent = [person for person in wanted if person not in known]
        if not ids:
            refuse(f"cohort.hcp.ids ({settings['ids']}): none of these people is in {main}", absent)
    where = target_file({key: sheet.columns for key, sheet in sheets.items()}, target)
    targets = values_of(sheets[where], target, "cohort.target")
    groups, _ = first_column(sheets, ("Family_ID",))
    ages, _ = first_column(sheets, ("Age_in_Yrs", "Age"))
    sizes, size_source = first_column(sheets, SIZE_COLUMNS)
    people = roster_frame(
        ids,
        target=map(targets.get, ids),
        group=map(groups.get, ids),
        size=map(sizes.get, ids),
        age=map(ages.get, ids),
        image=fill_pattern(settings["image"], ids, "cohort.hcp.image"),
    )
    restricted = is_restricted(where, target)
    root = image_folder(settings["root"], "cohort.hcp.root")
    return Roster(people, str(main), root, restricted, size_source, absent)


def hcp_target_is_restricted(settings: dict, target: str) -> bool:
    """Tell whether the target must not be published; reads the headers of the CSV files only."""
    columns = {key: read_header(settings[key], f"cohort.hcp.{key}") for key in FILES if settings.get(key)}
    return is_restricted(target_file(columns, target), target)


def is_restricted(file: str, column: str) -> bool:
    """A field is restricted when only the restricted CSV has it, or by its name wherever it stands."""
    return file == "restricted_csv" or is_restricted_field(column)


def read_files(settings: dict, section: str) -> dict[str, Sheet]:
    """Read those of HCP's CSV files that the settings name; `section` is that of the config, for messages."""
    return {key: read_sheet(settings[key], f"{section}.{key}") for key in FILES if settings.get(key)}


def values_of(sheet: Sheet, column: str, setting: str) -> dict[str, str | None]:
    """Return one column by participant id."""
    return dict(zip(sheet.ids(SUBJECT, sheet.setting), sheet.column(column, setting), strict=True))


def first_column(sheets: dict[str, Sheet], names: tuple[str, ...]) -> tuple[dict[str, str | None], str]:
    """Return the first of several columns that any file has, and its name; nothing when none has one."""
    for name in names:
        for sheet in sheets.values():
            if name in sheet.columns:
                return values_of(sheet, name, sheet.setting), name
    return {}, ""


def target_file(columns: dict[str, list[str]], target: str) -> str:
    """Return the key of the file that has the target; refuse a target that none has."""
    for key, names in columns.items():
        if target in names:
            return key
    if is_restricted_field(target) and "restricted_csv" not in columns:
        refuse(
            f"cohort.target: {target!r} is a restricted field of the HCP and stands in none of the given tables",
            advice="Apply for restricted access at the HCP, then set cohort.hcp.restricted_csv.",
        )
    merged = [name for names in columns.values() for name in names]
    refuse_unknown_column(target, "cohort.target", merged, " or ".join(f"cohort.hcp.{key}" for key in columns))
