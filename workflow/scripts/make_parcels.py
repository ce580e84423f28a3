"""Rule make_parcels: the demo parcels and their table."""

from pathlib import Path

from voxplain.base.jobs import job_log
from voxplain.cohort.phantom.parcels import make_parcels

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        make_parcels(Path(snakemake.output.image).parent)
