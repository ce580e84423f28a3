"""What is wrong with a configuration file, in the words of its keys.

The schema says what is allowed; a validator says what is wrong with a part of the schema in hand, one thing at a time.
Here all of it is said at once, beside what the schema cannot see: keys that stand twice, and what YAML makes of texts.
"""

import difflib
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path

from voxplain.base.errors import InputError, refuse

HEADLINE, ADVICE = "The configuration cannot be used", "config/README.md explains every key."
# Values are shown up to so many characters, and so many keys of a section.
SHOWN, KEYS_SHOWN = 60, 12
KINDS = {
    "object": "a section of keys",
    "array": "a list",
    "integer": "a whole number",
    "number": "a number",
    "string": "a text",
    "boolean": "true or false",
    "null": "null",
}
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# What the schema's patterns ask for.
PATTERNS = {
    "^[A-Za-z0-9][A-Za-z0-9-]*$": "may hold letters, digits and '-' only, and begin with a letter or digit",
    "^[A-Za-z0-9-]+$": "may hold letters, digits and '-' only",
    "^[a-z][a-z0-9_]*$": "may hold small letters, digits and '_' only, and begin with a letter",
    "[{]id[}]": "must hold {id}, which stands for the participant id",
    "^[0-9a-f]{64}$": "is not a SHA-256 in hexadecimal",
    "^(VoxelCNN|[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*)$": "is neither VoxelCNN nor package.module:Class",
}
LIMITS = {
    "minimum": "is less than {}",
    "maximum": "is more than {}",
    "exclusiveMinimum": "must be above {}",
    "exclusiveMaximum": "must be below {}",
    "minLength": "is empty",
    "minItems": "needs {} entries at least",
    "uniqueItems": "has an entry twice",
}


def check_plain(config: dict, files: Sequence[str | Path] = ()) -> None:
    """Refuse what a schema lets pass: keys that stand twice, and values that are no plain texts or finite numbers.

    Parameters
    ----------
    config : dict
        As read from the files and the command line.
    files : sequence of path-like
        Where it was read from; of keys that stand twice YAML keeps the last and says nothing.

    Raises
    ------
    InputError
        Naming every such key.
    """
    problems = [problem for file in files for problem in _twice(Path(file))]
    problems += _not_plain(config, "")
    if problems:
        refuse(HEADLINE, problems, ADVICE)


def complaint(error: Exception, config: dict, schema: str | Path) -> str:
    """Return what to tell the user whose configuration was refused.

    Parameters
    ----------
    error : Exception
        What the validation raised.
    config : dict
        Defaults may be filled in, in part.
    schema : path-like
        The JSON schema, as YAML.

    Returns
    -------
    str
        The message of an `InputError`; otherwise every key that the schema does not allow; the error's own text when
        there is none.
    """
    if isinstance(error, InputError):
        return str(error)
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    problems = list(against(config, yaml.load(Path(schema).read_text(encoding="utf-8"), loader)))
    try:
        refuse(HEADLINE, problems, ADVICE)
    except InputError as refusal:
        return str(refusal) if problems else str(error)


def against(config: object, schema: dict) -> Iterator[str]:
    """Yield what is wrong with a configuration by its schema; one line each, ordered as the schema finds it."""
    from jsonschema import Draft202012Validator

    said = set()
    for error in Draft202012Validator(schema).iter_errors(config):
        for line in _lines(error):
            if line not in said:
                said.add(line)
                yield line


def _lines(error) -> Iterable[str]:
    """Return one error of jsonschema in words."""
    key, value, wanted, kind = _path(error.absolute_path), error.instance, error.validator_value, error.validator
    if "propertyNames" in error.schema_path:
        known = f"is none of {', '.join(map(str, wanted))}" if kind == "enum" else PATTERNS.get(wanted, f"({wanted})")
        return [f"{_below(key, value)}: this name {known}"]
    if kind == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        return [_unknown(key, name, known) for name in value if name not in known]
    if kind == "required":
        return [f"{_below(key, name)}: is missing" for name in wanted if name not in value]
    if kind == "type":
        return [f"{key}: {_show(value)} is not {_kinds(wanted)}{_hint(value, wanted)}"]
    if kind == "enum":
        return [f"{key}: {_show(value)} is none of {', '.join(map(str, wanted))}"]
    if kind == "pattern":
        return [f"{key}: {_show(value)} {PATTERNS.get(wanted, f'does not have the form {wanted}')}"]
    if kind in LIMITS:
        return [f"{key}: {_show(value)} {LIMITS[kind].format(wanted)}"]
    if kind == "oneOf" and all("required" in form for form in wanted):
        return [f"{key}: needs {', or else '.join(' and '.join(form['required']) for form in wanted)}"]
    if kind == "oneOf":
        return [f"{key}: {_show(value)} is not {' or '.join(map(_described, wanted))}"]
    meaning = error.schema.get("description", "")
    return [f"{key}: {_show(value)} is not allowed" + (f" ({meaning})" if meaning else "")]


def _unknown(section: str, name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.6)
    others = ", ".join(known[:KEYS_SHOWN]) + (", ..." if len(known) > KEYS_SHOWN else "")
    return f"{_below(section, name)}: there is no such key; " + (
        f"did you mean {close[0]}?" if close else f"there are {others}"
    )


def _described(schema: dict) -> str:
    """Say what one of several forms of a value looks like."""
    if "enum" in schema:
        return " or ".join(map(str, schema["enum"]))
    if schema["type"] == "array":
        inner = schema["items"].get("oneOf", [schema["items"]])
        return f"a list of such values ({' or '.join(map(_described, inner))})"
    limits = {"minimum": "of at least", "exclusiveMinimum": "above"}
    return KINDS[schema["type"]] + "".join(
        f" {words} {schema[name]}" for name, words in limits.items() if name in schema
    )


def _hint(value: object, wanted: str | list[str]) -> str:
    wanted = [wanted] if isinstance(wanted, str) else wanted
    if isinstance(value, str) and {"number", "integer"} & set(wanted):
        try:
            float(value)
        except ValueError:
            return ""
        return "; take the quotation marks off, and write 1.0e-4 for 1e-4, which is a text in YAML"
    if value is None and "object" in wanted:
        return "; write {} or take the key out"
    if "string" in wanted and isinstance(value, bool | int | float):
        return "; put quotation marks around it"
    return ""


def _kinds(wanted: str | list[str]) -> str:
    return " or ".join(KINDS[kind] for kind in ([wanted] if isinstance(wanted, str) else wanted))


def _show(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value)
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."


def _path(keys: Iterable[object]) -> str:
    path = ""
    for key in keys:
        path = f"{path}[{key}]" if isinstance(key, int) else _below(path, key)
    return path


def _below(path: str, key: object) -> str:
    name = str(key) if re.fullmatch(r"[\w-]+", str(key)) else _show(key)
    return f"{path}.{name}" if path else name


def _not_plain(value: object, path: str) -> Iterator[str]:
    """Yield the keys and values that are neither texts, finite numbers, truth values, null, lists nor sections."""
    if isinstance(value, dict):
        for key, part in value.items():
            if isinstance(key, str):
                yield from _not_plain(part, _below(path, key))
            else:
                yield f"{_below(path, key)}: keys are texts, this one is {_show(key)}; put quotation marks around it"
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from _not_plain(part, f"{path}[{number}]")
    elif isinstance(value, date):
        yield f"{path}: {value} was taken for a date; put quotation marks around it"
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{path}: {value} is not a finite number"
    elif isinstance(value, str) and CONTROL.search(value):
        yield f"{path}: {_show(value)} has a line end or another control character"
    elif value is not None and not isinstance(value, str | int | float):
        yield f"{path}: an object of Python ({type(value).__name__}); give a text, a number, a list or a section"


def _twice(file: Path) -> Iterator[str]:
    """Yield the keys that stand more than once in a section of a file."""
    import yaml

    try:
        root = yaml.compose(file.read_text(encoding="utf-8-sig"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, ValueError, yaml.YAMLError):
        return  # said by whoever reads the values
    waiting, seen, found = [("", root)], set(), []
    while waiting:
        path, node = waiting.pop()
        if id(node) in seen:  # an alias
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += [(f"{path}[{number}]", part) for number, part in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            lines: dict[str, list[str]] = {}
            for key, part in node.value:
                name = str(key.value) if isinstance(key, yaml.ScalarNode) else "?"
                lines.setdefault(name, []).append(str(key.start_mark.line + 1))
                waiting.append((_below(path, name), part))
            for name, numbers in lines.items():
                if len(numbers) > 1 and name != "<<":
                    where = f"{', '.join(numbers[:-1])} and {numbers[-1]}"
                    words = f"{_below(path, name)}: stands in the lines {where} of {file}; only the last would count"
                    found.append((int(numbers[0]), words))
    yield from (words for _, words in sorted(found))
