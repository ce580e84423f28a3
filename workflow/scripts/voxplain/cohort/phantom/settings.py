"""What can be chosen about the phantom."""

from dataclasses import dataclass, fields

from voxplain.base.errors import refuse

MOST_PEOPLE = 8000
# Where a person's image lies below the person's folder, by space, as in the HCP.
IMAGES = {
    "mni": "MNINonLinear/T1w_restore_brain.nii.gz",
    "acpc": "T1w/T1w_acpc_dc_restore_brain.nii.gz",
}
# Designs in which nothing is planted anywhere.
NOTHING_PLANTED = ("head_size", "none")
DESIGNS = ("mixed", "volume", "intensity", "both", "left", *NOTHING_PLANTED)
_CHOICES = {"design": DESIGNS, "space": ("mni", "acpc"), "grid": ("hcp", "common"), "dtype": ("int16", "float32")}
_RANGES = {
    "people": (1, MOST_PEOPLE),
    "seed": (0, 2**63 - 1),
    "effect": (0.0, 2.0),
    "volume_effect": (0.0, 1.5),
    "intensity_effect": (0.0, 1.0),
    "effect_spread": (0.0, 1.0),
    "family_size": (1, 6),
    "family_share": (0.0, 1.0),
    "warp_mm": (0.0, 3.0),
    "bias": (0.0, 0.5),
    "gain": (0.0, 0.5),
    "noise": (0.0, 0.5),
}


@dataclass(frozen=True)
class PhantomSettings:
    """Settings of the phantom cohort; the defaults are those of the demo.

    Attributes
    ----------
    people : int
        Number of people. The first n people of a larger cohort are those of a smaller one.
    seed : int
        Everything about a person follows from this and the person's id.
    space : {'mni', 'acpc'}
        ``mni`` writes spatially normalised brains (``MNINonLinear``), in which head size no longer shows; ``acpc``
        native-sized ones (``T1w``).
    grid : {'hcp', 'common'}
        The HCP's 0.7 mm grid, or the coarse grid of the networks for quick trials.
    dtype : {'int16', 'float32'}
        Type of the voxels in the files.
    design : {'mixed', 'volume', 'intensity', 'both', 'left', 'head_size', 'none'}
        What tells men from women. ``mixed``: five places, some of which change in volume, some in intensity and some
        in both. ``volume``, ``intensity``, ``both``: the same places, all of one kind. ``left``: five places of the
        left hemisphere, both kinds. ``head_size``: nothing but the size of the head, which shows in native-sized
        images only. ``none``: nothing at all; labels are drawn at random, and head size from one distribution.
    effect : float
        Scale of all planted effects; 0 plants none, as in the design ``head_size``.
    volume_effect : float
        Relative growth of the local volume at the centre of a planted volume change in class M; 0.5 is half as much
        again.
    intensity_effect : float
        Relative gain of the intensity at the centre of a planted intensity change in class M.
    effect_spread : float
        Standard deviation of a planted effect over people of either class, as a share of the effect.
    family_size : int
        Largest number of siblings in a family; 1 makes all people unrelated.
    family_share : float
        Share of the variance of anatomy and head size that siblings have in common.
    warp_mm : float
        Root mean square of the random deformation along each axis, in mm.
    bias : float
        Standard deviation of the logarithm of the smooth bias field.
    gain : float
        Standard deviation of the logarithm of a person's overall intensity.
    noise : float
        Standard deviation of the Rician noise at 0.7 mm, as a share of white matter's intensity.

    Raises
    ------
    InputError
        Naming every setting that is out of its range.
    """

    people: int = 128
    seed: int = 1
    design: str = "mixed"
    space: str = "mni"
    grid: str = "hcp"
    dtype: str = "int16"
    effect: float = 1.0
    volume_effect: float = 0.8
    intensity_effect: float = 0.3
    effect_spread: float = 0.25
    family_size: int = 3
    family_share: float = 0.5
    warp_mm: float = 1.5
    bias: float = 0.15
    gain: float = 0.1
    noise: float = 0.04

    def __post_init__(self):
        bad = []
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in _CHOICES:
                if value not in _CHOICES[field.name]:
                    bad.append(f"{field.name}: {value!r}, expected one of {', '.join(_CHOICES[field.name])}")
                continue
            low, high = _RANGES[field.name]
            kinds, kind = ((int,), "a whole number") if field.type in (int, "int") else ((int, float), "a number")
            if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
                bad.append(f"{field.name}: {value!r}, expected {kind} from {low} to {high}")
        if bad:
            refuse(f"phantom: {len(bad)} settings are out of range", bad)

    @property
    def planted_effect(self) -> float:
        """`effect`, and 0 in the designs that plant nothing."""
        return 0.0 if self.design in NOTHING_PLANTED else self.effect
