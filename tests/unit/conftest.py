"""What all unit tests share."""

import sys

import pytest


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Let torch, where a test uses it, compute in one thread: on tiny volumes more are slower, and rounding differs."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
