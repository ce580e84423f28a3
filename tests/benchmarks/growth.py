"""How time and memory of every stage grow with the people.

    python tests/benchmarks/growth.py --people 100 400 1113
    python tests/benchmarks/growth.py --people 100 400 1113 --kept /somewhere     with what a run left there reused

The workflow runs on phantom people made straight on the common grid, with a small network for two epochs: what counts
here is not how long training takes, but how every stage's time and peak memory change with the people. Larger cohorts
are extrapolated along the line through the two largest runs, and marked as such.

Memory is what a process has made its own. Pages of the memory-mapped stack of images are not: the system keeps as many
of them as fit and drops them when somebody needs the room. Linux only.
"""

import argparse
import json
import re
import tempfile
import threading
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
from demo import ROOT, add_up, run
from measuring import machine

EXTRAPOLATED = (10_000, 45_000)
# What a job is started from.
SCRIPT = re.compile(r"\.snakemake/scripts/tmp\w+\.(\w+)\.py$")
# Stages that people are drawn for, as many however large the cohort, are left out but for one.
CONFIG = """
name: growth-{people}
torch_threads: 1
cohort:
  source: phantom
  target: Gender
  labels: [F, M]
  phantom: {{ people: {people}, grid: common }}
folds: {{ count: 4 }}
model: {{ arguments: {{ channels: 2 }} }}
training: {{ epochs: 2, batch_size: 45, milestones: [], checkpoint: last }}
baselines: {{ models: {{ svm: {{}}, xgboost: {{}}, knn: {{}}, logistic: {{}} }} }}
maps:
  methods: {{ gradcam: {{}}, guided_backprop: {{}} }}
evaluation:
  faithfulness: {{ people: 16 }}
"""


class OwnMemory(threading.Thread):
    """Looks every 50 ms what the jobs of a running Snakemake have made their own; the peaks of rules, MB, in a file.

    Rules that another run into the same folder has seen keep their peak, unless this one sees them again.
    """

    def __init__(self, path: Path):
        super().__init__(daemon=True)
        self.path, self.ended = path, threading.Event()
        self.peaks: dict[str, float] = defaultdict(float)

    def run(self) -> None:
        rules = rules_of_scripts()
        while not self.ended.wait(0.05):
            for job in psutil.Process().children(recursive=True):
                with suppress(psutil.Error, OSError):
                    script = next((name[1] for name in map(SCRIPT.search, job.cmdline()) if name), None)
                    for rule in rules.get(script, ()):
                        self.peaks[rule] = max(self.peaks[rule], own_mb(job.pid))

    def stop(self) -> dict[str, float]:
        """Return the peaks of all rules, MB."""
        self.ended.set()
        self.join()
        before = json.loads(self.path.read_text(encoding="utf-8")) if self.path.exists() else {}
        peaks = before | {rule: peak for rule, peak in self.peaks.items() if peak}
        self.path.write_text(json.dumps(peaks), encoding="utf-8")
        return peaks


def rules_of_scripts() -> dict[str, list[str]]:
    """Return the rules that a script serves."""
    rules = defaultdict(list)
    for file in sorted((ROOT / "workflow" / "rules").glob("*.smk")):
        for rule, text in re.findall(r"^rule (\w+):\n((?:    .*\n|\n)*)", file.read_text(encoding="utf-8"), re.M):
            for script in re.findall(r'"\.\./scripts/(\w+)\.py"', text):
                rules[script].append(rule)
    return rules


def own_mb(process: int) -> float:
    """Return the memory that a process shares with no file, MB."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    return sum(int(kilobytes) for kilobytes in re.findall(r"Rss(?:Anon|Shmem):\s+(\d+) kB", status)) * 1024 / 1e6


def measured(results: Path, peaks: dict[str, float]) -> pd.DataFrame:
    """Return ``jobs, cpu_s`` (own work and start of all jobs), ``peak_mb`` (of the largest job) of every rule."""
    rows = {name: {"jobs": jobs, "cpu_s": own + start} for name, (jobs, own, start) in add_up(results).items()}
    return pd.DataFrame.from_dict(rows, orient="index").assign(peak_mb=pd.Series(peaks))


def growth(tables: dict[int, pd.DataFrame]) -> pd.DataFrame:
    """Return time and memory of every rule at every size, the exponents between the two largest, and what follows."""
    sizes = sorted(tables)
    columns: dict[str, pd.Series] = {}
    for name in ("cpu_s", "peak_mb"):
        values = {size: tables[size][name] for size in sizes}
        columns |= {f"{name}_{size}": value for size, value in values.items()}
        if len(sizes) < 2:
            continue
        small, large = sizes[-2:]
        columns[f"{name}_exponent"] = np.log(values[large] / values[small]) / np.log(large / small)
        slope = (values[large] - values[small]).clip(lower=0) / (large - small)
        for size in EXTRAPOLATED:
            columns[f"{name}_{size}_extrapolated"] = values[large] + slope * (size - large)
    return pd.DataFrame(columns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, nargs="+", default=[100, 400, 1113])
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--kept", type=Path, help="folder of the runs, which are kept; default: a temporary one")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks_growth.json"))
    given = parser.parse_args()
    tables = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.kept or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for people in sorted(given.people):
            config = folder / f"{people}.yaml"
            config.write_text(CONFIG.format(people=people), encoding="utf-8")
            memory = OwnMemory(folder / f"{people}_memory.json")
            memory.start()
            try:
                wall, _ = run(folder, given.cores, ["--configfile", str(config)])
            finally:
                peaks = memory.stop()
            print(f"{people} people: {wall:.0f} s", flush=True)
            tables[people] = measured(folder / "results" / f"growth-{people}", peaks)
    table = growth(tables)
    grows = [name for name in table if name.startswith(("cpu_s_", "peak_mb_")) and not name.endswith("extrapolated")]
    last = f"cpu_s_{max(tables)}"
    print(table.sort_values(last, ascending=False)[grows].round(2).to_string(na_rep="-"))
    given.output.parent.mkdir(parents=True, exist_ok=True)
    rows = json.loads(table.to_json(orient="index"))
    given.output.write_text(json.dumps({"machine": machine(), "rules": rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
