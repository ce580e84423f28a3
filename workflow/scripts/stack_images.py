"""Rule stack_images: batches on the common grid in, one array of the whole cohort out."""

from pathlib import Path

from voxplain.base.jobs import job_log
from voxplain.imaging.stacking import Batch, stack

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        parts = zip(snakemake.input.images, snakemake.input.quality, snakemake.input.brains, strict=True)
        stack([Batch(*part) for part in parts], Path(snakemake.output.stack).parent, snakemake.params.on_bad_image)
