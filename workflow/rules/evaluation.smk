# Purpose: can the maps be believed? What they say without what the network learned, and what the answer says without
# what they name.
# Inputs: models/, images/, maps/, private/folds.tsv; outputs: evaluation/, tables/{randomization*,faithfulness*}.tsv.


rule randomize_network:
    """How alike a method's maps are to those of the same networks with layer after layer randomised."""
    input:
        weights=expand("{{results}}/models/fold-{fold}/weights.safetensors", fold=RANDOMIZED_FOLDS),
        stack="{results}/images/stack.npy",
        index="{results}/images/index.tsv",
        mean="{results}/images/mean.nii.gz",
        brain="{results}/images/brain_mask.nii.gz",
        folds="{results}/private/folds.tsv",
        shuffled=expand("{{results}}/models/shuffled-1_fold-{fold}/weights.safetensors", fold=SHUFFLED_FOLDS),
    output:
        "{results}/evaluation/randomization/{method}.tsv",
    log:
        "{results}/logs/randomize_network/{method}.log",
    benchmark:
        "{results}/benchmarks/randomize_network/{method}.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: config["torch_threads"]
    resources:
        gpu=GPUS,
        mem_mb=lambda wildcards, attempt: attempt * 8192,
        runtime=lambda wildcards, attempt: attempt * (60 + 4 * len(RANDOMIZED_FOLDS) * RANDOMIZATION["people"]),
    params:
        settings=lambda wildcards: ordered(config["maps"]["methods"][wildcards.method], "people"),
        folds=RANDOMIZED_FOLDS,
        shuffled=SHUFFLED_FOLDS,
        people=RANDOMIZATION["people"],
        seed=config["seed"],
        device=config["device"],
        torch_threads=config["torch_threads"],
        code=lambda wildcards: code_of_method(wildcards, "randomize_network"),
    script:
        "../scripts/randomize_network.py"


rule tabulate_randomization:
    """The randomisation test over folds, and which methods survive it."""
    input:
        expand("{{results}}/evaluation/randomization/{method}.tsv", method=RANDOMIZED),
    output:
        table="{results}/tables/randomization.tsv",
        verdicts="{results}/tables/randomization_verdicts.tsv",
    log:
        "{results}/logs/tabulate_randomization.log",
    benchmark:
        "{results}/benchmarks/tabulate_randomization.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        threshold=RANDOMIZATION["threshold"],
        code=code_of("tabulate_randomization"),
    script:
        "../scripts/tabulate_randomization.py"


rule measure_faithfulness:
    """What becomes of one network's answers when voxels go in the order of maps, and when they come back."""
    input:
        unpack(lambda wildcards: {method: map_folders(method, [wildcards.fold]) for method in METHODS}),
        weights="{results}/models/fold-{fold}/weights.safetensors",
        stack="{results}/images/stack.npy",
        index="{results}/images/index.tsv",
        mean="{results}/images/mean.nii.gz",
        brain="{results}/images/brain_mask.nii.gz",
        folds="{results}/private/folds.tsv",
    output:
        curves="{results}/evaluation/faithfulness/fold-{fold}_curves.tsv",
        areas="{results}/evaluation/faithfulness/fold-{fold}_areas.tsv",
    log:
        "{results}/logs/measure_faithfulness/fold-{fold}.log",
    benchmark:
        "{results}/benchmarks/measure_faithfulness/fold-{fold}.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: config["torch_threads"]
    resources:
        gpu=GPUS,
        mem_mb=lambda wildcards, attempt: attempt * 8192,
        runtime=lambda wildcards, attempt: attempt * (60 + FAITHFULNESS["people"] * len(METHODS) // len(FOLDS)),
    params:
        people={method: people_tested("faithfulness", method) for method in METHODS} if FAITHFULNESS["people"] else {},
        replacements=FAITHFULNESS["replacements"],
        blur_sigma=FAITHFULNESS["blur_sigma"],
        draws=FAITHFULNESS["draws"],
        shares=FAITHFULNESS["shares"],
        seed=config["seed"],
        device=config["device"],
        torch_threads=config["torch_threads"],
        code=code_of("measure_faithfulness"),
    script:
        "../scripts/measure_faithfulness.py"


rule tabulate_faithfulness:
    """Deletion and insertion over folds, beside random order and the order of intensity."""
    input:
        curves=expand("{{results}}/evaluation/faithfulness/fold-{fold}_curves.tsv", fold=FOLDS),
        areas=expand("{{results}}/evaluation/faithfulness/fold-{fold}_areas.tsv", fold=FOLDS),
    output:
        curves="{results}/tables/faithfulness_curves.tsv",
        areas="{results}/tables/faithfulness.tsv",
    log:
        "{results}/logs/tabulate_faithfulness.log",
    benchmark:
        "{results}/benchmarks/tabulate_faithfulness.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        code=code_of("tabulate_faithfulness"),
    script:
        "../scripts/tabulate_faithfulness.py"


rule measure_masked_accuracy:
    """What the networks answer when images are multiplied by a method's maps, or by random masks of equal volume."""
    input:
        weights=expand("{{results}}/models/fold-{fold}/weights.safetensors", fold=FOLDS),
        stack="{results}/images/stack.npy",
        index="{results}/images/index.tsv",
        folds="{results}/private/folds.tsv",
        brain="{results}/images/brain_mask.nii.gz",
        maps=expand(f"{{{{results}}}}/population/{{{{method}}}}/{{group}}_{STATISTIC}.nii.gz", group=GROUPS),
        masks=expand("{{results}}/population/{{method}}/{group}_mask.nii.gz", group=GROUPS),
    output:
        "{results}/evaluation/masked_accuracy/{method}.tsv",
    log:
        "{results}/logs/measure_masked_accuracy/{method}.log",
    benchmark:
        "{results}/benchmarks/measure_masked_accuracy/{method}.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: config["torch_threads"]
    resources:
        gpu=GPUS,
        mem_mb=lambda wildcards, attempt: attempt * 8192,
        runtime=lambda wildcards, attempt: attempt
        * (60 + (MASKED_ACCURACY["people"] or PEOPLE) * len(GROUPS) * MASKED_ACCURACY["draws"] // 150),
    params:
        folds=FOLDS,
        groups=GROUPS,
        people=MASKED_ACCURACY["people"],
        intensity=config["images"]["intensity"],
        draws=MASKED_ACCURACY["draws"],
        seed=config["seed"],
        device=config["device"],
        torch_threads=config["torch_threads"],
        code=code_of("measure_masked_accuracy"),
    script:
        "../scripts/measure_masked_accuracy.py"


rule tabulate_masked_accuracy:
    """Masked accuracy of all methods over folds, beside random masks and the whole image."""
    input:
        parts=expand("{{results}}/evaluation/masked_accuracy/{method}.tsv", method=METHODS),
        folds="{results}/private/folds.tsv",
    output:
        "{results}/tables/masked_accuracy.tsv",
    log:
        "{results}/logs/tabulate_masked_accuracy.log",
    benchmark:
        "{results}/benchmarks/tabulate_masked_accuracy.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        task=COHORT["task"],
        labels=CLASSES,
        code=code_of("tabulate_masked_accuracy"),
    script:
        "../scripts/tabulate_masked_accuracy.py"


rule retrain_masked:
    """Networks trained anew without the voxels of a map, or with these alone; `random` takes random maps."""
    input:
        stack="{results}/images/stack.npy",
        index="{results}/images/index.tsv",
        folds="{results}/private/folds.tsv",
        participants="{results}/private/participants.tsv",
        brain="{results}/images/brain_mask.nii.gz",
        maps=lambda wildcards: map_folders(method_or_first(wildcards.method)),
    output:
        "{results}/evaluation/retraining/{method}_fold-{fold}.tsv",
    log:
        "{results}/logs/retrain_masked/{method}_fold-{fold}.log",
    benchmark:
        "{results}/benchmarks/retrain_masked/{method}_fold-{fold}.tsv"
    wildcard_constraints:
        method="|".join(["random", *METHODS]),
    conda:
        "../../envs/gpu.yaml"
    threads: config["torch_threads"]
    resources:
        gpu=GPUS,
        mem_mb=lambda wildcards, attempt: attempt * 8192,
        # One training a share, mode and random map.
        runtime=lambda wildcards, attempt: attempt
        * (
            30
            + len(RETRAINING["shares"])
            * len(RETRAINING["modes"])
            * (RETRAINING["draws"] if wildcards.method == "random" else 1)
            * PEOPLE
            * config["training"]["epochs"]
            // 300
        ),
    params:
        how=lambda wildcards: joining(config, CLASSES, method_or_first(wildcards.method), STATISTIC),
        people=lambda wildcards: config["maps"]["methods"][method_or_first(wildcards.method)]["people"],
        statistic=STATISTIC,
        normalise=lambda wildcards: normalisation_of(method_or_first(wildcards.method)),
        smoothing_fwhm_mm=config["population"]["smoothing_fwhm_mm"],
        shares=RETRAINING["shares"],
        modes=RETRAINING["modes"],
        draws=RETRAINING["draws"],
        model=ordered(config["model"]),
        training=ordered(config["training"]),
        task=COHORT["task"],
        labels=CLASSES,
        grouped=config["folds"]["grouped"],
        seed=config["seed"],
        device=config["device"],
        torch_threads=config["torch_threads"],
        code=code_of("retrain_masked"),
    script:
        "../scripts/retrain_masked.py"


rule tabulate_retraining:
    """How well networks do without what a method names, and with it alone, beside random maps."""
    input:
        parts=expand(
            "{{results}}/evaluation/retraining/{method}_fold-{fold}.tsv",
            method=[*METHODS, "random"],
            fold=RETRAINED_FOLDS,
        ),
        predictions=expand("{{results}}/private/predictions_fold-{fold}.tsv", fold=RETRAINED_FOLDS),
        folds="{results}/private/folds.tsv",
    output:
        "{results}/tables/retraining.tsv",
    log:
        "{results}/logs/tabulate_retraining.log",
    benchmark:
        "{results}/benchmarks/tabulate_retraining.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        task=COHORT["task"],
        labels=CLASSES,
        code=code_of("tabulate_retraining"),
    script:
        "../scripts/tabulate_retraining.py"


rule tabulate_verdicts:
    """Every method by every criterion: what was measured, what chance is, and a plain word."""
    input:
        **{name: f"{RESULTS}/tables/{name}.tsv" for name in JUDGED},
    output:
        f"{RESULTS}/tables/verdicts.tsv",
    log:
        f"{RESULTS}/logs/tabulate_verdicts.log",
    benchmark:
        f"{RESULTS}/benchmarks/tabulate_verdicts.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        methods=METHODS,
        thresholds={**EVALUATION["verdicts"], "randomization": RANDOMIZATION["threshold"]},
        code=code_of("tabulate_verdicts"),
    script:
        "../scripts/tabulate_verdicts.py"
