"""BatchNorm folded into the convolution before it: the same function with fewer layers, for explanation."""

import copy
import warnings

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.parametrize import is_parametrized

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def fold_batchnorm(model: nn.Module, example: torch.Tensor | None = None) -> nn.Module:
    """Return a frozen copy in evaluation mode whose BatchNorm layers are folded into the convolutions before them.

    In evaluation mode BatchNorm is the affine map y ↦ γ(y − μ)/√(σ² + ε) + β, so that a convolution (W, b) followed by
    it equals the convolution (Wγ/√(σ² + ε), (b − μ)γ/√(σ² + ε) + β). Folding saves a pass over the largest
    activations, and layer-wise relevance propagation needs it. A folded BatchNorm becomes `nn.Identity`, so that all
    modules keep their names. Only neighbours inside an `nn.Sequential` that are used nowhere else are folded.

    Parameters
    ----------
    model : nn.Module
        Left untouched.
    example : tensor [n, 1, D, H, W], optional
        Input on which both networks are compared. Default: seeded noise of ``model.shape``; without that either
        they are not compared.

    Returns
    -------
    nn.Module
        On the model's device; no parameter requires a gradient. When the folded network does not compute what the
        original does (a forward pass that taps the convolution itself), the copy stays unfolded and a warning says so.
    """
    plain = frozen_copy(model)
    folded = frozen_copy(model)
    if not fold_neighbours(folded):
        return plain
    difference, tolerance = largest_difference(plain, folded, example)
    if difference <= tolerance:
        return folded
    warnings.warn(
        f"Folding BatchNorm changed the network's output by {difference:.3g} (tolerated: {tolerance:.3g}); "
        "the network is used unfolded.",
        stacklevel=2,
    )
    return plain


def frozen_copy(model: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode whose parameters require no gradient."""
    return copy.deepcopy(model).eval().requires_grad_(False)


def fold_neighbours(model: nn.Module) -> int:
    """Fold BatchNorm of a frozen network in place, as `fold_batchnorm` says; return how many layers were folded."""
    uses, folded = uses_of(model), 0
    for parent in model.modules():
        # A subclass with a forward of its own may use its children in another order.
        if type(parent).forward is not nn.Sequential.forward:
            continue
        for place in range(len(parent) - 1):
            convolution, norm = parent[place], parent[place + 1]
            if not isinstance(convolution, CONVOLUTIONS) or not isinstance(norm, NORMS):
                continue
            if is_parametrized(convolution):  # whose weight is computed anew at every call
                continue
            # Without running statistics BatchNorm depends on the batch even in evaluation mode.
            if norm.running_mean is None or uses[id(convolution)] > 1 or uses[id(norm)] > 1:
                continue
            parent[place] = fuse_conv_bn_eval(convolution, norm).requires_grad_(False)
            parent[place + 1] = nn.Identity()
            folded += 1
    return folded


def uses_of(model: nn.Module) -> dict[int, int]:
    """Return in how many places of a network each module stands, by the module's id."""
    uses: dict[int, int] = {}
    for _, module in model.named_modules(remove_duplicate=False):
        uses[id(module)] = uses.get(id(module), 0) + 1
    return uses


def largest_difference(plain: nn.Module, folded: nn.Module, example: torch.Tensor | None) -> tuple[float, float]:
    """Return the largest difference between the outputs and the difference that rounding explains.

    Parameters
    ----------
    plain, folded : nn.Module
    example : tensor [n, 1, D, H, W] or None
        Input, of which the first image is passed. None: seeded noise of ``plain.shape``; without that either nothing
        is compared.
    """
    weights = next(plain.parameters())
    if example is None:
        shape = getattr(plain, "shape", None)
        if shape is None:
            return 0.0, 0.0
        example = torch.randn(1, 1, *shape, generator=torch.Generator().manual_seed(0))
    example = example.detach()[:1].to(weights)
    with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        before, after = plain(example), folded(example)
    return (before - after).abs().max().item(), 1e-4 * max(1.0, before.abs().max().item())
