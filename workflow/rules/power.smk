# Purpose: which method would have found an effect of which size? Benchmarks with something planted: on phantoms made for
# it (snakemake phantom_benchmark) and in the cohort's own images (snakemake planted_benchmark).
# Outputs: power/, tables/{phantom,planted}_benchmark.tsv, figures/{phantom,planted}_benchmark.svg.


rule score_phantom_design:
    """One cohort of one design: a network trained on part of it, its maps of the others, and their scores."""
    output:
        scores="{results}/power/{design}_effect-{effect}_seed-{seed}/scores.tsv",
        accuracy="{results}/power/{design}_effect-{effect}_seed-{seed}/accuracy.tsv",
        cost="{results}/power/{design}_effect-{effect}_seed-{seed}/cost.tsv",
    log:
        "{results}/logs/score_phantom_design/{design}_effect-{effect}_seed-{seed}.log",
    benchmark:
        "{results}/benchmarks/score_phantom_design/{design}_effect-{effect}_seed-{seed}.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: config["torch_threads"]
    resources:
        gpu=GPUS,
        mem_mb=lambda wildcards, attempt: attempt * 6144,
        runtime=lambda wildcards, attempt: attempt * (60 + BENCHMARK_SIZE["people"]),
    params:
        settings={
            **ordered(PHANTOM_BENCHMARK, "full", "designs", "effects", "seeds"),
            "people": BENCHMARK_SIZE["people"],
        },
        device=config["device"],
        torch_threads=config["torch_threads"],
        code=code_of("score_phantom_design"),
    script:
        "../scripts/score_phantom_design.py"


rule tabulate_phantom_benchmark:
    """All designs, effects and methods, over seeds."""
    input:
        scores=[f"{cell}/scores.tsv" for cell in PHANTOM_CELLS],
        accuracies=[f"{cell}/accuracy.tsv" for cell in PHANTOM_CELLS],
    output:
        f"{RESULTS}/tables/phantom_benchmark.tsv",
    log:
        f"{RESULTS}/logs/tabulate_phantom_benchmark.log",
    benchmark:
        f"{RESULTS}/benchmarks/tabulate_phantom_benchmark.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        code=code_of("tabulate_power"),
    script:
        "../scripts/tabulate_power.py"


rule plant_people:
    """A batch of the cohort's own images with every effect that is planted; labels are drawn at random."""
    input:
        volumes=lambda wildcards: planted_volumes(wildcards)["volumes"],
        masks=lambda wildcards: planted_volumes(wildcards).get("masks", []),
        participants="{results}/private/participants.tsv",
        index="{results}/images/index.tsv",
        atlas_image=f"{{results}}/atlases/{PLANTED_ATLAS}.nii.gz",
        atlas_table=f"{{results}}/atlases/{PLANTED_ATLAS}.tsv",
    output:
        images=temp(
            expand(
                "{{results}}/private/planted/effect-{effect}_seed-{seed}/batch-{{batch}}.npy",
                effect=PLANTED["effects"],
                seed=PLANTED_SEEDS,
            )
        ),
        tables=expand(
            "{{results}}/private/planted/effect-{effect}_seed-{seed}/batch-{{batch}}.tsv",
            effect=PLANTED["effects"],
            seed=PLANTED_SEEDS,
        ),
    log:
        "{results}/logs/plant_people/batch-{batch}.log",
    benchmark:
        "{results}/benchmarks/plant_people/batch-{batch}.tsv"
    conda:
        "../../envs/cpu.yaml"
    resources:
        # A map's worth of memory a person and planting comes on top.
        mem_mb=lambda wildcards, attempt: attempt
        * (3072 + len(PLANTED["effects"]) * len(PLANTED_SEEDS) * min(PEOPLE, config["images"]["subjects_per_job"])),
        runtime=lambda wildcards, attempt: attempt
        * (30 + config["images"]["subjects_per_job"] * (2 if config["images"]["align"] == "none" else 15)),
    params:
        people=lambda wildcards: people_of_batch(wildcards)[["participant_id", "image", "mask"]].to_dict("list"),
        root=None if PHANTOM else str(data_root(COHORT)),
        planted=ordered(PLANTED, *NOT_OF_A_PLANTING),
        plantings=[{"effect": effect, "seed": seed} for effect in PLANTED["effects"] for seed in PLANTED_SEEDS],
        settings={key: config["images"][key] for key in ("align", "space", "intensity")},
        seed=config["seed"],
        task=COHORT["task"],
        torch_threads=config["torch_threads"],
        code=code_of("plant_people"),
    script:
        "../scripts/plant_people.py"


rule score_planted:
    """One planting: a network trained on part of the cohort, its maps of the others, and their scores."""
    input:
        images=expand("{{results}}/private/planted/effect-{{effect}}_seed-{{seed}}/batch-{batch}.npy", batch=BATCHES),
        tables=expand("{{results}}/private/planted/effect-{{effect}}_seed-{{seed}}/batch-{batch}.tsv", batch=BATCHES),
        participants="{results}/private/participants.tsv",
        brain="{results}/images/brain_mask.nii.gz",
        atlas_image=f"{{results}}/atlases/{PLANTED_ATLAS}.nii.gz",
        atlas_table=f"{{results}}/atlases/{PLANTED_ATLAS}.tsv",
    output:
        scores="{results}/power/planted_effect-{effect}_seed-{seed}/scores.tsv",
        accuracy="{results}/power/planted_effect-{effect}_seed-{seed}/accuracy.tsv",
        cost="{results}/power/planted_effect-{effect}_seed-{seed}/cost.tsv",
    log:
        "{results}/logs/score_planted/effect-{effect}_seed-{seed}.log",
    benchmark:
        "{results}/benchmarks/score_planted/effect-{effect}_seed-{seed}.tsv"
    conda:
        "../../envs/gpu.yaml"
    threads: config["torch_threads"]
    resources:
        gpu=GPUS,
        mem_mb=lambda wildcards, attempt: attempt * 8192,
        runtime=lambda wildcards, attempt: attempt
        * (60 + PEOPLE * config["training"]["epochs"] // 300 + PEOPLE * len(METHODS) // 15),
    params:
        planted=lambda wildcards: {
            **ordered(PLANTED, *NOT_OF_A_PLANTING),
            "effect": float(wildcards.effect),
            "seed": int(wildcards.seed),
        },
        model=ordered(config["model"]),
        training=ordered(config["training"]),
        methods={
            method: {"method": method, **ordered(settings, "batch_size")}
            for method, settings in config["maps"]["methods"].items()
        },
        options={key: PLANTED[key] for key in ("held_out", "fwhms_mm", "shuffles")},
        task=COHORT["task"],
        # Of split and training: another cohort of labels, another network.
        seed=lambda wildcards: int(wildcards.seed),
        device=config["device"],
        torch_threads=config["torch_threads"],
        partial="{results}/private/partial/planted-{effect}-{seed}",
        code="".join(
            [code_of("score_planted"), *(code_of_own(settings) for settings in config["maps"]["methods"].values())]
        ),
    script:
        "../scripts/score_planted.py"


rule tabulate_planted_benchmark:
    """All effects and methods, over seeds."""
    input:
        scores=[f"{cell}/scores.tsv" for cell in PLANTED_CELLS],
        accuracies=[f"{cell}/accuracy.tsv" for cell in PLANTED_CELLS],
    output:
        f"{RESULTS}/tables/planted_benchmark.tsv",
    log:
        f"{RESULTS}/logs/tabulate_planted_benchmark.log",
    benchmark:
        f"{RESULTS}/benchmarks/tabulate_planted_benchmark.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        code=code_of("tabulate_power"),
    script:
        "../scripts/tabulate_power.py"


rule draw_power:
    """Power curves: how well each method's maps find an effect of each size."""
    input:
        f"{RESULTS}/tables/{{kind}}_benchmark.tsv",
    output:
        multiext(f"{RESULTS}/figures/{{kind}}_benchmark", ".svg", ".pdf", ".png", ".tsv"),
    log:
        f"{RESULTS}/logs/draw_power/{{kind}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_power/{{kind}}.tsv"
    wildcard_constraints:
        kind="phantom|planted",
    conda:
        "../../envs/cpu.yaml"
    params:
        statistic=lambda wildcards: statistic_of_benchmark(wildcards.kind),
        titles=TITLES_OF_SETTINGS,
        code=code_of("draw_power"),
    script:
        "../scripts/draw_power.py"


rule phantom_benchmark:
    """Phantom designs by effect sizes by seeds: tables/phantom_benchmark.tsv and its figure."""
    input:
        f"{RESULTS}/tables/phantom_benchmark.tsv",
        f"{RESULTS}/figures/phantom_benchmark.svg",


rule planted_benchmark:
    """Effects planted in the cohort's own images: tables/planted_benchmark.tsv and its figure."""
    input:
        f"{RESULTS}/tables/planted_benchmark.tsv",
        f"{RESULTS}/figures/planted_benchmark.svg",
