"""How many threads numerical libraries may use in a job."""

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def numeric_threads(count: int) -> Iterator[None]:
    """Hold BLAS and OpenMP to a number of threads for the length of a block.

    A constant of the config rather than of the machine: sums differ in their last bits between thread counts, and jobs
    side by side make better use of the cores than threads.

    Parameters
    ----------
    count : int
    """
    with threadpool_limits(limits=count):
        yield
