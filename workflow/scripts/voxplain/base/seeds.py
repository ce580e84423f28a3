"""Random streams that do not depend on how the work is cut."""

import hashlib

import numpy as np


def seed_for(seed: int, *words: object) -> int:
    """Return a 63-bit seed derived from the config's seed and any words (purpose, participant id, fold ...).

    The same words give the same seed on every machine and in every order of work.
    """
    text = "\x1f".join([str(seed), *(str(word) for word in words)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def stream(seed: int, *words: object) -> np.random.Generator:
    """Return NumPy's random generator for one purpose and one person; see `seed_for`."""
    return np.random.default_rng(seed_for(seed, *words))
