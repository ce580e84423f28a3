# Purpose: T1 volumes -> one array of the cohort on the common grid.
# Inputs: the user's volumes (or the phantom's); outputs: images/stack.npy, index.tsv, mean, brain mask, montage.


rule downsample:
    """A batch of volumes on the common grid, normalised, with quality control."""
    input:
        unpack(volumes_of_batch),
    output:
        images="{results}/images/batch-{batch}.npy",
        quality="{results}/images/batch-{batch}.tsv",
        brains="{results}/images/batch-{batch}_brains.npy",
    log:
        "{results}/logs/downsample/batch-{batch}.log",
    benchmark:
        "{results}/benchmarks/downsample/batch-{batch}.tsv"
    # Above the phantom's priority, so that its volumes do not pile up.
    priority: 10
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: attempt * (1024 if config["images"]["align"] == "none" else 3072),
        # Minutes a volume; registering takes most of it.
        runtime=lambda wildcards, attempt: attempt
        * (30 + config["images"]["subjects_per_job"] * (1 if config["images"]["align"] == "none" else 15)),
    params:
        people=lambda wildcards: people_of_batch(wildcards)[["participant_id", "image", "mask"]].to_dict("list"),
        root=None if PHANTOM else str(BUCKET or data_root(COHORT)),
        settings=ordered(config["images"], "on_bad_image", "subjects_per_job"),
        seed=config["seed"],
        code=code_of("downsample"),
    script:
        "../scripts/downsample.py"


rule stack_images:
    """The people that passed quality control as one memory-mapped array, and their mean and brain mask."""
    input:
        images=expand("{{results}}/images/batch-{batch}.npy", batch=BATCHES),
        quality=expand("{{results}}/images/batch-{batch}.tsv", batch=BATCHES),
        brains=expand("{{results}}/images/batch-{batch}_brains.npy", batch=BATCHES),
    output:
        stack="{results}/images/stack.npy",
        index="{results}/images/index.tsv",
        excluded="{results}/images/excluded.tsv",
        mean="{results}/images/mean.nii.gz",
        brain="{results}/images/brain_mask.nii.gz",
    log:
        "{results}/logs/stack_images.log",
    benchmark:
        "{results}/benchmarks/stack_images.tsv"
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: attempt * 1024,
        runtime=lambda wildcards, attempt: attempt * (60 + PEOPLE // 200),
    params:
        on_bad_image=config["images"]["on_bad_image"],
        code=code_of("stack_images"),
    script:
        "../scripts/stack_images.py"


rule draw_montage:
    """One slice of every person, to be looked at before anything is believed."""
    input:
        stack="{results}/images/stack.npy",
        index="{results}/images/index.tsv",
    output:
        report(
            "{results}/figures/montage.png",
            caption="../report/montage.rst",
            category="Images",
        ),
        multiext("{results}/figures/montage", ".pdf", ".tsv"),
    log:
        "{results}/logs/draw_montage.log",
    benchmark:
        "{results}/benchmarks/draw_montage.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        code=code_of("draw_montage"),
    script:
        "../scripts/draw_montage.py"
