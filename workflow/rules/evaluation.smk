# Purpose: can the maps be believed? What they say without what the network learned, and what the answer says without
# what they name.
# Inputs: models/, images/, maps/, private/folds.tsv; outputs: evaluation/, tables/{randomization*,faithfulness*}.tsv.


rule randomize_network:
    """How alike the maps of one fold are to those of the same network with layer after layer randomised."""
    input:
        weights="{results}/models/fold-{fold}/weights.safetensors",
        stack="{results}/images/stack.npy",
        index="{results}/images/index.tsv",
        mean="{results}/images/mean.nii.gz",
        brain="{results}/images/brain_mask.nii.gz",
        folds="{results}/private/folds.tsv",
        shuffled=network_with_shuffled_labels,
    output:
        "{results}/evaluation/randomization/{method}_fold-{fold}.tsv",
    log:
        "{results}/logs/randomize_network/{method}_fold-{fold}.log",
    benchmark:
        "{results}/benchmarks/randomize_network/{method}_fold-{fold}.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: config["torch_threads"]
    resources:
        gpu=GPUS,
        mem_mb=8192,
    params:
        settings=lambda wildcards: ordered(config["maps"]["methods"][wildcards.method], "people"),
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
        expand(
            "{{results}}/evaluation/randomization/{method}_fold-{fold}.tsv",
            method=RANDOMIZED,
            fold=FOLDS,
        ),
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
    """What becomes of one network's answers when voxels go in the order of a method's maps, and when they come back."""
    input:
        weights="{results}/models/fold-{fold}/weights.safetensors",
        stack="{results}/images/stack.npy",
        index="{results}/images/index.tsv",
        mean="{results}/images/mean.nii.gz",
        brain="{results}/images/brain_mask.nii.gz",
        folds="{results}/private/folds.tsv",
        maps=lambda wildcards: map_folders(wildcards.method, [wildcards.fold]),
    output:
        curves="{results}/evaluation/faithfulness/{method}_fold-{fold}_curves.tsv",
        areas="{results}/evaluation/faithfulness/{method}_fold-{fold}_areas.tsv",
    log:
        "{results}/logs/measure_faithfulness/{method}_fold-{fold}.log",
    benchmark:
        "{results}/benchmarks/measure_faithfulness/{method}_fold-{fold}.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: config["torch_threads"]
    resources:
        gpu=GPUS,
        mem_mb=8192,
    params:
        people=lambda wildcards: people_tested("faithfulness", wildcards.method),
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
        curves=expand(
            "{{results}}/evaluation/faithfulness/{method}_fold-{fold}_curves.tsv",
            method=METHODS,
            fold=FOLDS,
        ),
        areas=expand(
            "{{results}}/evaluation/faithfulness/{method}_fold-{fold}_areas.tsv",
            method=METHODS,
            fold=FOLDS,
        ),
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
