# Purpose: what can be known before a run begins (snakemake check): what would stop it, and what it will take.
# Inputs: the config and what it names; outputs: a table on the terminal, and nothing that another rule would see.


localrules:
    check,


rule check:
    """Look at everything that a run needs, in seconds, and run nothing."""
    log:
        f"{RESULTS}/logs/check.log",
    conda:
        "../../envs/cpu.yaml"
    params:
        config=lambda wildcards: {
            **config,
            "atlases": {name: own for name, own in config["atlases"].items() if not (PHANTOM and name == "parcels")},
        },
        classes=CLASSES,
        results=RESULTS,
        tables=lambda wildcards: [] if PHANTOM or not MORPHOMETRY else feature_tables(wildcards)["tables"],
    script:
        "../scripts/check.py"
