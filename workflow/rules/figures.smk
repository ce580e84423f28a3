# Purpose: every figure of the report, from result files alone; nothing here reads private/.
# Inputs: tables/, population/, images/, models/*/history.tsv; outputs: figures/, each as SVG or PNG, as PDF, and as TSV.


rule draw_maps:
    """Cross-sections of one method's population maps over the mean image."""
    input:
        maps=expand(f"{{{{results}}}}/population/{{{{method}}}}/{{group}}_{STATISTIC}.nii.gz", group=GROUPS),
        masks=expand("{{results}}/population/{{method}}/{group}_mask.nii.gz", group=GROUPS),
        mean="{results}/images/mean.nii.gz",
        brain="{results}/images/brain_mask.nii.gz",
    output:
        pictures=report(
            expand("{{results}}/figures/maps/{{method}}_{group}.png", group=GROUPS),
            caption="../report/maps.rst",
            category="Population maps",
            labels={"method": "{method}"},
        ),
        beside=expand("{{results}}/figures/maps/{{method}}_{group}.{kind}", group=GROUPS, kind=["pdf", "tsv"]),
    log:
        "{results}/logs/draw_maps/{method}.log",
    benchmark:
        "{results}/benchmarks/draw_maps/{method}.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        groups=GROUPS,
        statistic=STATISTIC,
        difference=lambda wildcards: difference_of(wildcards.method),
        code=code_of("draw_maps"),
    script:
        "../scripts/draw_maps.py"


rule draw_training:
    """Loss and accuracy over the epochs of every fold."""
    input:
        [] if EXTERNAL else expand("{{results}}/models/fold-{fold}/history.tsv", fold=FOLDS),
    output:
        report("{results}/figures/training.svg", caption="../report/training.rst", category="Models"),
        multiext("{results}/figures/training", ".pdf", ".png", ".tsv"),
    log:
        "{results}/logs/draw_training.log",
    benchmark:
        "{results}/benchmarks/draw_training.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        code=code_of("draw_training"),
    script:
        "../scripts/draw_training.py"


rule draw_accuracy:
    """The metrics of every model and fold beside chance."""
    input:
        accuracy="{results}/tables/accuracy.tsv",
        summary="{results}/tables/accuracy_summary.tsv",
    output:
        report("{results}/figures/accuracy.svg", caption="../report/accuracy.rst", category="Models"),
        multiext("{results}/figures/accuracy", ".pdf", ".png", ".tsv"),
    log:
        "{results}/logs/draw_accuracy.log",
    benchmark:
        "{results}/benchmarks/draw_accuracy.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        code=code_of("draw_accuracy"),
    script:
        "../scripts/draw_accuracy.py"


rule draw_roc:
    """ROC curves of every model."""
    input:
        roc="{results}/tables/roc.tsv",
        summary="{results}/tables/accuracy_summary.tsv",
    output:
        report("{results}/figures/roc.svg", caption="../report/roc.rst", category="Models"),
        multiext("{results}/figures/roc", ".pdf", ".png", ".tsv"),
    log:
        "{results}/logs/draw_roc.log",
    benchmark:
        "{results}/benchmarks/draw_roc.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        code=code_of("draw_roc"),
    script:
        "../scripts/draw_roc.py"


rule draw_calibration:
    """What the models promise beside what is observed."""
    input:
        calibration="{results}/tables/calibration.tsv",
        summary="{results}/tables/calibration_summary.tsv",
    output:
        report("{results}/figures/calibration.svg", caption="../report/calibration.rst", category="Models"),
        multiext("{results}/figures/calibration", ".pdf", ".png", ".tsv"),
    log:
        "{results}/logs/draw_calibration.log",
    benchmark:
        "{results}/benchmarks/draw_calibration.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        code=code_of("draw_calibration"),
    script:
        "../scripts/draw_calibration.py"


rule draw_confounds:
    """Every model beside head size alone, on matched pairs and without what follows head size."""
    input:
        confounds="{results}/tables/confounds.tsv",
        summary="{results}/tables/accuracy_summary.tsv",
    output:
        report("{results}/figures/confounds.svg", caption="../report/confounds.rst", category="Confounds"),
        multiext("{results}/figures/confounds", ".pdf", ".png", ".tsv"),
    log:
        "{results}/logs/draw_confounds.log",
    benchmark:
        "{results}/benchmarks/draw_confounds.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        code=code_of("draw_confounds"),
    script:
        "../scripts/draw_confounds.py"


rule draw_importance:
    """The features that the models on morphometry rest on."""
    input:
        importance="{results}/tables/morphometry_importance.tsv",
    output:
        report("{results}/figures/importance.svg", caption="../report/importance.rst", category="Morphometry"),
        multiext("{results}/figures/importance", ".pdf", ".png", ".tsv"),
    log:
        "{results}/logs/draw_importance.log",
    benchmark:
        "{results}/benchmarks/draw_importance.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        labels=CLASSES,
        code=code_of("draw_importance"),
    script:
        "../scripts/draw_importance.py"


rule draw_morphometry:
    """Importance of regions in morphometry against their share of the maps."""
    input:
        regions="{results}/tables/morphometry_vs_maps.tsv",
        correlation="{results}/tables/morphometry_correlation.tsv",
    output:
        report("{results}/figures/morphometry.svg", caption="../report/morphometry.rst", category="Morphometry"),
        multiext("{results}/figures/morphometry", ".pdf", ".png", ".tsv"),
    log:
        "{results}/logs/draw_morphometry.log",
    benchmark:
        "{results}/benchmarks/draw_morphometry.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        code=code_of("draw_morphometry"),
    script:
        "../scripts/draw_morphometry.py"


rule draw_first_layer:
    """How far the classes lie apart in the features of an early layer."""
    input:
        differences="{results}/tables/first_layer.tsv",
    output:
        report("{results}/figures/first_layer.svg", caption="../report/first_layer.rst", category="Models"),
        multiext("{results}/figures/first_layer", ".pdf", ".png", ".tsv"),
    log:
        "{results}/logs/draw_first_layer.log",
    benchmark:
        "{results}/benchmarks/draw_first_layer.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        code=code_of("draw_first_layer"),
    script:
        "../scripts/draw_first_layer.py"


rule draw_dice:
    """Overlap between methods beside its chance level."""
    input:
        "{results}/tables/dice.tsv",
    output:
        report("{results}/figures/dice.svg", caption="../report/dice.rst", category="Population maps"),
        multiext("{results}/figures/dice", ".pdf", ".png", ".tsv"),
    log:
        "{results}/logs/draw_dice.log",
    benchmark:
        "{results}/benchmarks/draw_dice.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        code=code_of("draw_dice"),
    script:
        "../scripts/draw_dice.py"


rule draw_regions:
    """The regions that each method ranks first."""
    input:
        regions="{results}/tables/regions_{atlas}.tsv",
        planted=lambda wildcards: (
            f"{RESULTS}/tables/planted_regions.tsv" if PLANTED_REGIONS and wildcards.atlas == "parcels" else []
        ),
    output:
        report("{results}/figures/regions_{atlas}.svg", caption="../report/regions.rst", category="Regions"),
        multiext("{results}/figures/regions_{atlas}", ".pdf", ".png", ".tsv"),
    log:
        "{results}/logs/draw_regions/{atlas}.log",
    benchmark:
        "{results}/benchmarks/draw_regions/{atlas}.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        top=config["report"]["top_regions"],
        code=code_of("draw_regions"),
    script:
        "../scripts/draw_regions.py"


rule draw_noise_utility:
    """The test of the noise models: the score by the share of voxels that are free of noise."""
    input:
        "{results}/tables/noise_utility.tsv",
    output:
        report("{results}/figures/noise_utility.svg", caption="../report/noise_utility.rst", category="Models"),
        multiext("{results}/figures/noise_utility", ".pdf", ".png", ".tsv"),
    log:
        "{results}/logs/draw_noise_utility.log",
    benchmark:
        "{results}/benchmarks/draw_noise_utility.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        code=code_of("draw_noise_utility"),
    script:
        "../scripts/draw_noise_utility.py"


rule draw_visualisation:
    """What the outputs and channels of one network want to see most."""
    input:
        folder="{results}/features/visualisation_fold-{fold}",
        brain="{results}/images/brain_mask.nii.gz",
    output:
        report(
            "{results}/figures/visualisation_fold-{fold}.png", caption="../report/visualisation.rst", category="Models"
        ),
        multiext("{results}/figures/visualisation_fold-{fold}", ".pdf", ".tsv"),
    log:
        "{results}/logs/draw_visualisation/fold-{fold}.log",
    benchmark:
        "{results}/benchmarks/draw_visualisation/fold-{fold}.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        code=code_of("draw_visualisation"),
    script:
        "../scripts/draw_visualisation.py"
