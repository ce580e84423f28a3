"""What a run on a GPU has found, in a file that is written anew at every finding; and clocks."""

import contextlib
import io
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Report:
    """What has been found, written at every new finding; and the clock."""

    output: Path
    limit_s: float
    facts: dict = field(default_factory=dict)
    start: float = field(default_factory=time.monotonic)

    def add(self, stage: str, **found: object) -> None:
        self.facts[stage] = {**self.facts.get(stage, {}), **found}
        self.facts["seconds"] = round(time.monotonic() - self.start, 1)
        self.output.parent.mkdir(parents=True, exist_ok=True)
        self.output.write_text(json.dumps(self.facts, indent=2) + "\n", encoding="utf-8")

    def time_for(self, seconds: float) -> bool:
        """Tell whether work of about so many seconds ends before the limit."""
        return time.monotonic() - self.start + seconds < self.limit_s


@contextlib.contextmanager
def timed(device: object) -> Iterator[dict[str, float]]:
    """Give a dict that holds ``seconds`` and, of a GPU, the peak of its memory in MB after the block."""
    import torch

    found: dict[str, float] = {}
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    start = time.perf_counter()
    # The lines of progress of a hundred pieces would hide the results.
    with contextlib.redirect_stderr(io.StringIO()):
        yield found
    if cuda:
        torch.cuda.synchronize(device)
        found["peak_mb"] = torch.cuda.max_memory_allocated(device) / 2**20
    found["seconds"] = time.perf_counter() - start


def say(what: str, *facts: str) -> None:
    print(f"{what:<22}{'; '.join(facts)}", flush=True)


def amount(found: dict) -> str:
    text = f"{found['seconds']:.1f} s for {found['done']} of {found['of']}, {found['seconds_for_all']:.1f} s for all"
    wanted = found.get("wanted_s")
    if wanted is None:
        return text
    return f"{text} (wanted: {wanted:g} s, {'met' if found['seconds_for_all'] <= wanted else 'NOT met'})"
