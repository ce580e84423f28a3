"""Which cells the benchmark on phantoms has, known before anything is computed."""

from collections.abc import Mapping

from voxplain.cohort.phantom.settings import NOTHING_PLANTED

DEFAULT = {"effects": [0.5, 1], "seeds": 3, "people": 128}
FULL = {"effects": [0.25, 0.5, 0.75, 1, 1.5], "seeds": 10, "people": 256}


def sizes_of_benchmark(settings: Mapping[str, object]) -> dict[str, object]:
    """Return ``effects``, ``seeds`` and ``people``: as the config has them, otherwise by its ``full``.

    Parameters
    ----------
    settings : mapping
        ``phantom_benchmark`` of the config.
    """
    usual = FULL if settings["full"] else DEFAULT
    return {name: value if settings[name] is None else settings[name] for name, value in usual.items()}


def cells_of_benchmark(settings: Mapping[str, object]) -> list[str]:
    """Name the cells, a design, an effect and a seed each; designs that plant nothing have the effect 0 alone.

    Parameters
    ----------
    settings : mapping
        ``phantom_benchmark`` of the config.

    Returns
    -------
    list of str
        ``{design}_effect-{effect}_seed-{seed}``; all cells of the first seed come first.
    """
    sizes = sizes_of_benchmark(settings)
    return [
        f"{design}_effect-{effect}_seed-{seed}"
        for seed in range(1, sizes["seeds"] + 1)
        for design in settings["designs"]
        for effect in ([0] if design in NOTHING_PLANTED else sizes["effects"])
    ]
