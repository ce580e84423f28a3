"""Rule check: the config and what it names in, a table on the terminal out; the exit status says whether it is good."""

import os
import sys

from voxplain.base.jobs import job_log
from voxplain.running.check import check_run
from voxplain.running.estimate import by_stage
from voxplain.running.findings import STOP, WARNING, in_table, times_table


def run(config, classes, results, tables):
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    findings, parts = check_run(config, classes, results, tables, cores)
    states = [finding.state for finding in findings]
    pieces = [in_table(findings)]
    if parts:
        pieces.append("Rough times, from measured costs:\n" + times_table(by_stage(parts), cores))
    stops, warnings = states.count(STOP), states.count(WARNING)
    verdict = f"{stops} of these would stop the run" if stops else "Nothing here would stop the run"
    verdict += f"; {warnings} to think about." if warnings else "."
    return "\n\n".join([*pieces, verdict]), stops


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        text, stops = run(
            snakemake.params.config, snakemake.params.classes, snakemake.params.results, snakemake.params.tables
        )
        print(f"\n{text}\n", file=sys.__stdout__, flush=True)  # not into the log: Snakemake shows those of failed jobs
    sys.exit(1 if stops else 0)
