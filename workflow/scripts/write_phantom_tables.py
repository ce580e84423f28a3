"""Rule write_phantom_tables: measures of all batches in, CSV files with HCP's columns out."""

from pathlib import Path

import pandas as pd

from voxplain.base.files import private_folder, written_whole
from voxplain.base.jobs import job_log
from voxplain.cohort.phantom.csv_tables import freesurfer_csv, restricted_csv, unrestricted_csv
from voxplain.cohort.phantom.settings import PhantomSettings


def run(measures, settings, unrestricted, freesurfer, restricted):
    table = pd.concat([pd.read_csv(path, sep="\t", dtype={"Subject": str}) for path in measures], ignore_index=True)
    private_folder(Path(restricted).parent)
    makers = {unrestricted: unrestricted_csv, freesurfer: freesurfer_csv, restricted: restricted_csv}
    for path, make in makers.items():
        with written_whole(path) as temporary:
            make(settings, table).to_csv(temporary, index=False)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            list(snakemake.input),
            PhantomSettings(seed=snakemake.params.seed, **snakemake.params.settings),
            snakemake.output.unrestricted,
            snakemake.output.freesurfer,
            snakemake.output.restricted,
        )
