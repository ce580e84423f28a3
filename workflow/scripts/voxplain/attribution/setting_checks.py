"""Checks of settings that several methods have; each says what is wrong, so that all of it fits into one error."""


def number_problems(settings: object, least: dict[str, int]) -> list[str]:
    """Say which settings are not whole numbers or are too small.

    Parameters
    ----------
    settings : object
        Has the settings as attributes.
    least : dict
        Name of a setting and the smallest value that it may have.
    """
    values = {name: getattr(settings, name) for name in least}
    return [
        f"{name}: {value!r} must be a whole number of at least {least[name]}"
        for name, value in values.items()
        if not isinstance(value, int) or value < least[name]
    ]


def memory_problems(memory_mb: float) -> list[str]:
    """Say what is wrong with a memory budget, MiB."""
    return [] if memory_mb > 0 else [f"memory_mb: {memory_mb!r} must be above 0"]
