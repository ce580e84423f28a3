"""Rule write_provenance: what a run was made from and with, and checksums of what came out; has input changed?"""

import json
import sys
from pathlib import Path

import pandas as pd

from voxplain.base.files import read_table, write_text
from voxplain.base.jobs import job_log
from voxplain.cohort.participants import read_private
from voxplain.reporting.input_files import changed_files, changed_volumes
from voxplain.reporting.provenance import change_warnings, describe_run


def run(config, files, results, root, inputs, participants, batches, weights, outputs, output):
    root = Path(root) if root else None
    recorded = read_table(inputs)
    # What was touched after the run had begun, or after its batch was done, may not be what the run has read.
    began = Path(inputs).stat().st_mtime
    parts = [read_table(batch).assign(since=min(began, Path(batch).stat().st_mtime)) for batch in batches]
    read = pd.concat(parts, ignore_index=True).sort_values("participant_id")
    volumes = None
    if root is not None:
        volumes = changed_volumes(read, read_private(participants, config["cohort"]["task"]), root)
    record = describe_run(
        config,
        root=root,
        inputs=recorded,
        changed=changed_files(recorded, {setting: Path(path) for setting, path in files.items()}),
        checksums=[text if isinstance(text, str) else None for text in read["checksum"]],
        volumes=volumes,
        weights=weights,
        outputs=[*weights, *outputs],
        results=results,
    )
    for warning in change_warnings(record["changed"]):
        print(f"Warning: {warning}", file=sys.stderr)
    write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", output)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            snakemake.params.config,
            snakemake.params.files,
            str(Path(snakemake.output[0]).parent),
            snakemake.params.root,
            snakemake.input.inputs,
            snakemake.input.participants,
            snakemake.input.batches,
            snakemake.input.weights,
            snakemake.input.outputs,
            snakemake.output[0],
        )
