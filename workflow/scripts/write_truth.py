"""Rule write_truth: where the phantom's groups differ, as an image and a table of parcels."""

from pathlib import Path

from voxplain.base.jobs import job_log
from voxplain.cohort.phantom.effects import write_truth
from voxplain.cohort.phantom.settings import PhantomSettings

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        settings = PhantomSettings(seed=snakemake.params.seed, **snakemake.params.settings)
        write_truth(settings, Path(snakemake.output.image).parent)
