# Purpose: who takes part. The embedded phantom writes itself in HCP layout; every source ends in the same table.
# Inputs: the user's tables (or nothing); outputs: private/participants.tsv, tables/cohort.tsv, private/folds.tsv.

PHANTOM_SETTINGS = ordered(COHORT["phantom"], "keep_volumes") if PHANTOM else {}


rule make_parcels:
    """Demo parcels from the MNI152 templates: the phantom's ground truth and the demo's atlas."""
    output:
        image="{results}/phantom/parcels.nii.gz",
        table="{results}/phantom/parcels.tsv",
    log:
        "{results}/logs/make_parcels.log",
    benchmark:
        "{results}/benchmarks/make_parcels.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        code=code_of("make_parcels"),
    script:
        "../scripts/make_parcels.py"


rule write_truth:
    """Where the phantom's groups truly differ."""
    output:
        image="{results}/phantom/truth.nii.gz",
        table="{results}/phantom/truth_regions.tsv",
    log:
        "{results}/logs/write_truth.log",
    benchmark:
        "{results}/benchmarks/write_truth.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        settings=PHANTOM_SETTINGS,
        seed=config["seed"],
        code=code_of("write_truth"),
    script:
        "../scripts/write_truth.py"


rule make_people:
    """A batch of phantom people in HCP layout, each one's truth, and the volumes measured on their parcels."""
    output:
        volumes=volumes_folder("{results}/phantom/volumes/batch-{batch}"),
        truth=directory("{results}/phantom/truth_people/batch-{batch}"),
        measures="{results}/phantom/measures/batch-{batch}.tsv",
    log:
        "{results}/logs/make_people/batch-{batch}.log",
    benchmark:
        "{results}/benchmarks/make_people/batch-{batch}.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: config["torch_threads"]
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 2048,
    params:
        ids=lambda wildcards: list(people_of_batch(wildcards)["participant_id"]),
        settings=PHANTOM_SETTINGS,
        seed=config["seed"],
        torch_threads=config["torch_threads"],
        code=code_of("make_people"),
    script:
        "../scripts/make_people.py"


rule write_phantom_tables:
    """The phantom's CSV files, with HCP's columns."""
    input:
        expand("{{results}}/phantom/measures/batch-{batch}.tsv", batch=BATCHES),
    output:
        unrestricted="{results}/phantom/unrestricted.csv",
        freesurfer="{results}/phantom/freesurfer.csv",
        restricted="{results}/private/phantom_restricted.csv",
    log:
        "{results}/logs/write_phantom_tables.log",
    benchmark:
        "{results}/benchmarks/write_phantom_tables.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        settings=PHANTOM_SETTINGS,
        seed=config["seed"],
        code=code_of("write_phantom_tables"),
    script:
        "../scripts/write_phantom_tables.py"


rule tabulate_participants:
    """One validated row a person; restricted fields stay in private/, families as salted hashes."""
    input:
        unpack(cohort_tables),
    output:
        participants="{results}/private/participants.tsv",
        summary="{results}/tables/cohort.tsv",
        missing="{results}/private/missing.tsv",
    log:
        "{results}/logs/tabulate_participants.log",
    benchmark:
        "{results}/benchmarks/tabulate_participants.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        # Head size and age are collected elsewhere, so that a correction of theirs trains no network anew.
        cohort=COHORT_OF_FOLDS,
        tables=tables_of_the_phantom,
        # Images that came or went change the cohort; images that merely changed do not.
        found=lambda wildcards: fingerprint("\n".join(found()["participant_id"])),
        seed=config["seed"],
        code=code_of("tabulate_participants"),
    script:
        "../scripts/tabulate_participants.py"


rule assign_folds:
    """Who is tested in which fold: stratified, and by family where families are known."""
    input:
        participants="{results}/private/participants.tsv",
        index="{results}/images/index.tsv",
    output:
        "{results}/private/folds.tsv",
    log:
        "{results}/logs/assign_folds.log",
    benchmark:
        "{results}/benchmarks/assign_folds.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        folds="external" if EXTERNAL else config["folds"]["count"],
        grouped=config["folds"]["grouped"],
        task=COHORT["task"],
        seed=config["seed"],
        code=code_of("assign_folds"),
    script:
        "../scripts/assign_folds.py"
