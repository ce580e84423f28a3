# Purpose: many maps -> one map a group, masks, overlap between methods, atlas tables, and maps beside a known truth.
# Inputs: maps/, images/brain_mask.nii.gz, atlases; outputs: population/, atlases/, tables/.


rule summarise_maps:
    """Population map of one method over the people of one group."""
    input:
        maps=maps_of_group,
        folds="{results}/private/folds.tsv",
        brain="{results}/images/brain_mask.nii.gz",
    output:
        "{results}/population/{method}/{group}_{statistic}.nii.gz",
    log:
        "{results}/logs/summarise_maps/{method}_{group}_{statistic}.log",
    benchmark:
        "{results}/benchmarks/summarise_maps/{method}_{group}_{statistic}.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        how=lambda wildcards: how_to_join(wildcards),
        people=lambda wildcards: config["maps"]["methods"][wildcards.method]["people"],
        seed=config["seed"],
        task=COHORT["task"],
        normalise=lambda wildcards: normalisation_of(wildcards.method),
        smoothing_fwhm_mm=config["population"]["smoothing_fwhm_mm"],
        code=code_of("summarise_maps"),
    script:
        "../scripts/summarise_maps.py"


rule threshold_map:
    """Where a population map is strongest."""
    input:
        map=f"{{results}}/population/{{method}}/{{group}}_{STATISTIC}.nii.gz",
        brain="{results}/images/brain_mask.nii.gz",
    output:
        "{results}/population/{method}/{group}_mask.nii.gz",
    log:
        "{results}/logs/threshold_map/{method}_{group}.log",
    benchmark:
        "{results}/benchmarks/threshold_map/{method}_{group}.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        kind=config["population"]["threshold"]["kind"],
        value=lambda wildcards: config["population"]["threshold"]["by_method"].get(
            wildcards.method, config["population"]["threshold"]["value"]
        ),
        code=code_of("threshold_map"),
    script:
        "../scripts/threshold_map.py"


rule compare_methods:
    """Dice, its chance level, the paper's agreement and Spearman's rho between methods, per group."""
    input:
        maps=expand(
            f"{{{{results}}}}/population/{{method}}/{{group}}_{STATISTIC}.nii.gz",
            method=METHODS,
            group=GROUPS,
        ),
        masks=expand(
            "{{results}}/population/{method}/{group}_mask.nii.gz",
            method=METHODS,
            group=GROUPS,
        ),
        brain="{results}/images/brain_mask.nii.gz",
    output:
        "{results}/tables/dice.tsv",
    log:
        "{results}/logs/compare_methods.log",
    benchmark:
        "{results}/benchmarks/compare_methods.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        methods=METHODS,
        groups=GROUPS,
        code=code_of("compare_methods"),
    script:
        "../scripts/compare_methods.py"


rule prepare_atlas:
    """An atlas on the common grid, after its table, its volume and its sides were checked."""
    input:
        unpack(atlas_files),
    output:
        image="{results}/atlases/{atlas}.nii.gz",
        table="{results}/atlases/{atlas}.tsv",
    log:
        "{results}/logs/prepare_atlas/{atlas}.log",
    benchmark:
        "{results}/benchmarks/prepare_atlas/{atlas}.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        settings=lambda wildcards: ordered(config["atlases"][wildcards.atlas]),
        code=code_of("prepare_atlas"),
    script:
        "../scripts/prepare_atlas.py"


rule tabulate_regions:
    """What each method says about each region of an atlas."""
    input:
        maps=expand(
            f"{{{{results}}}}/population/{{method}}/{{group}}_{STATISTIC}.nii.gz",
            method=METHODS,
            group=GROUPS,
        ),
        masks=expand(
            "{{results}}/population/{method}/{group}_mask.nii.gz",
            method=METHODS,
            group=GROUPS,
        ),
        image="{results}/atlases/{atlas}.nii.gz",
        table="{results}/atlases/{atlas}.tsv",
    output:
        regions="{results}/tables/regions_{atlas}.tsv",
        top="{results}/tables/top_regions_{atlas}.tsv",
    log:
        "{results}/logs/tabulate_regions/{atlas}.log",
    benchmark:
        "{results}/benchmarks/tabulate_regions/{atlas}.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        methods=METHODS,
        groups=GROUPS,
        top=config["report"]["top_regions"],
        code=code_of("tabulate_regions"),
    script:
        "../scripts/tabulate_regions.py"


rule prepare_truth:
    """What the user knows to differ, on the common grid."""
    input:
        image=EVALUATION["localization"]["truth"] or [],
        brain="{results}/images/brain_mask.nii.gz",
    output:
        "{results}/evaluation/truth.nii.gz",
    log:
        "{results}/logs/prepare_truth.log",
    benchmark:
        "{results}/benchmarks/prepare_truth.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        code=code_of("prepare_truth"),
    script:
        "../scripts/prepare_truth.py"


rule score_localization:
    """How well maps of people and population find what was planted, or is known, beside chance."""
    input:
        unpack(lambda wildcards: {method: map_folders(method) for method in METHODS}),
        unpack(maps_with_shuffled_labels),
        unpack(truth_files),
        maps=expand(
            f"{{{{results}}}}/population/{{method}}/{{group}}_{STATISTIC}.nii.gz",
            method=METHODS,
            group=GROUPS,
        ),
        folds="{results}/private/folds.tsv",
        brain="{results}/images/brain_mask.nii.gz",
    output:
        localization="{results}/tables/localization.tsv",
        planted=["{results}/tables/planted_regions.tsv"] if PLANTED_REGIONS else [],
    log:
        "{results}/logs/score_localization.log",
    benchmark:
        "{results}/benchmarks/score_localization.tsv"
    conda:
        "../../envs/cpu.yaml"
    resources:
        runtime=lambda wildcards, attempt: attempt * (60 + PEOPLE // 50),
    params:
        methods=METHODS,
        groups=GROUPS,
        joining={method: joining(config, CLASSES, method, STATISTIC) for method in METHODS},
        statistic=STATISTIC,
        normalise={method: normalisation_of(method) for method in METHODS},
        smoothing_fwhm_mm=config["population"]["smoothing_fwhm_mm"],
        top=config["report"]["top_regions"],
        people={method: config["maps"]["methods"][method]["people"] for method in METHODS},
        seed=config["seed"],
        task=COHORT["task"],
        shuffles=EVALUATION["localization"]["shuffles"],
        min_inside=EVALUATION["localization"]["min_inside"],
        code=code_of("score_localization"),
    script:
        "../scripts/score_localization.py"
