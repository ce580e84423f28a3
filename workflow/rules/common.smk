# Purpose: what the stages share: names, checks of the config, wildcard constraints, input functions.
import re
from functools import lru_cache
from math import ceil

from snakemake.exceptions import WorkflowError

from voxplain.base.errors import InputError, refuse
from voxplain.base.fingerprints import code_hash, file_hash, fingerprint
from voxplain.cohort.people import count_people, data_root, found_people, target_is_restricted
from voxplain.cohort.targets import labels_of


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


def volumes_folder(path):
    """The phantom's volumes go when they have been read, unless the config keeps them."""
    folder = directory(path)
    return folder if PHANTOM and COHORT["phantom"]["keep_volumes"] else temp(folder)


def cohort_tables(wildcards):
    """Tables that the participants come from."""
    if PHANTOM:
        return {
            "unrestricted_csv": f"{RESULTS}/phantom/unrestricted.csv",
            "restricted_csv": f"{RESULTS}/private/phantom_restricted.csv",
        }
    section = COHORT[COHORT["source"]]
    keys = ("unrestricted_csv", "restricted_csv", "freesurfer_csv", "ids", "file")
    return {key: str(Path(section[key]).expanduser()) for key in keys if section.get(key)}


def volumes_of_batch(wildcards):
    """Files that a batch reads. Only those that exist: people without an image were counted before."""
    if PHANTOM:
        return {"volumes": f"{RESULTS}/phantom/volumes/batch-{wildcards.batch}"}
    people = people_of_batch(wildcards)
    root = data_root(COHORT)
    return {
        "volumes": [str(root / image) for image in people["image"]],
        "masks": [str(root / mask) for mask in people["mask"].dropna()],
        # The tables must be sound before hours of reading begin; a corrected label needs no second reading.
        "participants": ancient(f"{RESULTS}/private/participants.tsv"),
    }


def code_of_method(method):
    """A method's own code and what all share; the registry imports every method, but those do not matter here."""
    others = tuple(f"voxplain.attribution.{name}" for name in config["maps"]["methods"])
    shared = code_hash("voxplain.attribution.explaining", "voxplain.models.checkpoint", without=others)
    return code_hash(f"voxplain.attribution.{method}") + shared


def maps_of_group(wildcards):
    """The maps of a class; for all people together, the population maps of the classes."""
    if wildcards.group == "joint" and CLASSES:
        return expand(
            "{results}/population/{method}/{group}_{statistic}.nii.gz",
            results=RESULTS,
            method=wildcards.method,
            group=CLASSES,
            statistic=wildcards.statistic,
        )
    return map_folders(wildcards.method)


def atlas_files(wildcards):
    settings = config["atlases"][wildcards.atlas]
    return {key: settings[key] for key in ("image", "labels") if key in settings}


# Jobs that compute with torch. Locally a job takes a free device itself (file locks); clusters read `gpu`.
GPUS = 0 if config["device"] == "cpu" else 1
