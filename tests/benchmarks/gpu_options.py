"""Ways to train that were not chosen, side by side on one device: told, and built in nowhere.

A step is what the training does with a batch (forward, loss, backward, Adam), on images that are on the device.
"""

import multiprocessing
import time
from collections.abc import Callable

import measuring  # noqa: F401  (puts the library on the path)

SECONDS = 3.0


def measure(study, device, report, stages: set[str]) -> None:
    """Measure all options (stage ``options``) and several folds at once (``together``), as far as time allows."""
    long = device.type == "cuda"
    if "options" in stages:
        for name, options in variants(device).items():
            if report.time_for(2 * SECONDS if long else 0):
                told(report, "options", name, lambda options=options: step_rate(study, device, **options))
        if long:
            for name, graph in (("input gradient", False), ("input gradient, CUDA graph", True)):
                if report.time_for(2 * SECONDS):
                    told(report, "options", name, lambda graph=graph: input_gradient_rate(study, device, graph))
    if "together" in stages:
        for folds in (1, 2, 4) if long else (1, 2):
            if report.time_for(20 if long else 0):
                told(report, "together", f"{folds} folds at once", lambda folds=folds: together(study, device, folds))


def told(report, stage: str, name: str, work: Callable[[], float]) -> None:
    try:
        rate = work()
    except Exception as error:  # an option that this machine does not have must not end the run
        report.add(stage, **{name: f"failed: {type(error).__name__}: {str(error).splitlines()[0][:200]}"})
        print(f"{name:<44}failed: {type(error).__name__}", flush=True)
        return
    report.add(stage, **{name: rate})
    print(f"{name:<44}{rate:.4g} samples/s", flush=True)


def variants(device) -> dict[str, dict]:
    """Return the options of `step_rate` by name; the first is what the training does."""
    if device.type != "cuda":
        return {
            "as trained": {},
            "contiguous": {"channels_last": False},
            "float32": {"amp": "never"},
            "fused Adam": {"fused": True},
        }
    return {
        "as trained": {},
        "contiguous": {"channels_last": False},
        "any algorithm of cuDNN, the fastest": {"free": True},
        "any algorithm of cuDNN, contiguous": {"free": True, "channels_last": False},
        "fused Adam": {"fused": True},
        "torch.compile": {"compiled": True},
        "float32 with TF32": {"amp": "never", "tf32": True},
        "float32 without TF32": {"amp": "never", "tf32": False},
        "float32 without TF32, contiguous": {"amp": "never", "tf32": False, "channels_last": False},
    }


def stepper(study, device, *, amp="auto", channels_last=True, compiled=False, fused=False) -> Callable[[], None]:
    """Return what makes one step of a training on random images."""
    import torch
    from torch.nn import functional

    from voxplain.models.training import training_precision
    from voxplain.models.voxel_cnn import VoxelCNN

    torch.manual_seed(0)
    model = VoxelCNN(shape=study.shape, channels=study.channels).to(device).train()
    if not channels_last:
        model = model.to(memory_format=torch.contiguous_format)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-4, fused=fused or None)
    precision = training_precision(device, amp)
    scaler = torch.amp.GradScaler(device.type, enabled=precision is torch.float16)
    images = torch.randn(study.batch, 1, *study.shape, device=device)
    wanted = torch.arange(study.batch, device=device) % 2
    network = torch.compile(model) if compiled else model

    def step() -> None:
        optimiser.zero_grad()
        with torch.autocast(device.type, precision, enabled=precision is not torch.float32):
            outputs = network(images)
        loss = functional.cross_entropy(outputs.float(), wanted)
        scaler.scale(loss).backward()
        scaler.step(optimiser)
        scaler.update()

    return step


def step_rate(study, device, *, free=False, tf32=True, **options) -> float:
    """Return samples a second.

    Parameters
    ----------
    free : bool
        Whether cuDNN may take algorithms that add in no fixed order, and tries which is the fastest.
    tf32 : bool
        Whether convolutions in float32 may use shorter products.
    **options
        Of `stepper`.
    """
    import torch

    with torch.backends.cudnn.flags(enabled=True, benchmark=free, deterministic=not free, allow_tf32=tf32):
        return study.batch * rate(stepper(study, device, **options), device)


def input_gradient_rate(study, device, graph: bool) -> float:
    """Return gradients with respect to images a second, in float32: most of a step of a perturbation map."""
    import torch

    from voxplain.models.voxel_cnn import VoxelCNN

    torch.manual_seed(0)
    model = VoxelCNN(shape=study.shape, channels=study.channels).to(device).eval().requires_grad_(False)
    images = torch.randn(study.batch, 1, *study.shape, device=device).requires_grad_()

    def gradient() -> None:
        torch.autograd.grad(model(images).sum(), images)

    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        if not graph:
            return study.batch * rate(gradient, device)
        side = torch.cuda.Stream(device)
        side.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(side):  # what is captured must have run before, on another stream
            for _ in range(3):
                gradient()
        torch.cuda.current_stream(device).wait_stream(side)
        captured = torch.cuda.CUDAGraph()
        with torch.cuda.graph(captured):
            gradient()
        return study.batch * rate(captured.replay, device)


def rate(work: Callable[[], None], device, least: int = 3) -> float:
    """Return calls a second, over `SECONDS` on a GPU and `least` calls elsewhere."""
    import torch

    wait = (lambda: torch.cuda.synchronize(device)) if device.type == "cuda" else (lambda: None)
    for _ in range(least):
        work()
    wait()
    calls, start, end = 0, time.perf_counter(), time.perf_counter() + (SECONDS if device.type == "cuda" else 0)
    while calls < least or time.perf_counter() < end:
        work()
        calls += 1
        if calls % 10 == 0:
            wait()  # or the clock would only see how fast work is handed out
    wait()
    return calls / (time.perf_counter() - start)


def together(study, device, folds: int) -> float:
    """Return samples a second of several trainings at once on one device, each in a process of its own, in all."""
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(folds), context.Queue()
    processes = [context.Process(target=_train, args=(study, str(device), barrier, answers)) for _ in range(folds)]
    for process in processes:
        process.start()
    try:
        found = [answers.get(timeout=120) for _ in processes]
    finally:
        for process in processes:
            process.join(timeout=10)
            if process.is_alive():
                process.terminate()
    failed = [text for text in found if isinstance(text, str)]
    if failed:
        raise RuntimeError(failed[0])
    return sum(found)


def _train(study, device: str, barrier, answers) -> None:
    import torch

    torch.set_num_threads(1)
    chosen = torch.device(device)
    try:
        with torch.backends.cudnn.flags(enabled=True, deterministic=True):
            step = stepper(study, chosen)
            step()
            barrier.wait(timeout=100)
            answers.put(study.batch * rate(step, chosen))
    except Exception as error:
        barrier.abort()
        answers.put(str(error))
        raise
