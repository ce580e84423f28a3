# Purpose: a map a person and method, by the network that did not see that person.
# Inputs: models/, images/, private/folds.tsv; outputs: maps/{method}/fold-{fold}_part-{part}/ with maps.tsv.


rule explain:
    """The maps of one part of one fold's people; finished people survive a killed job in partial/."""
    input:
        weights="{results}/models/fold-{fold}/weights.safetensors",
        stack="{results}/images/stack.npy",
        index="{results}/images/index.tsv",
        mean="{results}/images/mean.nii.gz",
        folds="{results}/private/folds.tsv",
    output:
        directory("{results}/maps/{method}/fold-{fold}_part-{part}"),
    log:
        "{results}/logs/explain/{method}_fold-{fold}_part-{part}.log",
    benchmark:
        "{results}/benchmarks/explain/{method}_fold-{fold}_part-{part}.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: config["torch_threads"]
    resources:
        gpu=GPUS,
        mem_mb=8192,
    params:
        settings=lambda wildcards: ordered(config["maps"]["methods"][wildcards.method]),
        parts=len(PARTS),
        hide_target=lambda wildcards: hide_target(),
        device=config["device"],
        seed=config["seed"],
        torch_threads=config["torch_threads"],
        code=code_of_method,
    script:
        "../scripts/explain.py"
