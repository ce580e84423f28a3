"""What every job of the workflow does: write its log, and say plainly what went wrong."""

import gc
import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn, TextIO

from voxplain.base.errors import InputError
from voxplain.base.orphans import end_with_snakemake
from voxplain.base.plain_words import in_plain_words


class _Tee:
    """Writes to a log file and to the terminal."""

    def __init__(self, log, terminal):
        self.log, self.terminal = log, terminal

    def write(self, text: str) -> int:
        with suppress(OSError):  # a disk that is full must still let the terminal hear of it
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

    An `InputError`, a full disk and other things that a user can mend end the process with their message alone. The
    traceback of the machine's errors lies beside the log (``.log.traceback``), because Snakemake shows the logs of
    failed jobs on the terminal; that of any other exception is in the log. The last line of a log that ends well says
    what was computed and what starting cost, in CPU time: Snakemake's benchmarks know their sum only.

    A job that Snakemake started ends when Snakemake does: see `voxplain.base.orphans`.
    """
    started = time.process_time()
    before = sys.stdout, sys.stderr
    log = _opened(Path(path))
    if Path(sys.argv[0]).parts[-3:-1] == (".snakemake", "scripts"):  # where Snakemake keeps the scripts that it starts
        end_with_snakemake(path)
    try:
        sys.stdout, sys.stderr = _Tee(log, before[0]), _Tee(log, before[1])
        try:
            yield
            _note(log, f"{time.process_time() - started:.2f} s of CPU time after {started:.2f} s of starting\n")
            gc.freeze()  # all is freed with the process: searching it for what can be freed takes 0.3 s with torch
        except InputError as error:
            _give_up(str(error))
        except Exception as error:
            message = in_plain_words(error)
            if message is None:
                _note(log, traceback.format_exc())
                raise
            with suppress(OSError):
                Path(f"{path}.traceback").write_text(traceback.format_exc(), encoding="utf-8")
            _give_up(message)
    finally:
        sys.stdout, sys.stderr = before
        with suppress(OSError):
            log.close()


def _opened(path: Path) -> TextIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Path(f"{path}.traceback").unlink(missing_ok=True)  # of an earlier attempt
        return open(path, "w", encoding="utf-8")
    except OSError as error:
        message = in_plain_words(error)
        if message is None:
            raise
        _give_up(f"The log cannot be written. {message}")


def _note(log: TextIO, text: str) -> None:
    """Write into the log alone; on a full disk not even that."""
    with suppress(OSError):
        log.write(text)
        log.flush()


def _give_up(message: str) -> NoReturn:
    print(f"\n{message}\n", file=sys.stderr)
    sys.exit(1)
