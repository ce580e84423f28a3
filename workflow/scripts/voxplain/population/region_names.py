"""One name for a region of the brain, however a tool spells it."""

import re

from voxplain.population.atlas_labels import BOTH, SIDES, hemisphere

# What stands before a name: HCP's and MUSE's columns, labels of FreeSurfer's cortical parcellations.
PREFIXES = {"fs", "ctx", "vol"}
# What was measured stands behind it: FreeSurfer's own words and their abbreviations in HCP's columns.
MEASURES = {
    "vol", "volume", "grayvol", "thck", "thickness", "thckstd", "thicknessstd", "area", "numvert", "meancurv",
    "gauscurv", "foldind", "curvind", "nvoxels", "mean", "std", "stddev", "min", "max", "range", "normmean",
    "normstddev", "normmin", "normmax", "normrange",
}  # fmt: skip
# Short forms of HCP's columns and FreeSurfer's aseg labels → words in full.
ALIASES = {
    "hippo": "hippocampus",
    "thalamusproper": "thalamus",
    "accumbensarea": "accumbens",
    "ventdc": "ventraldc",
    "latvent": "lateralventricle",
    "inflatvent": "inferiorlateralventricle",
    "inflatventricle": "inferiorlateralventricle",
    "3rdvent": "3rdventricle",
    "4thvent": "4thventricle",
    "5thvent": "5thventricle",
    "cerebellumcort": "cerebellumcortex",
    "cerebellumwm": "cerebellumwhitematter",
    "wmhypointens": "wmhypointensities",
    "nonwmhypointens": "nonwmhypointensities",
}


def region_key(name: object) -> tuple[str, str]:
    """Return what two names of one region share, whichever tool wrote them and whatever it measured there.

    Side, prefixes, measures (at the end of the name), punctuation and capitals go; known short forms are spelled in
    full. Nothing is guessed beyond that: names that are merely alike stay different.

    Parameters
    ----------
    name : str
        Of a region (``Left-Hippocampus``, ``Hippocampus_L``, ``ctx-lh-bankssts``, ``Demo GM 12 L``) or a feature
        (``FS_L_Hippo_Vol``, ``Vol_Hippocampus_L``, ``lh_bankssts_thickness``, ``FS_Demo_GM_12_L_Vol``).

    Returns
    -------
    side : {'left', 'right', 'both'}
        See `voxplain.population.atlas_labels.hemisphere`.
    words : str
        Small letters and digits, with a blank only between two numbers; empty for a name without any.
    """
    side = hemisphere(str(name))
    words = [word.lower() for word in _without_side(re.findall(r"[0-9A-Za-z]+", str(name)), side)]
    while len(words) > 1 and words[0] in PREFIXES:
        words = words[1:]
    while len(words) > 1 and words[-1] in MEASURES:
        words = words[:-1]
    # "GM 1 12" and "GM 11 2" are two regions.
    text = re.sub(r"(?<!\d) | (?!\d)", "", " ".join(words))
    return side, ALIASES.get(text, text)


def _without_side(words: list[str], side: str) -> list[str]:
    """Take out the words by which `hemisphere` told the side."""
    if side == BOTH:
        return words
    spelled = [len(word) > 1 and word.lower() in SIDES for word in words]
    ends = (0, len(words) - 1)
    letters = [word in ("L", "R") or (word in ("l", "r") and place in ends) for place, word in enumerate(words)]
    marks = spelled if any(spelled) else letters
    return [word for word, mark in zip(words, marks, strict=True) if not mark]
