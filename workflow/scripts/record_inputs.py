"""Rule record_inputs: the files that the config names in, their checksums out, before anything else is done."""

from pathlib import Path

from voxplain.base.files import write_table
from voxplain.base.jobs import job_log
from voxplain.reporting.input_files import record_files


def run(files, root, output):
    named = {setting: Path(path) for setting, path in files.items()}
    write_table(record_files(named, Path(root) if root else None), output)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(snakemake.params.files, snakemake.params.root, snakemake.output[0])
