# Purpose: what the rule files share: names, wildcard constraints, who is in which job, and the code's fingerprint.
import ast
import hashlib
import re
from functools import lru_cache
from math import ceil

from snakemake.exceptions import WorkflowError

from voxplain.base.errors import InputError
from voxplain.base.names import check_labels
from voxplain.cohort.people import count_people, found_people

LIBRARY = Path(workflow.basedir) / "workflow" / "scripts"
RESULTS = f"results/{config['name']}"
COHORT = config["cohort"]
PHANTOM = COHORT["source"] == "phantom"
CLASSES = COHORT["labels"] if COHORT["task"] == "classification" else []
GROUPS = [*CLASSES, "joint"]
METHODS = list(config["maps"]["methods"])
if PHANTOM:  # its parcels are the demo's atlas
    config["atlases"]["parcels"] = {
        "image": f"{RESULTS}/phantom/parcels.nii.gz",
        "labels": f"{RESULTS}/phantom/parcels.tsv",
    }
ATLASES = list(config["atlases"])
STATISTICS = config["population"]["statistics"]
EXTERNAL = config["interpret"]["weights"] is not None
FOLDS = ["external"] if EXTERNAL else [str(fold) for fold in range(config["folds"]["count"])]


def plainly(function, *arguments):
    """Call a library function; what the user did wrong is said without a traceback."""
    try:
        return function(*arguments)
    except InputError as error:
        raise WorkflowError(str(error)) from None


def check_config():
    """Refuse what a schema cannot see: keys that contradict each other."""
    if COHORT["source"] not in COHORT:
        raise InputError(f"cohort.source is {COHORT['source']}, but there is no section cohort.{COHORT['source']}")
    if COHORT["task"] == "classification":
        if not CLASSES:
            raise InputError("cohort.labels is missing: list the classes in their order, for example [F, M]")
        check_labels(CLASSES, "cohort.labels")
    elif COHORT["labels"]:
        raise InputError("cohort.labels is for classification; cohort.task is regression")
    for name, settings in config["maps"]["methods"].items():
        if settings["target"] in ("predicted", "true", "contrast"):
            if settings["target"] == "contrast" and CLASSES and len(CLASSES) != 2:
                raise InputError(f"maps.methods.{name}.target: contrast needs two classes, not {len(CLASSES)}")
        elif settings["target"] not in CLASSES:
            raise InputError(
                f"maps.methods.{name}.target: {settings['target']!r} is none of predicted, true, contrast, "
                + ", ".join(CLASSES)
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
    """The people whose images exist, sorted by id. Asked for when a job needs it, not when the workflow is parsed."""
    return plainly(found_people, COHORT, config["seed"])[0]


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
def code_hash(*modules):
    """Fingerprint of library modules and all that they import from the library; changed code re-runs its jobs."""
    todo = list(modules)
    texts = {}
    while todo:
        name = todo.pop()
        if name not in texts:
            texts[name], imported = _imports(name)
            todo.extend(imported)
    return hashlib.sha256("\0".join(texts[name] for name in sorted(texts)).encode()).hexdigest()[:16]


# Jobs that compute with torch. Locally a job takes a free device itself (file locks); clusters read `gpu`.
GPUS = 0 if config["device"] == "cpu" else 1
