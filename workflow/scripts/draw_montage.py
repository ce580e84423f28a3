"""Rule draw_montage: one picture of everybody, for a look before anything is believed."""

from voxplain.base.files import read_array, read_table
from voxplain.base.jobs import job_log
from voxplain.reporting.montage import draw_montage

if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        draw_montage(read_array(snakemake.input.stack), read_table(snakemake.input.index), snakemake.output[0])
