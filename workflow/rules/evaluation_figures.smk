# Purpose: figures of the tests of the maps, from tables alone.
# Inputs: tables/; outputs: figures/*.svg.


rule draw_randomization:
    """Maps of randomised networks beside those of the trained ones."""
    input:
        table="{results}/tables/randomization.tsv",
        verdicts="{results}/tables/randomization_verdicts.tsv",
    output:
        report("{results}/figures/randomization.svg", caption="../report/randomization.rst", category="Trust"),
        multiext("{results}/figures/randomization", ".pdf", ".png", ".tsv"),
    log:
        "{results}/logs/draw_randomization.log",
    benchmark:
        "{results}/benchmarks/draw_randomization.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        code=code_of("draw_randomization"),
    script:
        "../scripts/draw_randomization.py"


rule draw_faithfulness:
    """Deletion and insertion curves of all methods."""
    input:
        "{results}/tables/faithfulness_curves.tsv",
    output:
        report("{results}/figures/faithfulness.svg", caption="../report/faithfulness.rst", category="Trust"),
        multiext("{results}/figures/faithfulness", ".pdf", ".png", ".tsv"),
    log:
        "{results}/logs/draw_faithfulness.log",
    benchmark:
        "{results}/benchmarks/draw_faithfulness.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        code=code_of("draw_faithfulness"),
    script:
        "../scripts/draw_faithfulness.py"


rule draw_reproducibility:
    """How alike maps are when the network is trained once more."""
    input:
        "{results}/tables/reproducibility.tsv",
    output:
        report("{results}/figures/reproducibility.svg", caption="../report/reproducibility.rst", category="Trust"),
        multiext("{results}/figures/reproducibility", ".pdf", ".png", ".tsv"),
    log:
        "{results}/logs/draw_reproducibility.log",
    benchmark:
        "{results}/benchmarks/draw_reproducibility.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        code=code_of("draw_reproducibility"),
    script:
        "../scripts/draw_reproducibility.py"


rule draw_masked_accuracy:
    """What networks say of images times a map, beside random masks."""
    input:
        "{results}/tables/masked_accuracy.tsv",
    output:
        report("{results}/figures/masked_accuracy.svg", caption="../report/masked_accuracy.rst", category="Trust"),
        multiext("{results}/figures/masked_accuracy", ".pdf", ".png", ".tsv"),
    log:
        "{results}/logs/draw_masked_accuracy.log",
    benchmark:
        "{results}/benchmarks/draw_masked_accuracy.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        code=code_of("draw_masked_accuracy"),
    script:
        "../scripts/draw_masked_accuracy.py"


rule draw_retraining:
    """Networks trained without what a method names, and with it alone."""
    input:
        "{results}/tables/retraining.tsv",
    output:
        report("{results}/figures/retraining.svg", caption="../report/retraining.rst", category="Trust"),
        multiext("{results}/figures/retraining", ".pdf", ".png", ".tsv"),
    log:
        "{results}/logs/draw_retraining.log",
    benchmark:
        "{results}/benchmarks/draw_retraining.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        code=code_of("draw_retraining"),
    script:
        "../scripts/draw_retraining.py"


rule draw_agreement:
    """How alike the methods' maps are."""
    input:
        "{results}/tables/agreement.tsv",
    output:
        report("{results}/figures/agreement.svg", caption="../report/agreement.rst", category="Trust"),
        multiext("{results}/figures/agreement", ".pdf", ".png", ".tsv"),
    log:
        "{results}/logs/draw_agreement.log",
    benchmark:
        "{results}/benchmarks/draw_agreement.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        code=code_of("draw_agreement"),
    script:
        "../scripts/draw_agreement.py"


rule draw_anatomy:
    """The networks' maps beside a voxel-wise test of the images."""
    input:
        density="{results}/tables/anatomy_density.tsv",
        anatomy="{results}/tables/anatomy.tsv",
        regions=expand("{{results}}/tables/anatomy_regions_{atlas}.tsv", atlas=ATLASES),
    output:
        picture=report("{results}/figures/anatomy.svg", caption="../report/anatomy.rst", category="Trust"),
        regions=expand("{{results}}/figures/anatomy_regions_{atlas}.svg", atlas=ATLASES),
        beside=multiext("{results}/figures/anatomy", ".pdf", ".png", ".tsv"),
        beside_regions=expand(
            "{{results}}/figures/anatomy_regions_{atlas}.{kind}", atlas=ATLASES, kind=["pdf", "png", "tsv"]
        ),
    log:
        "{results}/logs/draw_anatomy.log",
    benchmark:
        "{results}/benchmarks/draw_anatomy.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        code=code_of("draw_anatomy"),
    script:
        "../scripts/draw_anatomy.py"


rule draw_region_intervals:
    """Regions with the intervals of their shares."""
    input:
        "{results}/tables/region_intervals.tsv",
    output:
        report("{results}/figures/intervals_{atlas}.svg", caption="../report/intervals.rst", category="Trust"),
        multiext("{results}/figures/intervals_{atlas}", ".pdf", ".png", ".tsv"),
    log:
        "{results}/logs/draw_region_intervals_{atlas}.log",
    benchmark:
        "{results}/benchmarks/draw_region_intervals_{atlas}.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        top=config["report"]["top_regions"],
        code=code_of("draw_region_intervals"),
    script:
        "../scripts/draw_region_intervals.py"
