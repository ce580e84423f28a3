"""What tests of bad input share: the table of people, changes of a configuration, and how a refusal is laid out."""

import json

IDS = [f"{number:03d}" for number in range(1, 9)]
# The table of people in messages; FILE stands for its path.
WHERE = "cohort.table.file (FILE)"
OUT = object()


def rows(**columns: list[str]) -> list[list[str]]:
    """The good table, with some columns added or replaced: `rows(sex=[...])`."""
    columns = {"participant_id": IDS, "sex": ["F", "M"] * 4, "age": [f"{20 + n}.5" for n in range(8)]} | columns
    return [list(columns), *map(list, zip(*columns.values(), strict=True))]


def text_of(table: list[list[str]]) -> str:
    return "".join("\t".join(row) + "\n" for row in table)


def listed(headline: str, *offenders: str, advice: str = "") -> str:
    """The layout of a refusal."""
    return "\n".join([headline, *(f"  - {one}" for one in offenders), *([advice] if advice else [])])


def changed(config: dict, change: dict) -> dict:
    """Return the configuration with keys (dotted) set; `OUT` takes a key out."""
    config = json.loads(json.dumps(config))
    for dotted, value in change.items():
        *above, last = dotted.split(".")
        section = config
        for name in above:
            section = section.setdefault(name, {})
        if value is OUT:
            del section[last]
        else:
            section[last] = value
    return config
