"""Methods that a user brings in a Python file, loaded and put into the registry of one process."""

import importlib.util
import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields, make_dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from voxplain.attribution import METHOD_NAMES
from voxplain.attribution.method import Attribution, Context, Method, weighted_score
from voxplain.attribution.own_methods import CONTEXT
from voxplain.attribution.registry import METHODS
from voxplain.base.errors import InputError


def register_own(name: str, settings: Mapping[str, object]) -> dict[str, object]:
    """Make a method known by its name, if it is one of the user's, and return its settings without where it lies.

    Parameters
    ----------
    name : str
    settings : mapping
        Of `voxplain.attribution.own_methods.with_own_methods`; without ``own`` nothing is done.

    Raises
    ------
    InputError
        For the name of a built-in method, a file that cannot be imported, and one without the function.
    """
    settings = dict(settings)
    own = settings.pop("own", None)
    if own is not None:
        method = own_method(name, own["file"], own["function"], own["signed"], own["contribution"])
        METHODS[name] = method
    return settings


def own_method(
    name: str, file: str | Path, function: str | None = None, signed: bool = True, contribution: bool = False
) -> Method:
    """Return a method made of a function in a Python file.

    The function is called as ``function(network, images, targets, *, ...)``: `network` is a frozen copy in evaluation
    mode, `images` are float32 [n, 1, D, H, W], `targets` float32 [n, outputs] weights over the outputs. What stands
    after the star are its settings, with their defaults; ``context``, if it is among them, is the
    `voxplain.attribution.method.Context`. It returns a tensor [n, D, H, W].

    Parameters
    ----------
    name : str
    file : path-like
        Python code; it is run.
    function : str, optional
        Default: `name`.
    signed, contribution : bool
        See `voxplain.attribution.method.Method`.

    Raises
    ------
    InputError
        See `register_own`.
    """
    if name in METHOD_NAMES:
        raise InputError(f"a method named {name} exists; choose another name")
    function = function or name
    made_by_user = getattr(_imported(name, Path(file)), function, None)
    if not callable(made_by_user):
        raise InputError(f"method {name}: {file} has no function {function}")
    parameters = inspect.signature(made_by_user).parameters.values()
    named = [one for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY]
    settings = make_dataclass(
        "OwnSettings", [(one.name, object, one.default) for one in named if one.name != CONTEXT], frozen=True
    )
    wants_context = any(one.name == CONTEXT for one in named)
    attribute = _checked(name, made_by_user, signed, wants_context)
    return Method(name, attribute, settings, signed=signed, contribution=contribution)


def _imported(name: str, file: Path) -> object:
    spec = importlib.util.spec_from_file_location(f"voxplain_own_{name}", file)
    if not file.is_file() or spec is None:
        raise InputError(f"method {name}: {file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(f"method {name}: {file} cannot be imported: {type(error).__name__}: {error}") from error
    return module


def _checked(name: str, function: Callable, signed: bool, wants_context: bool) -> Callable:
    """Return the function in the form that the registry wants; what it returns is checked."""

    def attribute(
        network: nn.Module, images: Tensor, targets: Tensor, settings: object, context: Context
    ) -> Attribution:
        with torch.no_grad():
            score = weighted_score(network(images), targets)
        options = {field.name: getattr(settings, field.name) for field in fields(settings)}
        if wants_context:
            options[CONTEXT] = context
        # A copy, so that nothing done to it in place reaches the people's images.
        maps = function(network, images.clone(), targets, **options)
        expected = (len(images), *images.shape[2:])
        got = tuple(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
        if got != expected:
            raise InputError(
                f"method {name} returned {got} for {len(images)} images, expected a tensor of shape {expected}: one "
                "map [D, H, W] a person"
            )
        maps = maps.detach().float()
        if not signed and (maps < 0).any():
            raise InputError(f"method {name} returned maps below 0, but is said to have no signs (signed: false)")
        return Attribution(maps, score.cpu().numpy())

    return attribute
