"""What a finished run of the workflow spent on computing, on starting jobs, and on waiting.

    python tests/benchmarks/demo.py            runs the demo in a fresh folder and adds up its logs
    python tests/benchmarks/demo.py --results results/demo --wall-s 512    adds up a run that was timed otherwise

Every job's log ends with the CPU time of its own work and of its start (interpreter and imports). What cores × wall
time has beyond both is Snakemake itself, and cores that waited for a job or had none to do.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAST_LINE = re.compile(r"([\d.]+) s of CPU time after ([\d.]+) s of starting$")


def add_up(results: Path) -> dict[str, tuple[int, float, float]]:
    """Return the number of jobs, CPU seconds of their own work and of their start, by rule."""
    rules: dict[str, list[float]] = defaultdict(lambda: [0, 0.0, 0.0])
    for log in sorted((results / "logs").rglob("*.log")):
        found = LAST_LINE.search(log.read_text(encoding="utf-8").strip())
        if not found:
            raise SystemExit(f"{log}: the job has not ended well, or by an older version. Run the workflow again.")
        rule = rules[log.relative_to(results / "logs").parts[0].removesuffix(".log")]
        for place, value in enumerate((1, *map(float, found.groups()))):
            rule[place] += value
    return {name: (int(jobs), own, start) for name, (jobs, own, start) in rules.items()}


def run(folder: Path, cores: int, arguments: list[str]) -> tuple[float, float]:
    """Run the workflow in a folder; return wall time and the CPU time of Snakemake and all its jobs."""
    command = [Path(sys.executable).with_name("snakemake"), "--cores", str(cores), "--directory", folder, *arguments]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([str(part) for part in command], cwd=ROOT, check=True, stdout=sys.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, help="of a finished run; without it the demo is run")
    parser.add_argument("--wall-s", type=float, help="how long that run took")
    parser.add_argument("--cores", type=int, default=os.cpu_count())
    parser.add_argument("--output", type=Path, help="JSON file")
    parser.add_argument("snakemake", nargs="*", help="more for Snakemake, such as a config file, after --")
    given = parser.parse_args()
    facts: dict[str, object] = {"cores": given.cores}
    with tempfile.TemporaryDirectory() as name:
        wall, results = given.wall_s, given.results
        if results is None:
            wall, cpu = run(Path(name), given.cores, given.snakemake)
            facts["cpu_s"] = cpu
            (results,) = (Path(name) / "results").iterdir()
        rules = add_up(results)
    jobs, own, start = (sum(column) for column in zip(*rules.values(), strict=True))
    facts |= {"jobs": jobs, "own_s": own, "start_s": start, "wall_s": wall}
    facts["rules"] = {name: {"jobs": n, "own_s": own, "start_s": start} for name, (n, own, start) in rules.items()}
    print(f"{'rule':32}{'jobs':>5}{'own CPU s':>11}{'start s':>9}")
    for name, (n, one, other) in sorted(rules.items(), key=lambda item: -sum(item[1][1:])):
        print(f"{name:32}{n:5}{one:11.1f}{other:9.1f}")
    print(f"{'all':32}{jobs:5}{own:11.1f}{start:9.1f}")
    if wall:
        share = 1 - own / (wall * given.cores)
        facts["start_up_and_idle"] = share
        print(f"{wall:.0f} s on {given.cores} cores: {100 * share:.0f} % start-up, Snakemake and idle")
    if given.output:
        given.output.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
