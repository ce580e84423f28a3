"""What every job of the workflow does: write its log, and say plainly what the user did wrong."""

import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voxplain.base.errors import InputError


class _Tee:
    """Writes to a log file and to the terminal."""

    def __init__(self, log, terminal):
        self.log, self.terminal = log, terminal

    def write(self, text: str) -> int:
        self.log.write(text)
        self.log.flush()
        return self.terminal.write(text)

    def flush(self) -> None:
        self.terminal.flush()

    def fileno(self) -> int:
        return self.terminal.fileno()

    def isatty(self) -> bool:
        return False


@contextmanager
def job_log(path: str | os.PathLike) -> Iterator[None]:
    """Copy what a job prints into its log, with warnings and errors.

    An `InputError` ends the process with its message alone; any other exception also leaves its traceback in the log.
    The last line of a log that ends well says what was computed and what starting cost, in CPU time: Snakemake's
    benchmarks know their sum only.
    """
    started = time.process_time()
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    before = sys.stdout, sys.stderr
    with open(path, "w", encoding="utf-8") as log:
        sys.stdout, sys.stderr = _Tee(log, before[0]), _Tee(log, before[1])
        try:
            yield
            log.write(f"{time.process_time() - started:.2f} s of CPU time after {started:.2f} s of starting\n")
        except InputError as error:
            print(f"\n{error}\n", file=sys.stderr)
            sys.exit(1)
        except Exception:
            log.write(traceback.format_exc())
            raise
        finally:
            sys.stdout, sys.stderr = before
