"""Methods that a user brings in a Python file: what the configuration says of them, checked without running the file.

This module imports no torch, because it is read whenever the workflow is planned; jobs take `own_code`.
"""

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path

from voxplain.attribution import METHOD_NAMES
from voxplain.base.errors import refuse
from voxplain.base.fingerprints import code_hash

# Names that tables use for something else, and what rules with an input a method call their other inputs.
OF_TABLES = ("random", "anatomy_held_out", "anatomy_all")
OF_INPUTS = (
    "weights", "stack", "index", "mean", "brain", "folds", "maps", "truth", "truth_regions", "regions", "trained_on",
    "mean_image", "brain_mask",
)  # fmt: skip
TAKEN = (*METHOD_NAMES, *OF_TABLES, *OF_INPUTS)
# What the workflow tells methods by other ways: as keys beside the arguments, or through `context`.
NOT_ARGUMENTS = frozenset(
    ("target", "people", "batch_size", "own", "method", "seed", "participant_ids", "mean_image", "noise_model")
)
CONTEXT = "context"
EXPECTED = "expected def {name}(network, images, targets, *, setting=default, ...)"


def with_own_methods(maps: Mapping[str, Mapping]) -> dict[str, dict]:
    """Return the methods of a run, those of the user's after the built-in ones, in one form.

    Parameters
    ----------
    maps : mapping
        The section ``maps`` of the configuration, with its defaults filled in.

    Returns
    -------
    dict
        Settings by method. Those of the user's hold what `voxplain.attribution.own_code.register_own` needs, as
        ``own``.

    Raises
    ------
    InputError
        Naming everything that is wrong with the files, before any of them is run.
    """
    problems = [f"maps.own.{name}: {text}" for name, own in maps["own"].items() for text in _problems(name, own)]
    if problems:
        refuse("Methods of your own cannot be used", problems, "docs/extending.md shows one that works.")
    own = {
        name: {
            **own["arguments"],
            **{key: own[key] for key in ("target", "people", "batch_size")},
            "own": {
                "file": own["file"],
                "function": own["function"] or name,
                **{key: own[key] for key in ("signed", "contribution")},
            },
        }
        for name, own in maps["own"].items()
    }
    return {**maps["methods"], **own}


def code_of_own(settings: Mapping[str, object]) -> str:
    """Return the fingerprint of a method's file and of what it imports from here; of a built-in one nothing."""
    return code_hash(Path(settings["own"]["file"])) if "own" in settings else ""


def _problems(name: str, own: Mapping[str, object]) -> list[str]:
    function = own["function"] or name
    if name in TAKEN:
        return [f"the name is taken; there are {', '.join(TAKEN)}"]
    if own["contribution"] and not own["signed"]:
        return ["contribution: a contribution has a sign; set signed to true, or contribution to false"]
    file = Path(own["file"])
    if not file.is_file():
        return [f"{file} is not a file"]
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError) as error:
        return [f"{file} is no Python: {error}"]
    found = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    if function not in found:
        return [f"{file} has no function {function}; it has {', '.join(found) or 'none'}"]
    return [f"{file}: {text}" for text in _of_the_signature(found[function], own["arguments"])]


def _of_the_signature(function: ast.FunctionDef, given: Iterable[str]) -> list[str]:
    arguments, expected = function.args, EXPECTED.format(name=function.name)
    settings = [one.arg for one in arguments.kwonlyargs]
    if len(arguments.posonlyargs + arguments.args) != 3 or arguments.vararg or arguments.kwarg:
        return [f"{function.name}({ast.unparse(arguments)}): {expected}"]
    problems = [
        f"{function.name}: {setting} has no default; {expected}"
        for setting, default in zip(settings, arguments.kw_defaults, strict=True)
        if default is None and setting != CONTEXT
    ]
    problems += [
        f"{function.name}: {setting} is a name that the workflow uses; choose another one"
        for setting in settings
        if setting in NOT_ARGUMENTS
    ]
    known = [setting for setting in settings if setting != CONTEXT]
    strangers = [argument for argument in given if argument not in known]
    if strangers:
        problems.append(f"{function.name} has no {', '.join(strangers)}; it has {', '.join(known) or 'no settings'}")
    return problems
