"""What the tests of the maps and the benchmarks cannot do, found in the configuration before hours are spent."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

from voxplain.attribution import METHOD_NAMES
from voxplain.base.errors import InputError
from voxplain.cohort.phantom.families import LABELS
from voxplain.cohort.phantom.settings import PhantomSettings
from voxplain.cohort.planting import PlantedSettings
from voxplain.imaging.displaced import check_place
from voxplain.models.settings import TrainingSettings


def of_the_evaluation(config: dict, classes: Sequence[str]) -> list[str]:
    """Return what is wrong with ``evaluation`` and the benchmarks; one line each.

    Parameters
    ----------
    config : dict
        With its defaults filled in.
    classes : sequence of str
        Empty for a regression.
    """
    evaluation = config["evaluation"]
    truth = evaluation["localization"]["truth"]
    problems = []
    if truth and not Path(truth).is_file():
        problems.append(f"evaluation.localization.truth: {truth} does not exist")
    if config["interpret"]["weights"] is not None:
        for name, count in (("reproducibility", "people"), ("retraining", "networks")):
            if evaluation[name][count] != 0:
                problems.append(f"evaluation.{name}.{count}: set it to 0, a network from outside is not trained again")
    again = evaluation["reproducibility"]
    least = 2 * max(2, len(classes) or 3)
    if 0 < again["people"] < least:
        problems.append(f"evaluation.reproducibility.people: {again['people']} is too few; at least {least}, or 0")
    return [*problems, *_of_phantoms(config["phantom_benchmark"]), *_of_plantings(config)]


def _of_phantoms(settings: dict) -> list[str]:
    problems = [
        f"phantom_benchmark.methods.{name}.method: {own['method']!r} is none of {', '.join(METHOD_NAMES)}"
        for name, own in settings["methods"].items()
        if own["method"] not in METHOD_NAMES
    ]
    set_here = {"design", "effect", "seed", "people", "grid"}
    of_phantoms = {field.name for field in fields(PhantomSettings)}
    of_training = {field.name for field in fields(TrainingSettings)} - {"task", "labels"}
    for key, known, make in (
        ("training", of_training, lambda own: TrainingSettings(**own, labels=LABELS)),
        ("phantom", of_phantoms, lambda own: PhantomSettings(**own)),
    ):
        own = settings[key]
        if set(own) <= known:
            problems += _refused(f"phantom_benchmark.{key}", lambda make=make, own=own: make(own))
        else:
            strangers = ", ".join(sorted(set(own) - known))
            problems.append(f"phantom_benchmark.{key}: there is no {strangers}; there are {', '.join(sorted(known))}")
    taken = ", ".join(sorted(set_here & set(settings["phantom"])))
    if taken:
        problems.append(f"phantom_benchmark.phantom: take out {taken}, which the benchmark sets")
    return problems


def _of_plantings(config: dict) -> list[str]:
    settings, cohort, images = config["planted_benchmark"], config["cohort"], config["images"]
    if not settings["regions"]:
        return []
    problems = []
    atlases = [*config["atlases"], *(["parcels"] if cohort["source"] == "phantom" else [])]  # the phantom brings one
    if not atlases:
        problems.append("planted_benchmark.regions: they are regions of an atlas; name one under atlases")
    elif settings["atlas"] and settings["atlas"] not in atlases:
        problems.append(f"planted_benchmark.atlas: {settings['atlas']!r} is none of {', '.join(atlases)}")
    if cohort["source"] == "phantom" and cohort["phantom"]["grid"] == "common":
        problems.append("planted_benchmark.regions: images on the common grid would blur; use cohort.phantom.grid: hcp")
    nominal = {key: settings[key] for key in ("regions", "kind", "volume_effect", "intensity_effect", "spread")}
    return [
        *problems,
        *_refused("planted_benchmark", lambda: PlantedSettings(**nominal)),
        *_refused("planted_benchmark.regions", lambda: check_place(images["align"], images["space"])),
    ]


def _refused(key: str, make: Callable[[], object]) -> list[str]:
    """Return why something cannot be made, under the key that asks for it; nothing when it can."""
    try:
        make()
    except InputError as error:
        return [f"{key}: {error}"]
    return []
