# Purpose: what the stages share: names, checks of the config, wildcard constraints. What rules ask for is in inputs.smk.
import re
import sys
from contextlib import redirect_stderr
from functools import lru_cache
from importlib.util import find_spec
from io import StringIO
from math import ceil

from snakemake.cli import parse_args
from snakemake.exceptions import WorkflowError

from voxplain.attribution import METHOD_NAMES
from voxplain.attribution.own_methods import code_of_own, with_own_methods
from voxplain.base.errors import InputError
from voxplain.base.fingerprints import code_hash, file_hash, fingerprint
from voxplain.base.seeds import seed_for
from voxplain.cohort.bids import check_space, participants_file
from voxplain.cohort.buckets import Bucket, client_of_environment, existing, refuse_without_plugin, without_keys
from voxplain.cohort.head_size import check_size_settings, head_size_is_obtainable
from voxplain.cohort.people import ask_bucket, count_people, data_root, found_people, image_root, read_roster
from voxplain.cohort.people import target_is_restricted
from voxplain.cohort.targets import check_enough, check_families, labels_of
from voxplain.population.groups import TERTILES
from voxplain.evaluation.benchmark_cells import cells_of_benchmark, sizes_of_benchmark
from voxplain.imaging.reading import check_headers
from voxplain.configuration import (
    ON_VOXELS,
    check_config,
    cohort_of_features,
    cohort_of_folds,
    joining,
    ordered,
    tidy,
    signed_like_t,
)


def plainly(function, *arguments):
    """Call a library function; what the user did wrong is said without a traceback."""
    try:
        return function(*arguments)
    except InputError as error:
        raise WorkflowError(str(error)) from None


config.update(tidy(config))
config["maps"]["methods"] = plainly(with_own_methods, config["maps"])
del config["maps"]["own"]  # from here on a method like the others
# `snakemake check` says everything that is wrong in one table, so that what it looks at itself does not stop it here.
# Snakemake knows its targets only when it has read these files; the command line knows them before.
with redirect_stderr(StringIO()):  # where it says once more which profile it uses
    CHECKING = "check" in sys.argv and parse_args(sys.argv[1:])[1].targets == ["check"]
RESULTS = f"results/{config['name']}"
COHORT = config["cohort"]
if COHORT["source"] not in COHORT:
    raise WorkflowError(f"cohort.source is {COHORT['source']}, but there is no section cohort.{COHORT['source']}")
PHANTOM = COHORT["source"] == "phantom"
CLASSES = plainly(labels_of, COHORT)
THIRDS = list(TERTILES) if config["population"]["tertiles"] and not CLASSES else []
GROUPS = [*CLASSES, *THIRDS, "joint"]
METHODS = list(config["maps"]["methods"])
STATISTICS = config["population"]["statistics"]
STATISTIC = STATISTICS[0]  # makes masks and tables
EXTERNAL = config["interpret"]["weights"] is not None
FOLDS = ["external"] if EXTERNAL else [str(fold) for fold in range(config["folds"]["count"])]
BASELINES = list(config["baselines"]["models"])
MORPHOMETRY = [model for model in BASELINES if model != ON_VOXELS]
MODELS = ["cnn", *BASELINES]
PERMUTATIONS = list(range(1, config["statistics"]["permutations"] + 1))
UNGROUPED = config["folds"]["compare_ungrouped"]
FIRST_LAYER = config["features"]["first_layer"] and len(CLASSES) == 2 and not EXTERNAL
VISUALISATION = config["features"]["visualisation"]
VISUALISED = FOLDS[: VISUALISATION["folds"]]
EVALUATION = config["evaluation"]
FAITHFULNESS, RANDOMIZATION, REPRODUCIBILITY = (
    EVALUATION[name] for name in ("faithfulness", "randomization", "reproducibility")
)
MASKED_ACCURACY, RETRAINING, INFERENCE = (EVALUATION[name] for name in ("masked_accuracy", "retraining", "inference"))
AGREEMENT, ANATOMY = EVALUATION["agreement"], EVALUATION["anatomy"]
# Methods whose joint map has the signs of a t-map: those of contributions turn with the image's own sign.
SIGNED_LIKE_T = [method for method in METHODS if signed_like_t(config, CLASSES, method, STATISTIC)]
# The map of noise is that of a model of its own, which does not follow the network's weights.
RANDOMIZED = [method for method in METHODS if method != "noise"]
# Networks that were trained once more, with one thing changed; `shuffled` is the control whose maps should differ.
CHANGES = ("seed", "dropout", "folds", "weights", "shuffled")
AGAIN = [f"{change}-{number}" for change in CHANGES for number in range(1, REPRODUCIBILITY[change] + 1)]
AGAIN = AGAIN if RANDOMIZED and REPRODUCIBILITY["people"] else []
AGAIN_FOLDS = FOLDS[: REPRODUCIBILITY["networks"]]
RANDOMIZED_FOLDS = FOLDS[: RANDOMIZATION["networks"]]
SHUFFLED_FOLDS = [fold for fold in AGAIN_FOLDS if fold in RANDOMIZED_FOLDS] if "shuffled-1" in AGAIN else []
RETRAINED_FOLDS = FOLDS[: RETRAINING["networks"]] if METHODS else []
# Benchmarks with something planted; what the config leaves open about the phantoms' depends on `full`.
PHANTOM_BENCHMARK, PLANTED = config["phantom_benchmark"], config["planted_benchmark"]
BENCHMARK_SIZE = sizes_of_benchmark(PHANTOM_BENCHMARK)
PHANTOM_CELLS = [f"{RESULTS}/power/{cell}" for cell in cells_of_benchmark(PHANTOM_BENCHMARK)]
PLANTED_SEEDS = list(range(1, PLANTED["seeds"] + 1))
PLANTED_CELLS = [
    f"{RESULTS}/power/planted_effect-{effect}_seed-{seed}" for effect in PLANTED["effects"] for seed in PLANTED_SEEDS
]
# Names under which the default methods of the benchmark differ in their settings alone.
TITLES_OF_SETTINGS = {
    "perturbation_light": "Perturbations, small weights",
    "perturbation_blur": "Perturbations, blur",
    "perturbation_box": "Perturbations, published kernel",
}
NOT_OF_A_PLANTING = ("atlas", "effects", "seeds", "held_out", "fwhms_mm", "shuffles")
# Of a network from outside it is not known whom it has seen: there are no folds to hold other models against.
CONFOUNDS = not EXTERNAL


if not CHECKING:
    plainly(check_config, config, CLASSES)
if PHANTOM:  # its parcels are the demo's atlas
    config["atlases"]["parcels"] = {
        "image": f"{RESULTS}/phantom/parcels.nii.gz",
        "labels": f"{RESULTS}/phantom/parcels.tsv",
    }
ATLASES = list(config["atlases"])
PLANTED_ATLAS = PLANTED["atlas"] or (ATLASES or ["none"])[0]
# What was planted lies in MNI space and tells women from men; other maps cannot be held against it.
PLANTED_REGIONS = bool(
    METHODS
    and PHANTOM
    and not EVALUATION["localization"]["truth"]
    and COHORT["target"] == "Gender"
    and (COHORT["phantom"]["space"] == "mni" or config["images"]["align"] in ("affine", "syn"))
)
SCORED = PLANTED_REGIONS or bool(METHODS and EVALUATION["localization"]["truth"])


# Which tests of the maps are asked for, by the name of their main table.
TESTED = {
    "localization": SCORED,
    "randomization": bool(RANDOMIZED and RANDOMIZATION["people"]),
    "faithfulness": bool(METHODS and FAITHFULNESS["people"]),
    "masked_accuracy": bool(METHODS and MASKED_ACCURACY["people"] != 0),
    "retraining": bool(RETRAINED_FOLDS),
    "reproducibility": bool(AGAIN),
    "agreement": len(METHODS) > 1 and AGREEMENT["surrogates"] > 0,
    "inference": bool(METHODS and INFERENCE["permutations"]),
    "region_intervals": bool(METHODS and ATLASES and INFERENCE["replicates"]),
    "anatomy": bool(METHODS and ANATOMY["surrogates"]),
}
# What one pass over a method's maps gives, as far as it is asked for (a rule needs some output, wanted or not).
INFERRED = {
    "voxels": "{results}/evaluation/inference/{method}_voxels.tsv",
    "regions": "{results}/evaluation/inference/{method}_regions.tsv",
    "difference_t": "{results}/population/{method}/difference_t.nii.gz",
    "difference_p": "{results}/population/{method}/difference_p.nii.gz",
}
INTERVALS = {"intervals": "{results}/evaluation/region_intervals/{method}.tsv"}
INFERRED = (INFERRED if TESTED["inference"] else {}) | (INTERVALS if TESTED["region_intervals"] else {}) or INFERRED
JUDGED = [name for name, wanted in TESTED.items() if wanted and name not in ("region_intervals", "anatomy")]
JUDGED += ["randomization_verdicts"] if TESTED["randomization"] else []


plainly(check_space, COHORT, config["images"])
# Images in a bucket come and go with the batches that need them; the plugin that fetches them is installed on demand.
BUCKET = plainly(image_root, COHORT)
BUCKET = BUCKET if isinstance(BUCKET, Bucket) else None
if BUCKET and find_spec("snakemake_storage_plugin_s3") is None:
    plainly(refuse_without_plugin, str(BUCKET))


@lru_cache(maxsize=None)
def roster():
    """Everybody in the tables, read once."""
    return plainly(read_roster, COHORT, config["seed"])


PEOPLE = plainly(count_people, COHORT, roster())
BATCHES = list(range(ceil(PEOPLE / config["images"]["subjects_per_job"])))
PARTS = list(range(ceil(PEOPLE / len(FOLDS) / config["maps"]["subjects_per_job"])))


wildcard_constraints:
    results=re.escape(RESULTS),
    batch=r"\d+",
    fold=r"\d+|external",
    part=r"\d+",
    method="|".join(METHODS) or "none",
    group="|".join(re.escape(group) for group in [*CLASSES, *TERTILES, "joint"]),
    statistic="|".join(STATISTICS),
    atlas="|".join(ATLASES) or "none",
    model="|".join(MORPHOMETRY) or "none",
    scheme="folds|folds_ungrouped",
    run=r"ungrouped|permutation-\d+",
    variant=r"(?:" + "|".join(CHANGES) + r")-\d+",
    number=r"\d+",
    design="mixed|volume|intensity|both|left|none|head_size",
    effect=r"\d+(?:\.\d+)?",
    seed=r"\d+",


@lru_cache(maxsize=None)
def bucket_provider():
    """Snakemake's plugin for the bucket, with the server and the keys that it was told or finds, or without keys."""
    provider = storage.s3(str(BUCKET)).flags["storage_object"].provider
    unsigned = without_keys(provider.settings.access_key)
    return storage.register_storage("s3", signature_version=unsigned) if unsigned else provider


def connect():
    """boto3's client for the bucket: the plugin's settings, with room for many questions at a time."""
    settings = bucket_provider().settings
    return client_of_environment(
        signature_version=settings.signature_version,
        endpoint_url=settings.endpoint_url,
        region_name=settings.region,
        aws_access_key_id=settings.access_key,
        aws_secret_access_key=settings.secret_key,
        aws_session_token=settings.token,
    )


@lru_cache(maxsize=None)
def found():
    """The people whose images exist, sorted by id."""
    if BUCKET and workflow.is_main_process:  # jobs read its answers
        plainly(ask_bucket, roster(), connect)
    return plainly(found_people, COHORT, config["seed"], roster())[0]


if workflow.is_main_process and CHECKING:
    if BUCKET:  # the job reads its answers
        plainly(ask_bucket, roster(), connect)
elif workflow.is_main_process:
    found()  # too few images are said at once; in a job's own process only the rules that ask look for files
    if not EXTERNAL:
        plainly(check_enough, found(), COHORT, config["folds"]["count"], config["folds"]["grouped"])


@lru_cache(maxsize=None)
def listed_ids():
    """Everybody in the tables, with or without an image, sorted."""
    return list(roster().people["participant_id"])


@lru_cache(maxsize=None)
def hide_target():
    """Whether the target must stay private."""
    return plainly(target_is_restricted, COHORT)


# A person's map and the mean over a group tell together who is in the group, and the sum of many a map is the network's
# answer: where the target is restricted, maps of people are private too.
MAPS = "private/maps" if hide_target() else "maps"


if UNGROUPED and workflow.is_main_process and not CHECKING:
    plainly(check_families, found())
COHORT_OF_FOLDS = plainly(cohort_of_folds, COHORT)
plainly(check_size_settings, COHORT, config["images"])
SIZE_KNOWN = CONFOUNDS and plainly(head_size_is_obtainable, COHORT, config["images"], roster())
AGE_COLUMNS = ("Age", "Age_in_Yrs")
if COHORT["source"] in ("bids", "table"):
    AGE_COLUMNS = (COHORT[COHORT["source"]]["age_column"],)
TARGET_IS_AGE = COHORT["target"] in AGE_COLUMNS

# Jobs that compute with torch. Locally a job takes a free device itself (file locks); clusters read `gpu`.
GPUS = 0 if config["device"] == "cpu" else 1
