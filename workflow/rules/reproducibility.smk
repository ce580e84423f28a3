# Purpose: do maps come out alike when the network is trained once more, with one thing changed?
# Inputs: images/, private/folds.tsv, models/, maps/; outputs: models/{variant}_fold-{fold}/, maps_again/ (below private/
# where the target is a restricted field), tables/{reproducibility,reproducibility_networks}.tsv.


rule assign_other_folds:
    """Other folds of the same people, drawn by the same rules."""
    input:
        participants="{results}/private/participants.tsv",
        index="{results}/images/index.tsv",
    output:
        "{results}/private/folds_other-{number}.tsv",
    log:
        "{results}/logs/assign_other_folds/{number}.log",
    benchmark:
        "{results}/benchmarks/assign_other_folds/{number}.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        folds=config["folds"]["count"],
        grouped=config["folds"]["grouped"],
        task=COHORT["task"],
        seed=lambda wildcards: seed_for(config["seed"], "other folds", wildcards.number),
        code=code_of("assign_folds"),
    script:
        "../scripts/assign_folds.py"


rule train_again:
    """One fold's network with another seed, other dropout masks, other folds, or shuffled labels."""
    input:
        stack="{results}/images/stack.npy",
        index="{results}/images/index.tsv",
        folds=folds_of_variant,
        participants="{results}/private/participants.tsv",
    output:
        weights="{results}/models/{variant}_fold-{fold}/weights.safetensors",
        history="{results}/models/{variant}_fold-{fold}/history.tsv",
        predictions="{results}/private/again/{variant}_fold-{fold}.tsv",
    log:
        "{results}/logs/train_again/{variant}_fold-{fold}.log",
    benchmark:
        "{results}/benchmarks/train_again/{variant}_fold-{fold}.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: config["torch_threads"]
    resources:
        gpu=GPUS,
        mem_mb=lambda wildcards, attempt: attempt * 8192,
        runtime=lambda wildcards, attempt: attempt * (30 + PEOPLE * config["training"]["epochs"] // 300),
    params:
        model=ordered(config["model"]),
        training=ordered(config["training"]),
        task=COHORT["task"],
        labels=CLASSES,
        device=config["device"],
        seed=config["seed"],
        grouped=config["folds"]["grouped"],
        torch_threads=config["torch_threads"],
        code=code_of("train_fold"),
    script:
        "../scripts/train_fold.py"


rule perturb_weights:
    """One fold's network with noise on its weights."""
    input:
        weights="{results}/models/fold-{fold}/weights.safetensors",
        stack="{results}/images/stack.npy",
        index="{results}/images/index.tsv",
        folds="{results}/private/folds.tsv",
    output:
        weights="{results}/models/weights-{number}_fold-{fold}/weights.safetensors",
        predictions="{results}/private/again/weights-{number}_fold-{fold}.tsv",
    log:
        "{results}/logs/perturb_weights/{number}_fold-{fold}.log",
    benchmark:
        "{results}/benchmarks/perturb_weights/{number}_fold-{fold}.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: config["torch_threads"]
    resources:
        gpu=GPUS,
        mem_mb=lambda wildcards, attempt: attempt * 8192,
    params:
        share=REPRODUCIBILITY["weight_noise"],
        seed=config["seed"],
        device=config["device"],
        torch_threads=config["torch_threads"],
        code=code_of("perturb_weights"),
    script:
        "../scripts/perturb_weights.py"


ruleorder: perturb_weights > train_again


rule explain_again:
    """Maps of some people by a network that was trained again, and that has not seen them either."""
    input:
        weights="{results}/models/{variant}_fold-{fold}/weights.safetensors",
        stack="{results}/images/stack.npy",
        index="{results}/images/index.tsv",
        mean="{results}/images/mean.nii.gz",
        folds=folds_of_variant,
        sample="{results}/private/folds.tsv",
    output:
        directory(f"{{results}}/{MAPS}_again/{{variant}}_{{method}}/fold-{{fold}}"),
    log:
        "{results}/logs/explain_again/{variant}_{method}_fold-{fold}.log",
    benchmark:
        "{results}/benchmarks/explain_again/{variant}_{method}_fold-{fold}.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: config["torch_threads"]
    resources:
        gpu=GPUS,
        mem_mb=lambda wildcards, attempt: attempt * 8192,
        runtime=lambda wildcards, attempt: attempt * (60 + 2 * REPRODUCIBILITY["people"] // len(FOLDS)),
    params:
        settings=lambda wildcards: {
            **ordered(config["maps"]["methods"][wildcards.method]),
            "people": people_tested("reproducibility", wildcards.method),
        },
        device=config["device"],
        seed=config["seed"],
        torch_threads=config["torch_threads"],
        code=code_of_method,
    script:
        "../scripts/explain.py"


rule measure_reproducibility:
    """How alike one method's maps are to those by the networks that were trained again."""
    input:
        unpack(lambda wildcards: {variant: maps_again(wildcards.method, variant) for variant in AGAIN}),
        original=lambda wildcards: map_folders(wildcards.method),
        folds="{results}/private/folds.tsv",
        brain="{results}/images/brain_mask.nii.gz",
        atlas=expand("{{results}}/atlases/{atlas}{ending}", atlas=ATLASES[:1], ending=[".nii.gz", ".tsv"]),
    output:
        "{results}/evaluation/reproducibility/{method}.tsv",
    log:
        "{results}/logs/measure_reproducibility/{method}.log",
    benchmark:
        "{results}/benchmarks/measure_reproducibility/{method}.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        variants=AGAIN,
        how=lambda wildcards: joining(config, CLASSES, wildcards.method, STATISTIC),
        statistic=STATISTIC,
        normalise=lambda wildcards: normalisation_of(wildcards.method),
        smoothing_fwhm_mm=config["population"]["smoothing_fwhm_mm"],
        top_percent=REPRODUCIBILITY["top_percent"],
        top_regions=REPRODUCIBILITY["top_regions"],
        task=COHORT["task"],
        seed=config["seed"],
        code=code_of("measure_reproducibility"),
    script:
        "../scripts/measure_reproducibility.py"


rule tabulate_reproducibility:
    """Likeness of maps and skill of networks, change by change."""
    input:
        unpack(
            lambda wildcards: {
                variant: expand(f"{RESULTS}/private/again/{variant}_fold-{{fold}}.tsv", fold=AGAIN_FOLDS)
                for variant in AGAIN
            }
        ),
        original=expand("{{results}}/private/predictions_fold-{fold}.tsv", fold=FOLDS),
        tables=expand("{{results}}/evaluation/reproducibility/{method}.tsv", method=RANDOMIZED),
    output:
        table="{results}/tables/reproducibility.tsv",
        networks="{results}/tables/reproducibility_networks.tsv",
    log:
        "{results}/logs/tabulate_reproducibility.log",
    benchmark:
        "{results}/benchmarks/tabulate_reproducibility.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        variants=AGAIN,
        task=COHORT["task"],
        labels=CLASSES,
        code=code_of("tabulate_reproducibility"),
    script:
        "../scripts/tabulate_reproducibility.py"
