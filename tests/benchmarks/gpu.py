"""A study of full size on one GPU: all folds trained, and the maps of everybody by all methods, against the clock.

    python tests/benchmarks/gpu.py --output results/benchmarks/gpu.json

Synthetic people are made in memory, straight on the common grid: smooth fields that differ between people, and a
planted difference between the classes. What a stage has found is written when it is found, so that a run that is
killed keeps it; --limit-s ends the run cleanly. `--small --device cpu` is a test of seconds.
"""

import argparse
import gc
import importlib
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import gpu_options
import measuring
from gpu_report import Report, say, timed
from gpu_study import SMALL, Study, make_people, map_people, train_folds

THREADS = 2
STAGES = ("machine", "training", "maps", "peers", "options", "together")
PEERS = ("training_speed", "perturbation_maps", "map_methods")
# With --small: enough of each method to see that it runs.
SMALL_SETTINGS = {
    "perturbation": {"iterations": 2},
    "smoothgrad": {"samples": 2},
    "integrated_gradients": {"steps": 2},
    "occlusion": {"window": 8, "stride": 8},
    "noise": {"depth": 1, "channels": 1, "epochs": 1},
}


def measure_machine(study: Study, device: object, report: Report) -> None:
    """Measure what the machine can do: matrix products in each precision, copies within and to the device."""
    import torch
    from training_speed import product_rate

    kinds = ["float32", *(["tf32"] if device.type == "cuda" else []), "bfloat16"]
    rates = {kind: product_rate(device, kind, study.edge) for kind in kinds}
    report.add("machine", **measuring.machine(), product_flops=rates)
    say("matrix products", ", ".join(f"{kind} {rate / 1e12:.3g} TFLOP/s" for kind, rate in rates.items()))
    if device.type == "cuda":
        volumes = torch.empty(256, *study.shape)
        on_device, pinned = volumes.to(device), volumes.pin_memory()
        copies = {
            "to_device_pinned": lambda: on_device.copy_(pinned, non_blocking=True),
            "to_device_pageable": lambda: on_device.copy_(volumes),
            "from_device": lambda: on_device.cpu(),
            "within_device": lambda: on_device.clone(),
        }
        speeds = {name: volumes.nbytes / _seconds(copy, device) for name, copy in copies.items()}
        memory = torch.cuda.get_device_properties(device).total_memory
        report.add("machine", copies_bytes_per_s=speeds, gpu_memory_mb=memory / 2**20)
        say("copies", ", ".join(f"{name} {speed / 1e9:.3g} GB/s" for name, speed in speeds.items()))


def _seconds(work: Callable[[], object], device: object, repetitions: int = 5) -> float:
    work()
    found = []
    for _ in range(repetitions):
        with timed(device) as one:
            work()
        found.append(one["seconds"])
    return min(found)


def ask_peers(small: bool, device: str, report: Report) -> None:
    """Run the other benchmarks with a peer on this device: how many times as fast as the peers."""
    for name in PEERS:
        if not report.time_for(0):
            return
        rows = importlib.import_module(name).rows(small=small, device=device)
        report.add("peers", **{name: [row.facts() for row in rows]})
        measuring.print_table(rows)


def arguments(words: list[str] | None) -> argparse.Namespace:
    from voxplain.attribution.registry import METHODS

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny images, few people: a test of seconds")
    parser.add_argument("--people", type=int)
    parser.add_argument("--folds", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--methods", nargs="*", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--limit-s", type=float, default=float("inf"), help="end cleanly before so many seconds")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/gpu.json"))
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    import torch

    given = arguments(words)
    if given.device == "cuda" and not torch.cuda.is_available():
        print("torch sees no GPU: nothing is measured (--device cpu runs without one).", file=sys.stderr)
        return 1
    changes = {name: getattr(given, name) for name in ("people", "folds", "epochs") if getattr(given, name)}
    study = Study(**{**asdict(SMALL if given.small else Study()), **changes})
    settings = SMALL_SETTINGS if given.small else {}
    # No lock is taken on the device: the contenders, in processes of their own, take it.
    torch.set_num_threads(1 if given.small else THREADS)
    device = torch.device(given.device, 0) if given.device == "cuda" else torch.device("cpu")
    report = Report(given.output, given.limit_s)
    report.add("study", **asdict(study), device=given.device)
    if "machine" in given.stages:
        measure_machine(study, device, report)
    if {"training", "maps"} & set(given.stages):
        with timed(device) as made:
            stack, people = make_people(study)
        report.add("study", images_s=made["seconds"])
        networks = train_folds(study, stack, people, device, report)
        if "maps" in given.stages:
            map_people(study, stack, people, networks, given.methods, settings, device, report)
        del stack, networks
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()  # the others are processes of their own
    if "options" in given.stages or "together" in given.stages:
        gpu_options.measure(study, device, report, set(given.stages))
    if "peers" in given.stages:
        ask_peers(given.small, given.device, report)
    print(f"{report.facts['seconds']:.0f} s in all; written to {given.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
