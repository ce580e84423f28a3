# voxplain: T1 volumes -> images -> models -> maps -> population -> tables, figures -> report
# Front door: configuration and its validation, the stages in the order in which data flows, and the named targets.
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version, validate

min_version("9.0")
# Where this file lies, also when workflow/Snakefile includes it.
HOME = Path(str(workflow.current_basedir))

# The demo's settings hold only when the user names no file of their own; merged under it they would leak into it.
if not workflow.configfiles:

    configfile: str(HOME / "config" / "demo.yaml")


sys.path.insert(0, str(HOME / "workflow" / "scripts"))
from voxplain.config_check import check_plain, complaint

try:
    check_plain(config, workflow.configfiles)
    validate(config, "workflow/schemas/config.schema.yaml")
except Exception as error:
    schema = HOME / "workflow" / "schemas" / "config.schema.yaml"
    raise WorkflowError(complaint(error, config, schema)) from None


include: "workflow/rules/common.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/cohort.smk"
include: "workflow/rules/images.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/baselines.smk"
include: "workflow/rules/maps.smk"
include: "workflow/rules/population.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/reproducibility.smk"
include: "workflow/rules/inference.smk"
include: "workflow/rules/power.smk"
include: "workflow/rules/statistics.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/evaluation_figures.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/check.smk"
include: "workflow/rules/watching.smk"


onstart:
    check_images()
    watch_run()


onsuccess:
    close_run(True)


onerror:
    close_run(False)


rule report:
    """Everything: the page with all figures and tables (the default target)."""
    default_target: True
    input:
        f"{RESULTS}/report/index.html",
        POPULATION_MAPS,


rule images:
    """The cohort on the common grid, with its quality control."""
    input:
        f"{RESULTS}/inputs.tsv",
        f"{RESULTS}/tables/cohort.tsv",
        f"{RESULTS}/images/stack.npy",
        f"{RESULTS}/figures/montage.png",


rule models:
    """One network a fold, and how well they predict."""
    input:
        f"{RESULTS}/inputs.tsv",
        expand(f"{RESULTS}/models/fold-{{fold}}/weights.safetensors", fold=FOLDS),
        f"{RESULTS}/tables/accuracy.tsv",


rule baselines:
    """What other models reach on the same folds."""
    input:
        f"{RESULTS}/inputs.tsv",
        [path for paths in predictions_of_models(None).values() for path in paths],
        f"{RESULTS}/tables/accuracy_summary.tsv",


rule maps:
    """A map a person and method."""
    input:
        f"{RESULTS}/inputs.tsv",
        [folder for method in METHODS for folder in map_folders(method)],


rule tables:
    """Every number of the report."""
    input:
        f"{RESULTS}/inputs.tsv",
        TABLES,
