# Purpose: what rules take in: functions of wildcards, and the fingerprints of code.
from snakemake_interface_storage_plugins.io import Mtime


def where_size_is_known(path):
    """A file that is made only where head size is known."""
    return [path] if SIZE_KNOWN else []


def people_of_batch(wildcards):
    """The found people of a batch. Cut by the tables' ids, so that one image more or less changes one batch only."""
    return found()[found()["participant_id"].isin(set(listed_ids()[int(wildcards.batch) :: len(BATCHES)]))]


def map_folders(method, folds=FOLDS):
    return [f"{RESULTS}/{MAPS}/{method}/fold-{fold}_part-{part}" for fold in folds for part in PARTS]


def people_tested(criterion, method):
    """How many people's maps a criterion tests: no more than the method has explained."""
    counts = [EVALUATION[criterion]["people"], config["maps"]["methods"][method]["people"]]
    return min(count for count in counts if count is not None)


def folds_of_variant(wildcards):
    """The folds that a network was trained on again: those of the run, or others."""
    change, _, number = wildcards.variant.partition("-")
    name = f"folds_other-{number}" if change == "folds" else "folds"
    return f"{RESULTS}/private/{name}.tsv"


def maps_again(method, variant):
    return [f"{RESULTS}/{MAPS}_again/{variant}_{method}/fold-{fold}" for fold in AGAIN_FOLDS]


def truth_files(wildcards):
    """What maps are held against: what the user knows, or what the phantom planted, with its regions."""
    if not PLANTED_REGIONS:
        return {"truth": f"{RESULTS}/evaluation/truth.nii.gz"}
    return {
        "truth": f"{RESULTS}/phantom/truth.nii.gz",
        "truth_regions": f"{RESULTS}/phantom/truth_regions.tsv",
        "regions": f"{RESULTS}/tables/regions_parcels.tsv",
    }


def normalisation_of(method):
    """How people's maps of a method are normalised before they are averaged."""
    population = config["population"]
    return population["normalise_by_method"].get(method, population["normalise"])


def method_or_first(method):
    """Random maps resemble those of the first method."""
    return METHODS[0] if method == "random" else method


def maps_with_shuffled_labels(wildcards):
    """Maps of networks that were trained on shuffled labels, and these labels, where there are some."""
    if "shuffled-1" not in AGAIN:
        return {}
    labels = expand(f"{RESULTS}/private/again/shuffled-1_fold-{{fold}}.tsv", fold=AGAIN_FOLDS)
    return {f"{method}_shuffled": maps_again(method, "shuffled-1") for method in RANDOMIZED} | {"trained_on": labels}


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
    if COHORT["source"] == "bids":
        return {"participants": str(plainly(participants_file, COHORT["bids"]))}
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
    return {"volumes": below_data_root(people["image"]), "masks": below_data_root(people["mask"].dropna())}


def check_images():
    """Refuse images that a run is about to read and cannot, before it does; the quality control may leave them out."""
    if PHANTOM or BUCKET or config["images"]["on_bad_image"] != "fail":
        return
    jobs = [job for job in workflow.dag.needrun_jobs() if job.rule.name == "downsample"]
    plainly(check_headers, sorted({str(path) for job in jobs for path in job.input}))


def below_data_root(paths):
    """Files by their paths relative to the data root; those of a bucket are fetched for a job and dropped after it."""
    if not BUCKET:
        return [str(data_root(COHORT) / path) for path in paths]
    bucket_provider()
    files = {path: storage.s3(BUCKET / path) for path in set(paths)}
    if workflow.iocache.active:  # otherwise the plugin would ask three times for each, one after the other
        for path, stamp in plainly(existing, BUCKET, files).items():
            name = files[path].flags["storage_object"].cache_key()
            workflow.iocache.exists_in_storage[name] = True
            workflow.iocache.mtime[name] = Mtime(storage=stamp.modified)
            workflow.iocache.size[name] = stamp.size
    return [files[path] for path in paths]


def planted_volumes(wildcards):
    """The files of a batch that something is planted in; said at once when nobody said where."""
    if BUCKET:
        raise WorkflowError(f"planted_benchmark reads images on disk, and those of {BUCKET} are not: copy them first")
    if not PLANTED["regions"] or PLANTED_ATLAS not in ATLASES:
        raise WorkflowError(
            "planted_benchmark needs regions (planted_benchmark.regions) of an atlas (atlases) to plant something in"
        )
    return volumes_of_batch(wildcards)


def statistic_of_benchmark(kind):
    """The statistic over people that the figure of a benchmark shows: the run's own where it was compared."""
    compared = PHANTOM_BENCHMARK["statistics"] if kind == "phantom" else STATISTICS
    return STATISTIC if STATISTIC in compared else compared[0]


@lru_cache(maxsize=None)
def code_of(script, without=()):
    """Fingerprint of a rule's script and the library under it; what only prints does not count."""
    path = HOME / "workflow" / "scripts" / f"{script}.py"
    return code_hash(path, ("voxplain.base.jobs", "voxplain.base.plain_words", "voxplain.base.progress", *without))


@lru_cache(maxsize=None)
def modules_of_methods():
    """The modules that belong to single methods: those of the package that are named after them."""
    modules = HOME.glob("workflow/scripts/voxplain/attribution/*.py")
    own = sorted(path.stem for path in modules if path.stem.startswith(METHOD_NAMES))
    return tuple(f"voxplain.attribution.{name}" for name in own)


def code_of_method(wildcards, script="explain"):
    """What all methods share, without the methods' own modules, and the code of one method in full."""
    settings = config["maps"]["methods"][wildcards.method]
    own = code_of_own(settings) or code_of(f"voxplain/attribution/{wildcards.method}")
    return code_of(script, modules_of_methods()) + own


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
