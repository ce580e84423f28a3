# Purpose: a map a person and method, by the network that did not see that person.
# Inputs: models/, images/, private/folds.tsv; outputs: maps/{method}/fold-{fold}_part-{part}/ with maps.tsv (below
# private/ where the target is a restricted field), tables/{explained,noise_utility}.tsv.


rule train_noise:
    """A noise model of one fold's network, from the people that it trained on; and what it spares, tested."""
    input:
        weights="{results}/models/fold-{fold}/weights.safetensors",
        stack="{results}/images/stack.npy",
        index="{results}/images/index.tsv",
        folds="{results}/private/folds.tsv",
        brain="{results}/images/brain_mask.nii.gz",
    output:
        noise_model="{results}/models/fold-{fold}/noise.safetensors",
        history="{results}/models/fold-{fold}/noise_history.tsv",
        utility="{results}/models/fold-{fold}/noise_utility.tsv",
    log:
        "{results}/logs/train_noise/fold-{fold}.log",
    benchmark:
        "{results}/benchmarks/train_noise/fold-{fold}.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: config["torch_threads"]
    resources:
        gpu=GPUS,
        mem_mb=lambda wildcards, attempt: attempt * 12288,
        # 2 s a person and epoch.
        runtime=lambda wildcards, attempt: attempt * (60 + PEOPLE * config["maps"]["methods"]["noise"]["epochs"] // 30),
    params:
        # Whom the maps explain, and how many at once, trains no model anew.
        settings=ordered(config["maps"]["methods"].get("noise"), "target", "people", "batch_size"),
        shares=list(range(0, 101, 10)),
        device=config["device"],
        seed=config["seed"],
        torch_threads=config["torch_threads"],
        code=code_of("train_noise"),
    script:
        "../scripts/train_noise.py"


rule tabulate_noise:
    """How well the networks do when only so many voxels are free of noise, the most important ones first."""
    input:
        expand("{{results}}/models/fold-{fold}/noise_utility.tsv", fold=FOLDS),
    output:
        "{results}/tables/noise_utility.tsv",
    log:
        "{results}/logs/tabulate_noise.log",
    benchmark:
        "{results}/benchmarks/tabulate_noise.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        code=code_of("tabulate_noise"),
    script:
        "../scripts/tabulate_noise.py"


rule explain:
    """The maps of one part of one fold's people; finished people survive a killed job in partial/."""
    input:
        weights="{results}/models/fold-{fold}/weights.safetensors",
        stack="{results}/images/stack.npy",
        index="{results}/images/index.tsv",
        mean="{results}/images/mean.nii.gz",
        folds="{results}/private/folds.tsv",
        noise_model=noise_models,
    output:
        directory(f"{{results}}/{MAPS}/{{method}}/fold-{{fold}}_part-{{part}}"),
    log:
        "{results}/logs/explain/{method}_fold-{fold}_part-{part}.log",
    benchmark:
        "{results}/benchmarks/explain/{method}_fold-{fold}_part-{part}.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: config["torch_threads"]
    resources:
        gpu=GPUS,
        mem_mb=lambda wildcards, attempt: attempt * 8192,
        # 2 minutes a person: occlusion, the slowest method as it comes, takes one on a CPU.
        runtime=lambda wildcards, attempt: attempt * (60 + 2 * config["maps"]["subjects_per_job"]),
    params:
        settings=lambda wildcards: ordered(config["maps"]["methods"][wildcards.method]),
        parts=len(PARTS),
        device=config["device"],
        seed=config["seed"],
        torch_threads=config["torch_threads"],
        code=code_of_method,
    script:
        "../scripts/explain.py"


rule tabulate_maps:
    """How many people each method explained, and what of them; all that tables and page say of single people's maps."""
    input:
        unpack(lambda wildcards: {method: map_folders(method) for method in METHODS}),
    output:
        "{results}/tables/explained.tsv",
    log:
        "{results}/logs/tabulate_maps.log",
    benchmark:
        "{results}/benchmarks/tabulate_maps.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        methods=METHODS,
        code=code_of("tabulate_maps"),
    script:
        "../scripts/tabulate_maps.py"
