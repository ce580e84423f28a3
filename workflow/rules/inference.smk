# Purpose: what can be said of population maps beyond these people: tests, intervals, agreement, and plain anatomy beside.
# Inputs: maps/, population/, atlases/, images/, private/; outputs: evaluation/, population/, tables/.


rule infer_population:
    """Where people's maps of one method differ between the classes, or follow the number, more than by chance; and how
    far each region's share and rank would move with other people. One job, as both need everybody's smoothed maps."""
    input:
        maps=lambda wildcards: map_folders(wildcards.method),
        folds="{results}/private/folds.tsv",
        participants="{results}/private/participants.tsv",
        brain="{results}/images/brain_mask.nii.gz",
        atlas_images=expand("{{results}}/atlases/{atlas}.nii.gz", atlas=ATLASES),
        atlas_tables=expand("{{results}}/atlases/{atlas}.tsv", atlas=ATLASES),
    output:
        **INFERRED,
    log:
        "{results}/logs/infer_population/{method}.log",
    benchmark:
        "{results}/benchmarks/infer_population/{method}.tsv"
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 2048,
        runtime=lambda wildcards, attempt: attempt * (60 + PEOPLE // 100),
    params:
        atlases=ATLASES,
        how=lambda wildcards: joining(config, CLASSES, wildcards.method, STATISTIC),
        statistic=STATISTIC,
        normalise=lambda wildcards: normalisation_of(wildcards.method),
        smoothing_fwhm_mm=config["population"]["smoothing_fwhm_mm"],
        people=lambda wildcards: config["maps"]["methods"][wildcards.method]["people"],
        task=COHORT["task"],
        permutations=INFERENCE["permutations"],
        groups=GROUPS,
        replicates=INFERENCE["replicates"],
        top=config["report"]["top_regions"],
        alpha=INFERENCE["alpha"],
        seed=config["seed"],
        code=code_of("infer_population"),
    script:
        "../scripts/infer_population.py"


rule tabulate_inference:
    """The tests of all methods in two tables."""
    input:
        voxels=expand("{{results}}/evaluation/inference/{method}_voxels.tsv", method=METHODS),
        regions=expand("{{results}}/evaluation/inference/{method}_regions.tsv", method=METHODS),
    output:
        voxels="{results}/tables/inference.tsv",
        regions="{results}/tables/inference_regions.tsv",
    log:
        "{results}/logs/tabulate_inference.log",
    benchmark:
        "{results}/benchmarks/tabulate_inference.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        code=code_of("join_tables"),
    script:
        "../scripts/join_tables.py"


rule tabulate_region_intervals:
    """The intervals of all methods in one table."""
    input:
        intervals=expand("{{results}}/evaluation/region_intervals/{method}.tsv", method=METHODS),
    output:
        intervals="{results}/tables/region_intervals.tsv",
    log:
        "{results}/logs/tabulate_region_intervals.log",
    benchmark:
        "{results}/benchmarks/tabulate_region_intervals.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        code=code_of("join_tables"),
    script:
        "../scripts/join_tables.py"


rule measure_agreement:
    """How alike the methods' population maps are, beside random maps that are as smooth."""
    input:
        maps=expand(
            f"{{{{results}}}}/population/{{method}}/{{group}}_{STATISTIC}.nii.gz", method=METHODS, group=["joint"]
        ),
        brain="{results}/images/brain_mask.nii.gz",
    output:
        "{results}/tables/agreement.tsv",
    log:
        "{results}/logs/measure_agreement.log",
    benchmark:
        "{results}/benchmarks/measure_agreement.tsv"
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 2048,
    params:
        methods=METHODS,
        groups=["joint"],
        volumes=AGREEMENT["volumes"],
        surrogates=AGREEMENT["surrogates"],
        seed=config["seed"],
        code=code_of("measure_agreement"),
    script:
        "../scripts/measure_agreement.py"


rule map_anatomy:
    """Where the images themselves differ between the classes, or follow the number, voxel by voxel."""
    input:
        stack="{results}/images/stack.npy",
        index="{results}/images/index.tsv",
        folds="{results}/private/folds.tsv",
        brain="{results}/images/brain_mask.nii.gz",
    output:
        t="{results}/population/anatomy/t.nii.gz",
        significant="{results}/population/anatomy/significant.nii.gz",
    log:
        "{results}/logs/map_anatomy.log",
    benchmark:
        "{results}/benchmarks/map_anatomy.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        task=COHORT["task"],
        labels=CLASSES,
        smoothing_fwhm_mm=config["population"]["smoothing_fwhm_mm"],
        rate=ANATOMY["rate"],
        code=code_of("map_anatomy"),
    script:
        "../scripts/map_anatomy.py"


rule compare_anatomy:
    """What the networks see that a voxel-wise test of the images does not, and the reverse."""
    input:
        maps=expand(f"{{{{results}}}}/population/{{method}}/joint_{STATISTIC}.nii.gz", method=METHODS),
        brain="{results}/images/brain_mask.nii.gz",
        t="{results}/population/anatomy/t.nii.gz",
        significant="{results}/population/anatomy/significant.nii.gz",
        images=expand("{{results}}/atlases/{atlas}.nii.gz", atlas=ATLASES),
        tables=expand("{{results}}/atlases/{atlas}.tsv", atlas=ATLASES),
    output:
        anatomy="{results}/tables/anatomy.tsv",
        density="{results}/tables/anatomy_density.tsv",
        regions=expand("{{results}}/tables/anatomy_regions_{atlas}.tsv", atlas=ATLASES),
    log:
        "{results}/logs/compare_anatomy.log",
    benchmark:
        "{results}/benchmarks/compare_anatomy.tsv"
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 2048,
    params:
        methods=METHODS,
        signed=SIGNED_LIKE_T,
        surrogates=ANATOMY["surrogates"],
        seed=config["seed"],
        code=code_of("compare_anatomy"),
    script:
        "../scripts/compare_anatomy.py"
