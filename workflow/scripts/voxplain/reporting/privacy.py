"""What must never reach a page that people pass on."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from voxplain.base.errors import refuse
from voxplain.cohort.restricted import RESTRICTED

# In a table of people these columns are private too; elsewhere `group` is a group of maps.
PRIVATE_OF_PEOPLE = frozenset({"group", "size", "age", "sex", "gender"})


def refuse_private_paths(paths: Iterable[Path]) -> None:
    """Refuse files that lie in a folder named ``private``, at whatever depth.

    Raises
    ------
    InputError
        Naming every one.
    """
    inside = [path for path in paths if "private" in Path(path).parent.parts]
    if inside:
        refuse("The page is made to be passed on and must not read private files", inside)


def refuse_private_fields(tables: Mapping[str, pd.DataFrame], hide_target: bool) -> None:
    """Refuse tables that carry restricted fields.

    Parameters
    ----------
    tables : mapping of name to DataFrame
        One with a column ``participant_id`` is a table of people. In one with a column ``key`` the keys count as
        columns.
    hide_target : bool
        The target is a restricted field, so that no table of people may hold it.

    Raises
    ------
    InputError
        Naming every table and field.
    """
    found = []
    for name, table in tables.items():
        fields = [*map(str, table.columns), *(map(str, table["key"]) if "key" in table else ())]
        forbidden = set(RESTRICTED)
        if "participant_id" in table:
            forbidden |= PRIVATE_OF_PEOPLE
            if hide_target and "target" in table and table["target"].notna().any():
                found.append(f"{name}: target (the config says that it is restricted)")
        found += [f"{name}: {field}" for field in fields if field.casefold() in forbidden]
    if found:
        refuse(
            "The page is made to be passed on, but its tables hold private fields",
            found,
            "Keep them in private/, and leave them out of the tables of results.",
        )


def public_settings(config: Mapping, above: str = "") -> list[tuple[str, str]]:
    """Return the config as (dotted key, value) rows without what tells where files lie on somebody's machine.

    Absolute paths and paths below a home folder are shortened to their last part; of the restricted table only
    whether one was given is said.
    """
    rows: list[tuple[str, str]] = []
    for key, value in config.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping) and value:
            rows += public_settings(value, f"{name}.")
        elif key in ("restricted_csv", "salt"):
            rows.append((name, "none" if value is None else "given, not shown"))
        else:
            rows.append((name, _spell(value)))
    return rows


def _spell(value: object) -> str:
    if value is None or value == {} or value == []:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(_spell(item) for item in value)
    text = str(value)
    if text.startswith(("/", "~", "\\\\")) or text[1:3] in (":\\", ":/"):
        return "…/" + text.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    return text
