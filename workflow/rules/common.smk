# Purpose: what the rule files share: names, wildcard constraints, who is in which job, and the code's fingerprint.
import ast
import hashlib
import re
from functools import lru_cache
from math import ceil

from snakemake.exceptions import WorkflowError

from voxplain.base.errors import InputError, refuse
from voxplain.cohort.people import count_people, data_root, found_people, target_is_restricted
from voxplain.cohort.targets import labels_of

LIBRARY = Path(workflow.basedir) / "workflow" / "scripts"


def plainly(function, *arguments):
    """Call a library function; what the user did wrong is said without a traceback."""
    try:
        return function(*arguments)
    except InputError as error:
        raise WorkflowError(str(error)) from None


RESULTS = f"results/{config['name']}"
COHORT = config["cohort"]
if COHORT["source"] not in COHORT:
    raise WorkflowError(f"cohort.source is {COHORT['source']}, but there is no section cohort.{COHORT['source']}")
PHANTOM = COHORT["source"] == "phantom"
CLASSES = plainly(labels_of, COHORT)
GROUPS = [*CLASSES, "joint"]
METHODS = list(config["maps"]["methods"])
SIGNED = {"gradcam", "hirescam", "guided_backprop"}
if PHANTOM:  # its parcels are the demo's atlas
    config["atlases"]["parcels"] = {
        "image": f"{RESULTS}/phantom/parcels.nii.gz",
        "labels": f"{RESULTS}/phantom/parcels.tsv",
    }
ATLASES = list(config["atlases"])
STATISTICS = config["population"]["statistics"]
EXTERNAL = config["interpret"]["weights"] is not None
FOLDS = ["external"] if EXTERNAL else [str(fold) for fold in range(config["folds"]["count"])]


def check_config():
    """Refuse what a schema cannot see: keys that contradict each other."""
    if COHORT["task"] == "regression" and COHORT["labels"]:
        raise InputError("cohort.labels is for classification; cohort.task is regression")
    problems = []
    for name, settings in config["maps"]["methods"].items():
        target = settings["target"] or ("contrast" if len(CLASSES) == 2 else "predicted")
        if target == "contrast" and len(CLASSES) not in (0, 2):
            problems.append(f"{name}: contrast needs two classes, not {len(CLASSES)}")
        elif target not in ("predicted", "true", "contrast", *CLASSES):
            problems.append(f"{name}: {target!r} is none of predicted, true, contrast, {', '.join(CLASSES)}")
        elif target in ("predicted", "true") and name in SIGNED and CLASSES and {"mean_signed", "t"} & set(STATISTICS):
            problems.append(f"{name}: signs of maps of the {target} class differ between classes and would cancel")
    if problems:
        refuse(
            "maps.methods: targets that cannot be explained or summarised",
            problems,
            "Use target: contrast, or population.statistics: [mean_rectified] or [mean_absolute].",
        )


plainly(check_config)
PEOPLE = plainly(count_people, COHORT)
BATCHES = list(range(ceil(PEOPLE / config["images"]["subjects_per_job"])))
PARTS = list(range(ceil(PEOPLE / len(FOLDS) / config["maps"]["subjects_per_job"])))


wildcard_constraints:
    results=re.escape(RESULTS),
    batch=r"\d+",
    fold=r"\d+|external",
    part=r"\d+",
    method="|".join(METHODS) or "none",
    group="|".join(re.escape(group) for group in GROUPS),
    statistic="|".join(STATISTICS),
    atlas="|".join(ATLASES) or "none",


@lru_cache(maxsize=None)
def found():
    """The people whose images exist, sorted by id."""
    return plainly(found_people, COHORT, config["seed"])[0]


if workflow.is_main_process:
    found()  # too few images are said at once; in a job's own process only the rules that ask look for files


def people_of_batch(wildcards):
    return found().iloc[int(wildcards.batch) :: len(BATCHES)]


def map_folders(method):
    return [f"{RESULTS}/maps/{method}/fold-{fold}_part-{part}" for fold in FOLDS for part in PARTS]


@lru_cache(maxsize=None)
def _imports(module):
    path = LIBRARY.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = path.read_text(encoding="utf-8")
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("voxplain"):
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.startswith("voxplain")}
    modules = {name for name in names if _is_module(name)}
    return text, frozenset(modules)


def _is_module(name):
    path = LIBRARY.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


@lru_cache(maxsize=None)
def code_hash(*modules, without=()):
    """Fingerprint of library modules and all that they import from the library; changed code re-runs its jobs."""
    todo = list(modules)
    texts = {}
    while todo:
        name = todo.pop()
        if name not in texts:
            texts[name], imported = _imports(name)
            todo.extend(imported.difference(without))
    return _fingerprint("\0".join(texts[name] for name in sorted(texts)))


def file_hash(*paths):
    """Fingerprint of small files."""
    return _fingerprint("\0".join(Path(path).read_text(encoding="utf-8") for path in paths))


def _fingerprint(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# Jobs that compute with torch. Locally a job takes a free device itself (file locks); clusters read `gpu`.
GPUS = 0 if config["device"] == "cpu" else 1
