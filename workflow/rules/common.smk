# Purpose: what the stages share: names, checks of the config, wildcard constraints, input functions.
import re
from functools import lru_cache
from math import ceil

from snakemake.exceptions import WorkflowError

from voxplain.attribution import METHOD_NAMES
from voxplain.base.errors import InputError, refuse
from voxplain.base.fingerprints import code_hash, file_hash, fingerprint
from voxplain.cohort.head_size import check_size_settings, head_size_is_obtainable
from voxplain.cohort.people import count_people, data_root, found_people, read_roster
from voxplain.cohort.people import target_is_restricted
from voxplain.cohort.targets import labels_of
from voxplain.population.groups import TERTILES
from voxplain.configuration import ON_VOXELS, check_config, cohort_of_features, cohort_of_folds, joining, ordered, tidy


def plainly(function, *arguments):
    """Call a library function; what the user did wrong is said without a traceback."""
    try:
        return function(*arguments)
    except InputError as error:
        raise WorkflowError(str(error)) from None


config.update(tidy(config))
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
FAITHFULNESS, RANDOMIZATION = (config["evaluation"][name] for name in ("faithfulness", "randomization"))
# The map of noise is that of a model of its own, which does not follow the network's weights.
RANDOMIZED = [method for method in METHODS if method != "noise"]
# Of a network from outside it is not known whom it has seen: there are no folds to hold other models against.
CONFOUNDS = not EXTERNAL


plainly(check_config, config, CLASSES)
if PHANTOM:  # its parcels are the demo's atlas
    config["atlases"]["parcels"] = {
        "image": f"{RESULTS}/phantom/parcels.nii.gz",
        "labels": f"{RESULTS}/phantom/parcels.tsv",
    }
ATLASES = list(config["atlases"])
# What was planted lies in MNI space and tells women from men; other maps cannot be held against it.
SCORED = (
    PHANTOM
    and COHORT["target"] == "Gender"
    and (COHORT["phantom"]["space"] == "mni" or config["images"]["align"] in ("affine", "syn"))
)


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


@lru_cache(maxsize=None)
def found():
    """The people whose images exist, sorted by id."""
    return plainly(found_people, COHORT, config["seed"], roster())[0]


if workflow.is_main_process:
    found()  # too few images are said at once; in a job's own process only the rules that ask look for files


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


def check_families():
    """Refuse to compare folds with and without families where there are none to tear apart."""
    if not found()["group"].dropna().duplicated().any():
        refuse(
            "folds.compare_ungrouped: no two people are known to be relatives, so that there is nothing to compare",
            advice="Name families by cohort.hcp.restricted_csv or cohort.table.group_column, or set it to false.",
        )


if UNGROUPED and workflow.is_main_process:
    plainly(check_families)
COHORT_OF_FOLDS = plainly(cohort_of_folds, COHORT)
plainly(check_size_settings, COHORT, config["images"])
SIZE_KNOWN = CONFOUNDS and plainly(head_size_is_obtainable, COHORT, config["images"], roster())
AGE_COLUMNS = ("Age", "Age_in_Yrs") if COHORT["source"] != "table" else (COHORT["table"]["age_column"],)
TARGET_IS_AGE = COHORT["target"] in AGE_COLUMNS


def where_size_is_known(path):
    """A file that is made only where head size is known."""
    return [path] if SIZE_KNOWN else []


def people_of_batch(wildcards):
    """The found people of a batch. Cut by the tables' ids, so that one image more or less changes one batch only."""
    return found()[found()["participant_id"].isin(set(listed_ids()[int(wildcards.batch) :: len(BATCHES)]))]


def map_folders(method, folds=FOLDS):
    return [f"{RESULTS}/{MAPS}/{method}/fold-{fold}_part-{part}" for fold in folds for part in PARTS]


def people_of_faithfulness(method):
    """How many people's maps are tested: no more than the method has explained."""
    counts = [FAITHFULNESS["people"], config["maps"]["methods"][method]["people"]]
    return min(count for count in counts if count is not None)


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
    section = COHORT_OF_FOLDS[COHORT["source"]]
    keys = ("unrestricted_csv", "restricted_csv", "freesurfer_csv", "ids", "file")
    return {key: section[key] for key in keys if section.get(key)}


def confounder_tables(wildcards):
    """Tables that head size and age come from."""
    tables = cohort_tables(wildcards)
    if COHORT["source"] == "hcp" and COHORT["hcp"]["freesurfer_csv"]:
        tables["freesurfer_csv"] = COHORT["hcp"]["freesurfer_csv"]
    return tables | ({"sizes": COHORT["size"]["file"]} if COHORT["size"]["file"] else {})


def tables_of_the_phantom(wildcards, input):
    """The phantom's tables are results; other sources name theirs in the config."""
    return {key: input[key] for key in ("unrestricted_csv", "restricted_csv")} if PHANTOM else {}


def feature_tables(wildcards):
    """Tables of morphometry: those of the config, or the ones with FS_ columns that come with the source."""
    named = config["baselines"]["features"]["tables"]
    if PHANTOM:
        named = named or [f"{RESULTS}/phantom/freesurfer.csv"]
    elif COHORT["source"] == "hcp":
        named = named or [COHORT["hcp"]["freesurfer_csv"] or COHORT["hcp"]["unrestricted_csv"]]
    return {"tables": named}


def predictions_of_models(wildcards):
    """Predictions of every model, fold by fold, on the same folds."""
    others = {
        model: expand(f"{RESULTS}/private/baselines/folds/{model}_fold-{{fold}}.tsv", fold=FOLDS) for model in BASELINES
    }
    return {"cnn": expand(f"{RESULTS}/private/predictions_fold-{{fold}}.tsv", fold=FOLDS), **others}


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


@lru_cache(maxsize=None)
def code_of(script, without=()):
    """Fingerprint of a rule's script and the library under it; what only prints does not count."""
    path = Path(workflow.basedir) / "workflow" / "scripts" / f"{script}.py"
    return code_hash(path, ("voxplain.base.jobs", "voxplain.base.progress", *without))


@lru_cache(maxsize=None)
def modules_of_methods():
    """The modules that belong to single methods: those of the package that are named after them."""
    modules = Path(workflow.basedir).glob("workflow/scripts/voxplain/attribution/*.py")
    own = sorted(path.stem for path in modules if path.stem.startswith(METHOD_NAMES))
    return tuple(f"voxplain.attribution.{name}" for name in own)


def code_of_method(wildcards, script="explain"):
    """What all methods share, without the methods' own modules, and the code of one method in full."""
    return code_of(script, modules_of_methods()) + code_of(f"voxplain/attribution/{wildcards.method}")


def noise_models(wildcards):
    """What the method noise needs beside the network."""
    path = f"{RESULTS}/models/fold-{wildcards.fold}/noise.safetensors"
    return [path] if wildcards.method == "noise" else []


def how_to_join(wildcards):
    """How a population map comes about, and the groups that it joins."""
    if wildcards.group != "joint":
        return "everybody", []
    return joining(config, CLASSES, wildcards.method, wildcards.statistic)


def maps_of_group(wildcards):
    """The maps of people; for a joint map those of the groups that are joined."""
    how, groups = how_to_join(wildcards)
    if how in ("everybody", "welch"):
        return map_folders(wildcards.method)
    return expand(f"{RESULTS}/population/{wildcards.method}/{{group}}_{wildcards.statistic}.nii.gz", group=groups)


def difference_of(method):
    """The two groups whose difference the joint map of a method shows, if it does."""
    how, groups = joining(config, CLASSES, method, STATISTICS[0])
    return groups if how in ("difference", "welch") else []


def atlas_files(wildcards):
    settings = config["atlases"][wildcards.atlas]
    return {key: settings[key] for key in ("image", "labels") if key in settings}


# Jobs that compute with torch. Locally a job takes a free device itself (file locks); clusters read `gpu`.
GPUS = 0 if config["device"] == "cpu" else 1
