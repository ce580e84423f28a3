"""Settings of meaningful perturbations: corrected defaults, and what the paper's public code did."""

from dataclasses import dataclass

from voxplain.base.errors import refuse


@dataclass(frozen=True)
class PerturbationSettings:
    """Settings of `voxplain.attribution.perturbation.perturbation`.

    In brackets: the value that reproduces the public code of Kan et al. 2020, where it differs (`PAPER`).

    Attributes
    ----------
    replacement : {'blur', 'mean'}
        What stands where the mask is 0: the population's mean image, which takes away what is special about a person,
        or the blurred image, which takes away detail. [blur]
    kernel : {'gaussian', 'box'}
        Kernel that blurs image and mask. [box: a Gaussian of 10 voxels cut to 5 voxels is uniform]
    blur_sigma, mask_sigma : float
        Standard deviations of the Gaussians, voxels of the image.
    box_size : int
        Edge of the box, voxels (odd).
    borders : {'replicate', 'zero'}
        What lies beyond the faces for the blurs. [zero: the mask falls to 0.6 at the faces]
    mask_scale : int
        Image voxels per mask voxel: 58x70x58 voxels have a mask of 14x17x14.
    l1, tv : float
        Weights λ1 of the removed volume and λ2 of the total variation.
    beta : float
        Exponent β of the total variation.
    jitter : int
        Number of positions along each axis among which shifts are drawn, voxels; 1 = none.
    jitters : int
        Shifts drawn per step, all in one forward pass. One is enough, as the optimiser averages over steps: the maps
        localise as well as with three, for a third of the time. [10]
    paper_jitter : bool
        The image moves under a mask that stays, which blurs the map and shifts it by 2 voxels. [true]
    iterations : int
        Largest number of steps. [300]
    learning_rate : float
        Of Adam (0.9, 0.99). 0.1 takes 100 steps to where 0.2 is after 60; with 0.3 rounding moves masks more. [0.3]
    amsgrad : bool
        [true]
    lr_step : int or None
        Steps after which the learning rate is multiplied by `lr_gamma`; None = constant. [30]
    lr_gamma : float
    ramp : int
        Steps over which the regularisers grow from 0 to their weights. [60]
    confidence : float or None
        Classes: while a mask is optimised, the logits of a person are divided by a constant that brings the explained
        class's probability at the image itself down to this; None = as they are. [None]
    hinge : float
        Probability below which nothing is gained. [0.05]
    initial : float
        Value of the mask at the start.
    best_after : int or None
        Keep the mask of the lowest objective after this step instead of the last one. [50]
    tolerance : float or None
        A person is done when the objective, averaged over `patience` steps, falls by less than this from one such
        window to the next; None = never. [None]
    patience : int
        Steps in a window. The objective varies with the shifts that a step draws: windows of 5 steps end where that
        noise says so, with an objective that is 15 % above where it would get.
    output_sd : float
        Regression: standard deviation of the training people's target in units of the network's output; 1 for networks
        of `voxplain.models`, which learn standardised targets.
    """

    replacement: str = "mean"
    kernel: str = "gaussian"
    blur_sigma: float = 3.0
    mask_sigma: float = 1.0
    box_size: int = 5
    borders: str = "replicate"
    mask_scale: int = 4
    l1: float = 3.0
    tv: float = 1.0
    beta: float = 7.0
    jitter: int = 5
    jitters: int = 1
    paper_jitter: bool = False
    iterations: int = 60
    learning_rate: float = 0.2
    amsgrad: bool = False
    lr_step: int | None = None
    lr_gamma: float = 0.1
    ramp: int = 0
    confidence: float | None = 0.9
    hinge: float = 0.0
    initial: float = 1.0
    best_after: int | None = None
    tolerance: float | None = 0.01
    patience: int = 10
    output_sd: float = 1.0

    def __post_init__(self):
        problems = [
            f"{name}: {getattr(self, name)!r} is not one of {', '.join(words)}"
            for name, words in (
                ("replacement", ("blur", "mean")),
                ("kernel", ("gaussian", "box")),
                ("borders", ("replicate", "zero")),
            )
            if getattr(self, name) not in words
        ]
        problems += [
            f"{name}: {getattr(self, name)!r} must be at least {least}"
            for name, least in _LEAST.items()
            if getattr(self, name) is not None and not getattr(self, name) >= least
        ]
        problems += [
            f"{name}: {getattr(self, name)!r} must be above 0"
            for name in ("learning_rate", "output_sd", "beta")
            if not getattr(self, name) > 0
        ]
        if self.box_size % 2 == 0:
            problems.append(f"box_size: {self.box_size!r} must be odd")
        if not 0 <= self.initial <= 1:
            problems.append(f"initial: {self.initial!r} must lie in 0 ... 1")
        if self.confidence is not None and not 0.5 <= self.confidence < 1:
            problems.append(f"confidence: {self.confidence!r} must be at least 0.5 and less than 1")
        if problems:
            refuse("settings of perturbation that cannot work", problems)


_LEAST = {
    "blur_sigma": 0, "mask_sigma": 0, "box_size": 1, "mask_scale": 1, "l1": 0, "tv": 0, "jitter": 1, "jitters": 1,
    "iterations": 1, "lr_step": 1, "lr_gamma": 0, "ramp": 0, "hinge": 0, "best_after": 0, "patience": 1,
}  # fmt: skip

PAPER = PerturbationSettings(
    replacement="blur", kernel="box", borders="zero", jitters=10, paper_jitter=True, iterations=300, learning_rate=0.3,
    amsgrad=True, lr_step=30, ramp=60, confidence=None, hinge=0.05, best_after=50, tolerance=None,
)  # fmt: skip
