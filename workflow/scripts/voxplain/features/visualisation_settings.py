"""Settings of feature visualisation: how an input is synthesised, and what keeps it from becoming noise."""

from dataclasses import dataclass

from voxplain.base.errors import refuse


@dataclass(frozen=True)
class VisualisationSettings:
    """Settings of `voxplain.features.visualisation.visualise`.

    The weights have the same meaning for every network and objective: the objective is divided by its gradient at the
    start (sum of absolute values), the penalties by the number of voxels that this gradient is spread over.

    Attributes
    ----------
    steps : int
        Of Adam.
    learning_rate : float
        Of Adam, in SD of the intensity.
    output : {'log_odds', 'logit'}
        What is raised for a class: its logit minus the logarithm of the summed exponentials of the others, for two
        classes the difference of the logits; or its logit alone, which may rise together with that of the others.
    where : {'centre', 'everywhere'}
        A channel's pre-activation in the middle of the volume, so that the input shows what one unit looks for; or its
        mean over the layer. The mean of a first convolution is the mean intensity times the sum of the kernel,
        whatever the kernel looks for.
    start : {'zero', 'mean'}
        The input is 0, or the population's mean image, plus what is synthesised; penalties are on the latter.
    start_noise : float
        SD of the noise that is synthesised at the start, SD of the intensity.
    within_brain : bool
        Nothing is synthesised outside the cohort's brain mask, where stripped images are always 0.
    parametrisation : {'voxel', 'fourier'}
        What Adam steps on: voxels, or the coefficients of a spectrum that falls with the frequency.
    fourier_decay : float
        Exponent by which that spectrum falls.
    l2 : float
        Weight of the mean square. A linear objective ends at a typical amplitude of 0.5 / l2 SD.
    tv : float
        Weight of the total variation: absolute differences of neighbours.
    blur : float
        SD of a Gaussian, voxels; 0 = none.
    blur_of : {'gradient', 'image'}
    jitter : int
        Largest random shift along each axis and step, voxels. For a unit in the centre at most half the distance
        between neighbouring units of its layer: a larger shift is the next unit's business.
    scale : float
        Largest random change of size: 0.1 = 0.9 to 1.1 times.
    rotation : float
        Largest random rotation about each axis, degrees.
    """

    steps: int = 128
    learning_rate: float = 0.05
    output: str = "log_odds"
    where: str = "centre"
    start: str = "zero"
    start_noise: float = 0.01
    within_brain: bool = True
    parametrisation: str = "voxel"
    fourier_decay: float = 1.0
    l2: float = 0.5
    tv: float = 0.0
    blur: float = 0.0
    blur_of: str = "gradient"
    jitter: int = 2
    scale: float = 0.05
    rotation: float = 5.0

    def __post_init__(self):
        problems = [
            f"{name}: {getattr(self, name)!r} is not one of {', '.join(words)}"
            for name, words in _WORDS.items()
            if getattr(self, name) not in words
        ]
        problems += [
            f"{name}: {getattr(self, name)!r} must be at least {least}"
            for name, least in _LEAST.items()
            if not getattr(self, name) >= least
        ]
        if not self.learning_rate > 0:
            problems.append(f"learning_rate: {self.learning_rate!r} must be above 0")
        if not 0 <= self.scale < 1:
            problems.append(f"scale: {self.scale!r} must be at least 0 and less than 1")
        if problems:
            refuse("settings of feature visualisation that cannot work", problems)


_WORDS = {
    "output": ("log_odds", "logit"),
    "where": ("centre", "everywhere"),
    "start": ("zero", "mean"),
    "parametrisation": ("voxel", "fourier"),
    "blur_of": ("gradient", "image"),
}
_LEAST = {
    "steps": 1, "start_noise": 0, "fourier_decay": 0, "l2": 0, "tv": 0, "blur": 0, "jitter": 0, "rotation": 0,
}  # fmt: skip
