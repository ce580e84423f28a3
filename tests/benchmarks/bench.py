"""All benchmarks on this machine: our work beside a peer's and the machine's limit, in turns, as a table and JSON.

    python tests/benchmarks/bench.py                        all of them (about 20 minutes on two cores)
    python tests/benchmarks/bench.py reading planning       some of them
    python tests/benchmarks/bench.py --small                whether they run at all, in a minute or two
    python tests/benchmarks/bench.py --device cuda          those that can use a GPU, on one

Seconds are medians over repetitions that take turns. Ratios bear a noisy machine; nothing else should run all the same.
"""

import argparse
import importlib
import os
import time
from pathlib import Path

from measuring import Row, print_table, write_json

BENCHMARKS = ("reading", "training_speed", "perturbation_maps", "map_methods", "population_maps", "planning")
ON_A_GPU = ("training_speed", "perturbation_maps", "map_methods")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("benchmarks", nargs="*", help=f"of {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--small", action="store_true", help="tiny sizes, one repetition: figures mean nothing")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks.json"))
    given = parser.parse_args()
    names = given.benchmarks or (BENCHMARKS if given.device == "cpu" else ON_A_GPU)
    unknown = sorted(set(names) - set(BENCHMARKS))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    # Contenders hold the GPU at once, each in a process of its own.
    os.environ.setdefault("VOXPLAIN_JOBS_PER_GPU", "8")
    rows: list[Row] = []
    for name in names:
        start = time.perf_counter()
        rows += importlib.import_module(name).rows(small=given.small, device=given.device)
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
        write_json(rows, given.output, small=given.small, device=given.device)  # what is done is not lost
    print()
    print_table(rows)
    print(f"\nWritten to {given.output}")


if __name__ == "__main__":
    main()
