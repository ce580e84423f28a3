"""Everything that can be known before a run begins, in seconds: what would stop it, and what it will take.

Nothing of it is new: each part calls what the run itself calls later, on a sample where that would take long.
"""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from voxplain.base.plain_words import spell_bytes
from voxplain.cohort.buckets import Bucket
from voxplain.cohort.people import found_people, image_root, read_roster
from voxplain.cohort.targets import check_enough, check_families
from voxplain.configuration import check_config, cohort_of_features
from voxplain.imaging.grid import COMMON
from voxplain.imaging.reading import check_headers
from voxplain.running import costs
from voxplain.running.estimate import Cost, Plan, estimate, room_needed, wall_seconds
from voxplain.running.findings import FINE, STOP, WARNING, Finding, attempt
from voxplain.running.watching import roughly

# People whose images' headers are read, spread over the list: a network disk answers in tenths of a second.
SAMPLE = 20
# A run of more hours than this is worth a word, and a trial run should take no more than one.
LONG_HOURS, TRIAL_HOURS = 2, 1
TRIALS = (400, 200, 100, 50)
# Of the free space; a disk that full is slow, and others write there too.
COMFORTABLE = 0.9


def check_people(config: Mapping) -> tuple[pd.DataFrame | None, list[Finding]]:
    """Look for people, their images, and enough of them for the folds.

    Parameters
    ----------
    config : mapping
        With its defaults filled in.

    Returns
    -------
    people : DataFrame, optional
        See `voxplain.cohort.people.found_people`; None where they cannot be told.
    findings : list of Finding
    """
    cohort, folds = config["cohort"], config["folds"]
    roster, findings = attempt("people", read_roster, cohort, config["seed"])
    if roster is None:
        return None, findings
    answer, findings = attempt("people", found_people, cohort, config["seed"], roster)
    if answer is None:
        return None, findings
    people, missing = answer
    counts = Counter(people["target"]) if cohort["task"] == "classification" else {}
    classes = ", ".join(f"{label} {count}" for label, count in sorted(counts.items()))
    text = f"{len(people)} of {roster.source}" + (f": {classes}" if classes else "")
    listed = len(roster.people) + len(roster.absent)
    if cohort["limit"] is not None:
        text += f" (cohort.limit; {listed} are listed)"
    if len(missing):
        first = "; ".join(f"{row.participant_id}: {row.reason}" for row in missing.head(3).itertuples())
        mend = "Nothing need be done: they are left out and counted (private/missing.tsv)."
        findings.append(Finding("people", f"{text}\n{len(missing)} without an image: {first}", WARNING, mend))
    else:
        findings.append(Finding("people", text))
    if config["interpret"]["weights"] is None:
        given = people, cohort, folds["count"], folds["grouped"]
        problems = attempt("folds", check_enough, *given)[1]
        if folds["compare_ungrouped"]:
            problems += attempt("folds", check_families, people)[1]
        known = people["group"].notna().any()
        families = f", families together ({people['group'].nunique()} known)" if folds["grouped"] and known else ""
        findings += problems or [Finding("folds", f"{folds['count']} folds{families}")]
    return people, findings


def check_image_sample(config: Mapping, people: pd.DataFrame) -> list[Finding]:
    """Read the headers of some people's images and masks, spread over the list."""
    root = image_root(config["cohort"])
    if root is None:
        return [Finding("images", "the run makes the phantom's itself")]
    if isinstance(root, Bucket):
        return [Finding("images", f"all are in {root}; their headers are read when batches are fetched")]
    step = max((len(people) - 1) / max(SAMPLE - 1, 1), 1)
    places = sorted({round(place * step) for place in range(min(SAMPLE, len(people)))})
    sample = people.iloc[places]
    images, masks = sample["image"].tolist(), sample["mask"].dropna().tolist()
    problems = attempt("images", check_headers, [root / path for path in [*images, *masks]])[1]
    text = f"headers of {len(images)} of {len(people)} images" + (f" and {len(masks)} masks" if masks else "")
    if problems and config["images"]["on_bad_image"] == "exclude":
        mend = "Nothing need be done: these people are left out and listed (images.on_bad_image: exclude)."
        return [replace(problem, state=WARNING, mend=mend) for problem in problems]
    return problems or [Finding("images", f"{text} read; those of all are read when the run starts")]


def check_morphometry(config: Mapping, people: pd.DataFrame, tables: Sequence[str]) -> tuple[int | None, list[Finding]]:
    """Read the tables of morphometry as the run will; return the number of features and what was found."""
    from voxplain.baselines.features import read_features

    given = cohort_of_features(config["cohort"]), config["baselines"]["features"]
    answer, findings = attempt("morphometry", read_features, tables, people[["participant_id", "target"]], *given)
    if answer is None:
        return None, findings
    features, dropped = answer
    count, lost = features.shape[1] - 1, len(people) - len(features)
    text = f"{count} features of {len(features)} people; {len(dropped)} columns left out"
    mend = f"{lost} people have no values and are left out of these models; baselines.features.on_missing decides."
    return count, [Finding("morphometry", text, WARNING if lost else FINE, mend if lost else "")]


def check_atlases(atlases: Mapping[str, Mapping]) -> list[Finding]:
    """Put every atlas on the common grid, with its labels; those that are fetched are only looked up by name."""
    from voxplain.population.atlas import known_fetcher, load_atlas

    findings = []
    for name, own in atlases.items():
        what = f"atlas {name}"
        if "fetch" in own:
            problems = attempt(what, known_fetcher, own["fetch"])[1]
            text = "nilearn fetches it when the run needs it, from its cache or the network; not looked at"
            findings += problems or [Finding(what, text)]
            continue
        atlas, problems = attempt(what, load_atlas, own["image"], own["labels"], name, own.get("sha256"))
        findings += problems or [Finding(what, f"{len(atlas.regions)} regions on the common grid")]
    return findings


def check_network(config: Mapping, classes: Sequence[str]) -> list[Finding]:
    """Build the network, or read the one that the user brings, at the size of the common grid."""
    from voxplain.models.checkpoint import load_external
    from voxplain.models.networks import build

    model, weights, task = config["model"], config["interpret"]["weights"], config["cohort"]["task"]
    if weights is not None:
        given = weights, model["network"], model["arguments"], task, classes, COMMON.shape
        answer, findings = attempt("network", load_external, *given)
        network = answer[0] if answer else None
    else:
        shape = {"shape": COMMON.shape, "outputs": len(classes) or 1}
        network, findings = attempt("network", build, model["network"], {**model["arguments"], **shape})
    if network is None:
        return findings
    count = sum(parameter.numel() for parameter in network.parameters())
    return [Finding("network", f"{weights or model['network']}: {count:,} parameters")]


def check_device(choice: str) -> tuple[bool, list[Finding]]:
    """Tell whether jobs would compute on a GPU of this machine, and what is wrong with the choice."""
    import torch

    seen = torch.cuda.is_available()
    if choice != "cpu" and seen:
        names = ", ".join(sorted({torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())}))
        return True, [Finding("device", f"{choice}: {torch.cuda.device_count()} GPU ({names})")]
    if choice == "cuda":
        mend = "Check the driver with nvidia-smi, or set device: auto. On a cluster, look on a node that has a GPU."
        return False, [Finding("device", "cuda, but torch sees no GPU on this machine", STOP, mend)]
    return False, [Finding("device", "cpu" if choice == "cpu" else "auto: no GPU here, so the CPU")]


def check_room(config: Mapping, people: int, classes: Sequence[str], results: Path, cores: int) -> list[Finding]:
    """Hold the space that a run needs against what is free, where results and temporary files go."""
    folder = next(place for place in [results, *results.absolute().parents] if place.is_dir())
    if not os.access(folder, os.W_OK):
        mend = "Choose a folder that can be written to (--directory), or ask its owner for the right."
        return [Finding("results", f"{folder.absolute()} cannot be written to", STOP, mend)]
    needed = sum(room_needed(config, people, classes, cores).values())
    there = sum(path.stat().st_size for path in results.rglob("*") if path.is_file()) if results.is_dir() else 0
    text = f"about {spell_bytes(needed)} below {results}" + (f", {spell_bytes(there)} of it there" if there else "")
    findings = [_room("disk", folder, max(needed - there, 0), text, "put results elsewhere (--directory)")]
    if _tests_people(config):
        temporary = Path(tempfile.gettempdir())
        needed = people * costs.TEMPORARY_BYTES * min(cores, len(config["maps"]["methods"]))
        text = f"about {spell_bytes(needed)} for a while in {temporary}"
        if (finding := _room("temporary files", temporary, needed, text, "set TMPDIR to another disk")).state != FINE:
            findings.append(finding)
    return findings


def _tests_people(config: Mapping) -> bool:
    tests = config["evaluation"]["inference"]
    return bool(config["maps"]["methods"] and (tests["permutations"] or tests["replicates"]))


def _room(what: str, folder: Path, needed: float, text: str, otherwise: str) -> Finding:
    free = shutil.disk_usage(folder).free
    text += f"; {spell_bytes(free)} free"
    if needed <= COMFORTABLE * free:
        return Finding(what, text)
    mend = f"Free {spell_bytes(max(needed / COMFORTABLE - free, 0))}, or {otherwise}."
    return Finding(what, text, STOP if needed > free else WARNING, mend)


def check_time(plan: Plan, parts: Sequence[Cost], cores: int, gpu: bool) -> Finding:
    """Say how long the run takes here, roughly, and what to do when that is long.

    Parameters
    ----------
    plan : Plan
    parts : sequence of Cost
        Of the plan.
    cores : int
    gpu : bool
        Jobs would compute on a GPU of this machine.
    """
    seconds, work = wall_seconds(parts, cores), sum(part.seconds for part in parts)
    text = f"{roughly(seconds)} on the {cores} cores of this machine ({roughly(work)} of CPU time)"
    if plan.config["model"]["network"] != "VoxelCNN":
        text += "; the network is counted as a VoxelCNN of 32 channels"
    if gpu:
        return Finding("time", f"{text} without the GPU; what it saves was not measured")
    if seconds < LONG_HOURS * 3600:
        return Finding("time", text)
    mend = "Use a GPU or a cluster (docs/cluster.md)"
    slow = max(
        (part for part in parts if part.kind.startswith("explain ")), key=lambda part: part.seconds, default=None
    )
    if slow is not None and slow.seconds > work / 4:
        mend += f", explain fewer people with the slowest method (maps.methods.{slow.kind.split()[-1]}.people)"
    if trial := _trial(plan, cores):
        limit, hours = trial
        mend += f", or try it first: cohort.limit: {limit} under another name takes {hours}"
    return Finding("time", f"{text}: there is no GPU", WARNING, f"{mend}.")


def _trial(plan: Plan, cores: int) -> tuple[int, str] | None:
    """Return the largest trial that takes an hour at most, or else the smallest, and how long it takes."""
    for limit in [limit for limit in TRIALS if limit < plan.people]:
        seconds = wall_seconds(estimate(plan.config, limit, plan.classes, plan.features), cores)
        if seconds <= TRIAL_HOURS * 3600 or limit == TRIALS[-1]:
            return limit, roughly(seconds)
    return None


def check_run(
    config: Mapping, classes: Sequence[str], results: str | Path, tables: Sequence[str], cores: int
) -> tuple[list[Finding], list[Cost]]:
    """Check everything that a run rests on.

    Parameters
    ----------
    config : mapping
        With its defaults filled in; ``atlases`` without the phantom's own.
    classes : sequence of str
        Empty for a regression.
    results : path-like
        The run's folder; it need not exist.
    tables : sequence of str
        Tables of morphometry that exist before the run; empty where none are needed.
    cores : int

    Returns
    -------
    findings : list of Finding
    costs : list of Cost
        Empty where the number of people is not known.
    """
    problems = attempt("settings", check_config, config, classes)[1]
    findings = problems or [Finding("settings", "no two contradict each other")]
    people, found = check_people(config)
    findings += found
    features = None
    if people is not None:
        findings += check_image_sample(config, people)
        if tables:
            features, found = check_morphometry(config, people, tables)
            findings += found
    there = {name: own for name, own in config["atlases"].items() if "fetch" in own or _both_exist(own)}
    findings += check_atlases(there)
    findings += check_network(config, classes) if _weights_exist(config) else []
    gpu, found = check_device(config["device"])
    findings += found
    if people is None or problems:
        return findings, []
    parts = estimate(config, len(people), classes, features)
    findings += check_room(config, len(people), classes, Path(results), cores)
    return [*findings, check_time(Plan(config, len(people), classes, features), parts, cores, gpu)], parts


def _both_exist(atlas: Mapping) -> bool:
    """Tell whether an atlas can be looked at; files that are not there are named among the settings."""
    return all(Path(atlas[key]).is_file() for key in ("image", "labels"))


def _weights_exist(config: Mapping) -> bool:
    weights = config["interpret"]["weights"]
    return weights is None or Path(weights).is_file()
