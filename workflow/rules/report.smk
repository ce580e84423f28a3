# Purpose: how the run came about, and the page, from result files alone; the page reads nothing of private/.
# Inputs: tables/, figures/, images/; outputs: inputs.tsv, provenance.json, report/index.html, report/people/.

from voxplain.reporting.citation import read_citation
from voxplain.reporting.input_files import input_files

TABLES = [
    f"{RESULTS}/tables/cohort.tsv",
    f"{RESULTS}/tables/accuracy.tsv",
    f"{RESULTS}/tables/accuracy_summary.tsv",
]
if CLASSES:
    TABLES.append(f"{RESULTS}/tables/roc.tsv")
TABLES += expand(f"{RESULTS}/tables/{{table}}.tsv", table=["calibration", "calibration_summary"])
if PERMUTATIONS:
    TABLES.append(f"{RESULTS}/tables/permutations.tsv")
if CONFOUNDS:
    TABLES.append(f"{RESULTS}/tables/confounds.tsv")
if MORPHOMETRY:
    TABLES += expand(f"{RESULTS}/tables/{{table}}.tsv", table=["features_dropped", "morphometry_importance"])
if BASELINES:
    TABLES.append(f"{RESULTS}/tables/hyperparameters.tsv")
COMPARED = bool(MORPHOMETRY and METHODS and ATLASES)
if COMPARED:
    TABLES += expand(f"{RESULTS}/tables/{{table}}.tsv", table=["morphometry_vs_maps", "morphometry_correlation"])
if FIRST_LAYER:
    TABLES += expand(f"{RESULTS}/tables/{{table}}.tsv", table=["first_layer", "first_layer_counts"])
if config["statistics"]["age_gap"]:
    TABLES.append(f"{RESULTS}/tables/age_gap.tsv")
if UNGROUPED:
    TABLES.append(f"{RESULTS}/tables/grouping.tsv")
DRAWN_TESTS = [name for name in TESTED if name not in ("localization", "inference", "region_intervals")]
CHARTS = {
    "training": True,
    "accuracy": True,
    "roc": bool(CLASSES),
    "calibration": True,
    "confounds": CONFOUNDS,
    "importance": bool(MORPHOMETRY),
    "morphometry": COMPARED,
    "first_layer": FIRST_LAYER,
    "dice": bool(METHODS),
    "noise_utility": "noise" in METHODS,
    **{name: TESTED[name] for name in DRAWN_TESTS},
}
if METHODS:
    TABLES += expand(f"{RESULTS}/tables/{{table}}.tsv", table=["explained", "dice"])
    TABLES += expand(f"{RESULTS}/tables/{{table}}_{{atlas}}.tsv", table=["regions", "top_regions"], atlas=ATLASES)
if "noise" in METHODS:
    TABLES.append(f"{RESULTS}/tables/noise_utility.tsv")
BESIDE = {
    "randomization": ["randomization_verdicts"],
    "faithfulness": ["faithfulness_curves"],
    "reproducibility": ["reproducibility_networks"],
    "inference": ["inference_regions"],
    "anatomy": [f"anatomy_regions_{atlas}" for atlas in ATLASES],
}
for test in [name for name, wanted in TESTED.items() if wanted]:
    TABLES += expand(f"{RESULTS}/tables/{{table}}.tsv", table=[test, *BESIDE.get(test, [])])
if METHODS:
    TABLES.append(f"{RESULTS}/tables/verdicts.tsv")
if PLANTED_REGIONS:
    TABLES.append(f"{RESULTS}/tables/planted_regions.tsv")
MAPPED_ATLASES = ATLASES if METHODS else []
POPULATION_MAPS = expand(
    f"{RESULTS}/population/{{method}}/{{group}}_{{statistic}}.nii.gz",
    method=METHODS,
    group=GROUPS,
    statistic=STATISTICS,
)
# Maps of people tell who they are in a group: where that is restricted, the page shows nobody.
PEOPLE_SHOWN = bool(METHODS and config["report"]["people"] and not hide_target())
# What the page's viewer shows, over the mean image.
VIEWED = expand(f"{RESULTS}/population/{{method}}/{{group}}_{STATISTIC}.nii.gz", method=METHODS, group=GROUPS) + expand(
    f"{RESULTS}/atlases/{{atlas}}.{{kind}}", atlas=MAPPED_ATLASES, kind=["nii.gz", "tsv"]
)
if METHODS:
    VIEWED += expand(f"{RESULTS}/images/{{volume}}.nii.gz", volume=["mean", "brain_mask"])


# Files of the user other than volumes, by the settings that name them; and tables that a source finds by itself.
INPUT_FILES = {setting: str(path) for setting, path in input_files(config, RESULTS).items()}
if not PHANTOM:
    INPUT_FILES |= {
        f"cohort.{COHORT['source']}.{key}": path
        for key, path in cohort_tables(None).items()
        if str(path) not in INPUT_FILES.values()
    }
# Where volumes can be looked at again: not those that the run made itself, nor those in a bucket.
DATA_ROOT = str(data_root(COHORT)) if data_root(COHORT) else None
# What the page shows of the config, and the record of the run keeps.
SETTINGS_SHOWN = {**config, "cohort": {**COHORT, "restricted_target": hide_target()}}


rule record_inputs:
    """Checksums of the files that the config names, at the very beginning."""
    input:
        list(INPUT_FILES.values()),
    output:
        f"{RESULTS}/inputs.tsv",
    log:
        f"{RESULTS}/logs/record_inputs.log",
    benchmark:
        f"{RESULTS}/benchmarks/record_inputs.tsv"
    # Before everything else, so that a change while the run goes on is seen.
    priority: 100
    conda:
        "../../envs/cpu.yaml"
    params:
        files=INPUT_FILES,
        root=DATA_ROOT,
        code=code_of("record_inputs"),
    script:
        "../scripts/record_inputs.py"


rule write_provenance:
    """How the run came about, and whether its input is still what was read."""
    input:
        inputs=f"{RESULTS}/inputs.tsv",
        participants=f"{RESULTS}/private/participants.tsv",
        batches=expand(f"{RESULTS}/images/batch-{{batch}}.tsv", batch=BATCHES),
        weights=expand(f"{RESULTS}/models/fold-{{fold}}/weights.safetensors", fold=FOLDS),
        outputs=TABLES + POPULATION_MAPS,
    output:
        f"{RESULTS}/provenance.json",
    log:
        f"{RESULTS}/logs/write_provenance.log",
    benchmark:
        f"{RESULTS}/benchmarks/write_provenance.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        config=SETTINGS_SHOWN,
        files=INPUT_FILES,
        root=DATA_ROOT,
        code=code_of("write_provenance"),
    script:
        "../scripts/write_provenance.py"


rule draw_people:
    """A picture of everybody's maps, beside the page; nobody's where the target is a restricted field."""
    input:
        unpack(lambda wildcards: {method: map_folders(method) for method in METHODS}),
        mean_image=f"{RESULTS}/images/mean.nii.gz",
        brain_mask=f"{RESULTS}/images/brain_mask.nii.gz",
    output:
        directory(f"{RESULTS}/report/people"),
    log:
        f"{RESULTS}/logs/draw_people.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_people.tsv"
    conda:
        "../../envs/cpu.yaml"
    resources:
        # 0.1 s a map.
        runtime=lambda wildcards, attempt: attempt * (30 + PEOPLE * len(METHODS) // 300),
    params:
        methods=METHODS,
        code=code_of("draw_people"),
    script:
        "../scripts/draw_people.py"


rule write_page:
    """The report: one file that opens anywhere, without a network."""
    input:
        tables=TABLES,
        index=f"{RESULTS}/images/index.tsv",
        excluded=f"{RESULTS}/images/excluded.tsv",
        provenance=f"{RESULTS}/provenance.json",
        volumes=VIEWED,
        people=f"{RESULTS}/report/people" if PEOPLE_SHOWN else [],
        pictures=[f"{RESULTS}/figures/montage.png"]
        + [f"{RESULTS}/figures/{chart}.svg" for chart, wanted in CHARTS.items() if wanted]
        + expand(f"{RESULTS}/figures/visualisation_fold-{{fold}}.png", fold=VISUALISED)
        + expand(f"{RESULTS}/figures/maps/{{method}}_{{group}}.png", method=METHODS, group=GROUPS)
        + expand(f"{RESULTS}/figures/regions_{{atlas}}.svg", atlas=MAPPED_ATLASES)
        + expand(f"{RESULTS}/figures/intervals_{{atlas}}.svg", atlas=ATLASES if TESTED["region_intervals"] else [])
        + expand(f"{RESULTS}/figures/anatomy_regions_{{atlas}}.svg", atlas=ATLASES if TESTED["anatomy"] else []),
    output:
        page=f"{RESULTS}/report/index.html",
    log:
        f"{RESULTS}/logs/write_page.log",
    benchmark:
        f"{RESULTS}/benchmarks/write_page.tsv"
    conda:
        "../../envs/cpu.yaml"
    params:
        config=SETTINGS_SHOWN,
        differences={method: difference_of(method) for method in METHODS},
        methods=METHODS,
        groups=GROUPS,
        atlases=MAPPED_ATLASES,
        statistic=STATISTIC,
        citation=read_citation(HOME / "CITATION.cff"),
        # The page's words and looks lie outside the library.
        # NiiVue bears its version in its name, which the library names.
        template=file_hash(*sorted(HOME.glob("workflow/report/page.*"))),
        code=code_of("write_page"),
    script:
        "../scripts/write_page.py"
