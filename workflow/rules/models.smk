# Purpose: one network a fold (or the one that the user brought), and how well it predicts people it has not seen.
# Inputs: images/stack.npy, private/folds.tsv; outputs: models/fold-{fold}/, private/predictions_*.


ruleorder: import_network > train_fold


rule train_fold:
    """Train on all folds but one, test on that one."""
    input:
        stack="{results}/images/stack.npy",
        index="{results}/images/index.tsv",
        folds="{results}/private/folds.tsv",
        participants="{results}/private/participants.tsv",
    output:
        weights="{results}/models/fold-{fold}/weights.safetensors",
        history="{results}/models/fold-{fold}/history.tsv",
        predictions="{results}/private/predictions_fold-{fold}.tsv",
    log:
        "{results}/logs/train_fold/fold-{fold}.log",
    benchmark:
        "{results}/benchmarks/train_fold/fold-{fold}.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: config["torch_threads"]
    resources:
        gpu=GPUS,
        mem_mb=lambda wildcards, attempt: attempt * 8192,
        # 0.2 s a person and epoch.
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


rule import_network:
    """A checkpoint that the user brought; whether it saw these people is not known."""
    input:
        weights=config["interpret"]["weights"] or [],
        stack="{results}/images/stack.npy",
        index="{results}/images/index.tsv",
        folds="{results}/private/folds.tsv",
    output:
        weights="{results}/models/fold-external/weights.safetensors",
        predictions="{results}/private/predictions_fold-external.tsv",
    log:
        "{results}/logs/import_network.log",
    benchmark:
        "{results}/benchmarks/import_network.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: config["torch_threads"]
    resources:
        gpu=GPUS,
        mem_mb=lambda wildcards, attempt: attempt * 8192,
    params:
        model=ordered(config["model"]),
        task=COHORT["task"],
        labels=CLASSES,
        device=config["device"],
        scale=[config["interpret"]["target_mean"], config["interpret"]["target_sd"]],
        torch_threads=config["torch_threads"],
        code=code_of("import_network"),
    script:
        "../scripts/import_network.py"
