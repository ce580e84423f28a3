# Purpose: what other models reach on the same folds: an SVM on the voxels, and models on morphometry.
# Inputs: images/stack.npy, tables of features, private/folds.tsv; outputs: private/features.tsv, private/baselines/,
# baselines/, tables/{features_dropped,morphometry_importance,hyperparameters}.tsv.

SVM = config["baselines"]["models"].get(ON_VOXELS) or {"people": None}
# Images whose products with everybody's are computed.
LEARNED_FROM = min(PEOPLE, SVM["people"] or PEOPLE)


rule prepare_features:
    """Morphometry of the people, without ids, labels, releases and constants."""
    input:
        unpack(feature_tables),
        participants="{results}/private/participants.tsv",
    output:
        features="{results}/private/features.tsv",
        dropped="{results}/tables/features_dropped.tsv",
    log:
        "{results}/logs/prepare_features.log",
    benchmark:
        "{results}/benchmarks/prepare_features.tsv"
    # What is wrong with the tables must be said before hours of reading begin.
    priority: 20
    conda:
        "../../envs/cpu.yaml"
    params:
        cohort=cohort_of_features(COHORT),
        settings=ordered(config["baselines"]["features"]),
        code=code_of("prepare_features"),
    script:
        "../scripts/prepare_features.py"


rule collect_confounders:
    """Head size and age of everybody in the stack, from tables or estimated from the images."""
    input:
        unpack(confounder_tables),
        index="{results}/images/index.tsv",
    output:
        "{results}/private/confounders.tsv",
    log:
        "{results}/logs/collect_confounders.log",
    benchmark:
        "{results}/benchmarks/collect_confounders.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        cohort=ordered(COHORT, "min_found"),
        tables=tables_of_the_phantom,
        seed=config["seed"],
        estimate=COHORT["size"]["estimate"],
        align=config["images"]["align"],
        space=config["images"]["space"],
        code=code_of("collect_confounders"),
    script:
        "../scripts/collect_confounders.py"


rule compute_voxel_kernel:
    """Dot products of everybody's image with those to learn from, from which every SVM of every fold follows."""
    input:
        stack="{results}/images/stack.npy",
        index="{results}/images/index.tsv",
        participants="{results}/private/participants.tsv",
    output:
        products="{results}/baselines/voxel_products.npy",
        sums="{results}/baselines/voxel_sums.tsv",
    log:
        "{results}/logs/compute_voxel_kernel.log",
    benchmark:
        "{results}/benchmarks/compute_voxel_kernel.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: config["torch_threads"]
    resources:
        mem_mb=lambda wildcards, attempt: attempt * (2048 + PEOPLE * LEARNED_FROM * 16 // 2**20),
        runtime=lambda wildcards, attempt: attempt * (60 + PEOPLE // 200),
    params:
        people=SVM["people"],
        task=COHORT["task"],
        seed=config["seed"],
        threads=config["torch_threads"],
        code=code_of("compute_voxel_kernel"),
    script:
        "../scripts/compute_voxel_kernel.py"


rule fit_voxel_svm:
    """An SVM on all voxels, trained on all folds but one, tested on that one; also without what follows head size."""
    input:
        products="{results}/baselines/voxel_products.npy",
        sums="{results}/baselines/voxel_sums.tsv",
        folds="{results}/private/{scheme}.tsv",
        participants="{results}/private/participants.tsv",
        confounders="{results}/private/confounders.tsv",
    output:
        predictions="{results}/private/baselines/{scheme}/svm_fold-{fold}.tsv",
        residualised=where_size_is_known("{results}/private/baselines/{scheme}/svm-residualised_fold-{fold}.tsv"),
        settings="{results}/baselines/{scheme}/svm_fold-{fold}_settings.tsv",
    log:
        "{results}/logs/fit_voxel_svm/{scheme}_fold-{fold}.log",
    benchmark:
        "{results}/benchmarks/fit_voxel_svm/{scheme}_fold-{fold}.tsv"
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: attempt * (1536 + PEOPLE * LEARNED_FROM * 16 // 2**20),
    params:
        task=COHORT["task"],
        labels=CLASSES,
        settings=ordered(SVM, "people"),
        inner_folds=config["baselines"]["inner_folds"],
        grouped=lambda wildcards: wildcards.scheme == "folds" and config["folds"]["grouped"],
        # On folds that tear families apart nothing but the predictions is asked for.
        predictions_only=lambda wildcards: wildcards.scheme != "folds",
        seed=config["seed"],
        code=code_of("fit_voxel_svm"),
    script:
        "../scripts/fit_voxel_svm.py"


rule fit_morphometry:
    """A model on morphometry: settings searched within the training people, tested on one fold."""
    input:
        features="{results}/private/features.tsv",
        folds="{results}/private/{scheme}.tsv",
        participants="{results}/private/participants.tsv",
        confounders="{results}/private/confounders.tsv",
    output:
        predictions="{results}/private/baselines/{scheme}/{model}_fold-{fold}.tsv",
        residualised=where_size_is_known("{results}/private/baselines/{scheme}/{model}-residualised_fold-{fold}.tsv"),
        settings="{results}/baselines/{scheme}/{model}_fold-{fold}_settings.tsv",
        importance="{results}/baselines/{scheme}/{model}_fold-{fold}_importance.tsv",
    log:
        "{results}/logs/fit_morphometry/{scheme}_{model}_fold-{fold}.log",
    benchmark:
        "{results}/benchmarks/fit_morphometry/{scheme}_{model}_fold-{fold}.tsv"
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 2048,
        runtime=lambda wildcards, attempt: attempt * (60 + PEOPLE // 200),
    params:
        task=COHORT["task"],
        labels=CLASSES,
        settings=lambda wildcards: ordered(config["baselines"]["models"][wildcards.model], "people"),
        people=lambda wildcards: config["baselines"]["models"][wildcards.model].get("people"),
        inner_folds=config["baselines"]["inner_folds"],
        repeats=config["baselines"]["permutation_repeats"],
        grouped=lambda wildcards: wildcards.scheme == "folds" and config["folds"]["grouped"],
        # On folds that tear families apart nothing but the predictions is asked for.
        predictions_only=lambda wildcards: wildcards.scheme != "folds",
        seed=config["seed"],
        code=code_of("fit_morphometry"),
    script:
        "../scripts/fit_morphometry.py"


rule tabulate_importance:
    """What the models on morphometry rest on, with its spread over folds."""
    input:
        expand("{{results}}/baselines/folds/{model}_fold-{fold}_importance.tsv", model=MORPHOMETRY, fold=FOLDS),
    output:
        "{results}/tables/morphometry_importance.tsv",
    log:
        "{results}/logs/tabulate_importance.log",
    benchmark:
        "{results}/benchmarks/tabulate_importance.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        models=MORPHOMETRY,
        code=code_of("tabulate_importance"),
    script:
        "../scripts/tabulate_importance.py"


rule tabulate_hyperparameters:
    """The settings that each fold of each model used, chosen within its training people where there was a choice."""
    input:
        expand("{{results}}/baselines/folds/{model}_fold-{fold}_settings.tsv", model=BASELINES, fold=FOLDS),
    output:
        "{results}/tables/hyperparameters.tsv",
    log:
        "{results}/logs/tabulate_hyperparameters.log",
    benchmark:
        "{results}/benchmarks/tabulate_hyperparameters.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        models=BASELINES,
        folds=FOLDS,
        code=code_of("tabulate_hyperparameters"),
    script:
        "../scripts/tabulate_hyperparameters.py"
