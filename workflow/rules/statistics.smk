# Purpose: how well all models do, whether the differences are more than luck, and how much of it is head size.
# Inputs: the predictions of models/ and baselines/; outputs: tables/{accuracy*,permutations,roc,calibration*,confounds,
# grouping,first_layer*,morphometry_vs_maps,morphometry_correlation}.tsv.


rule assign_folds_ungrouped:
    """Folds that tear families apart, to see what that flatters."""
    input:
        participants="{results}/private/participants.tsv",
        index="{results}/images/index.tsv",
    output:
        "{results}/private/folds_ungrouped.tsv",
    log:
        "{results}/logs/assign_folds_ungrouped.log",
    benchmark:
        "{results}/benchmarks/assign_folds_ungrouped.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        folds=config["folds"]["count"],
        grouped=False,
        task=COHORT["task"],
        seed=config["seed"],
        code=code_of("assign_folds"),
    script:
        "../scripts/assign_folds.py"


rule cross_validate:
    """The CNN on all folds once more: with shuffled labels, or on folds that tear families apart."""
    input:
        stack="{results}/images/stack.npy",
        index="{results}/images/index.tsv",
        folds=lambda wildcards: f"{RESULTS}/private/{'folds_ungrouped' if wildcards.run == 'ungrouped' else 'folds'}.tsv",
        participants="{results}/private/participants.tsv",
    output:
        "{results}/private/reruns/{run}.tsv",
    log:
        "{results}/logs/cross_validate/{run}.log",
    benchmark:
        "{results}/benchmarks/cross_validate/{run}.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: config["torch_threads"]
    resources:
        gpu=GPUS,
        mem_mb=lambda wildcards, attempt: attempt * 8192,
        runtime=lambda wildcards, attempt: attempt * (30 + len(FOLDS) * PEOPLE * config["training"]["epochs"] // 300),
    params:
        model=ordered(config["model"]),
        training=ordered(config["training"]),
        task=COHORT["task"],
        labels=CLASSES,
        device=config["device"],
        seed=config["seed"],
        grouped=lambda wildcards: wildcards.run != "ungrouped" and config["folds"]["grouped"],
        torch_threads=config["torch_threads"],
        code=code_of("cross_validate"),
    script:
        "../scripts/cross_validate.py"


rule tabulate_accuracy:
    """Every model's metrics per fold; their means, intervals, and differences to the CNN."""
    input:
        unpack(predictions_of_models),
        folds="{results}/private/folds.tsv",
        settings=expand("{{results}}/baselines/folds/{model}_fold-{fold}_settings.tsv", model=BASELINES, fold=FOLDS),
        permutations=expand("{{results}}/private/reruns/permutation-{number}.tsv", number=PERMUTATIONS),
    output:
        folds="{results}/tables/accuracy.tsv",
        summary="{results}/tables/accuracy_summary.tsv",
        permutations=["{results}/tables/permutations.tsv"] if PERMUTATIONS else [],
    log:
        "{results}/logs/tabulate_accuracy.log",
    benchmark:
        "{results}/benchmarks/tabulate_accuracy.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        models=MODELS,
        task=COHORT["task"],
        labels=CLASSES,
        code=code_of("tabulate_accuracy"),
    script:
        "../scripts/tabulate_accuracy.py"


rule tabulate_curves:
    """ROC and calibration of every model."""
    input:
        unpack(predictions_of_models),
    output:
        roc=["{results}/tables/roc.tsv"] if CLASSES else [],
        calibration="{results}/tables/calibration.tsv",
        calibration_summary="{results}/tables/calibration_summary.tsv",
    log:
        "{results}/logs/tabulate_curves.log",
    benchmark:
        "{results}/benchmarks/tabulate_curves.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        models=MODELS,
        task=COHORT["task"],
        labels=CLASSES,
        code=code_of("tabulate_curves"),
    script:
        "../scripts/tabulate_curves.py"


rule tabulate_confounds:
    """Head size and age alone, each model on matched pairs and without what follows head size."""
    input:
        unpack(predictions_of_models),
        residualised=expand(
            "{{results}}/private/baselines/folds/{model}-residualised_fold-{fold}.tsv",
            model=BASELINES if SIZE_KNOWN else [],
            fold=FOLDS,
        ),
        folds="{results}/private/folds.tsv",
        confounders="{results}/private/confounders.tsv",
    output:
        "{results}/tables/confounds.tsv",
    log:
        "{results}/logs/tabulate_confounds.log",
    benchmark:
        "{results}/benchmarks/tabulate_confounds.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        models=MODELS,
        task=COHORT["task"],
        labels=CLASSES,
        caliper_sd=config["statistics"]["caliper_sd"],
        target_is_age=TARGET_IS_AGE,
        hide_target=lambda wildcards: hide_target(),
        code=code_of("tabulate_confounds"),
    script:
        "../scripts/tabulate_confounds.py"


rule tabulate_age_gap:
    """Prediction minus truth of everybody, with and without the pull to the mean."""
    input:
        unpack(predictions_of_models),
    output:
        people="{results}/private/age_gaps.tsv",
        summary="{results}/tables/age_gap.tsv",
    log:
        "{results}/logs/tabulate_age_gap.log",
    benchmark:
        "{results}/benchmarks/tabulate_age_gap.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        models=MODELS,
        code=code_of("tabulate_age_gap"),
    script:
        "../scripts/tabulate_age_gap.py"


rule compare_grouping:
    """What tearing families apart flatters."""
    input:
        unpack(predictions_of_models),
        cnn_ungrouped="{results}/private/reruns/ungrouped.tsv",
        ungrouped=expand(
            "{{results}}/private/baselines/folds_ungrouped/{model}_fold-{fold}.tsv", model=BASELINES, fold=FOLDS
        ),
    output:
        "{results}/tables/grouping.tsv",
    log:
        "{results}/logs/compare_grouping.log",
    benchmark:
        "{results}/benchmarks/compare_grouping.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        models=MODELS,
        task=COHORT["task"],
        labels=CLASSES,
        code=code_of("compare_grouping"),
    script:
        "../scripts/compare_grouping.py"


rule describe_first_layer:
    """What each feature of an early layer gives for the people that its network did not see."""
    input:
        weights="{results}/models/fold-{fold}/weights.safetensors",
        stack="{results}/images/stack.npy",
        index="{results}/images/index.tsv",
        folds="{results}/private/folds.tsv",
    output:
        "{results}/private/first_layer_fold-{fold}.tsv",
    log:
        "{results}/logs/describe_first_layer/fold-{fold}.log",
    benchmark:
        "{results}/benchmarks/describe_first_layer/fold-{fold}.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: config["torch_threads"]
    resources:
        gpu=GPUS,
        mem_mb=lambda wildcards, attempt: attempt * 6144,
    params:
        layer=config["features"]["layer"],
        bins=config["features"]["bins"],
        device=config["device"],
        torch_threads=config["torch_threads"],
        code=code_of("describe_first_layer"),
    script:
        "../scripts/describe_first_layer.py"


rule compare_first_layer:
    """Which features of an early layer differ between the classes, also beyond head size."""
    input:
        features=expand("{{results}}/private/first_layer_fold-{fold}.tsv", fold=FOLDS),
        confounders="{results}/private/confounders.tsv",
    output:
        table="{results}/tables/first_layer.tsv",
        counts="{results}/tables/first_layer_counts.tsv",
    log:
        "{results}/logs/compare_first_layer.log",
    benchmark:
        "{results}/benchmarks/compare_first_layer.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        folds=FOLDS,
        labels=CLASSES,
        hide_target=lambda wildcards: hide_target(),
        code=code_of("compare_first_layer"),
    script:
        "../scripts/compare_first_layer.py"


rule visualise_features:
    """Inputs that excite the outputs and channels of one network most, beside the people who come nearest.

    Finished ones survive a killed job in partial/, or private/partial/ where the target is restricted.
    """
    input:
        weights="{results}/models/fold-{fold}/weights.safetensors",
        stack="{results}/images/stack.npy",
        index="{results}/images/index.tsv",
        mean="{results}/images/mean.nii.gz",
        brain="{results}/images/brain_mask.nii.gz",
        folds="{results}/private/folds.tsv",
    output:
        directory("{results}/features/visualisation_fold-{fold}"),
    log:
        "{results}/logs/visualise_features/fold-{fold}.log",
    benchmark:
        "{results}/benchmarks/visualise_features/fold-{fold}.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: config["torch_threads"]
    resources:
        gpu=GPUS,
        mem_mb=lambda wildcards, attempt: attempt * 8192,
        runtime=lambda wildcards, attempt: attempt * (60 + VISUALISATION["steps"]),
    params:
        settings=ordered(VISUALISATION, "folds", "layers", "channels", "nearest"),
        layers=VISUALISATION["layers"],
        channels=VISUALISATION["channels"],
        nearest=VISUALISATION["nearest"],
        seed=config["seed"],
        hide_target=lambda wildcards: hide_target(),
        device=config["device"],
        torch_threads=config["torch_threads"],
        code=code_of("visualise_features"),
    script:
        "../scripts/visualise_features.py"


rule compare_morphometry:
    """Whether maps and morphometry point at the same regions."""
    input:
        importance="{results}/tables/morphometry_importance.tsv",
        regions=expand("{{results}}/tables/regions_{atlas}.tsv", atlas=ATLASES),
    output:
        table="{results}/tables/morphometry_vs_maps.tsv",
        correlation="{results}/tables/morphometry_correlation.tsv",
    log:
        "{results}/logs/compare_morphometry.log",
    benchmark:
        "{results}/benchmarks/compare_morphometry.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        atlases=ATLASES,
        code=code_of("compare_morphometry"),
    script:
        "../scripts/compare_morphometry.py"
