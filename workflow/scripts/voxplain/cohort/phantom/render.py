"""Turn a person's coarse fields into a full-size volume, plane by plane and only where the brain is."""

from functools import lru_cache

import numpy as np
import torch
from torch.nn import functional

from voxplain.cohort.phantom.anatomy import anatomy
from voxplain.cohort.phantom.fields import FIELD, relative, sample
from voxplain.imaging.grid import HCP, Grid

# White matter is 0.87 in the template; this makes it about 870.
SCALE = 1000.0
WHITE = 0.87
# Half of the lowest intensity inside the template's brain.
_BRAIN = 0.1
_SLAB_VOXELS = 2_000_000


def render(
    places: torch.Tensor,
    brightness: torch.Tensor,
    grid: Grid,
    noise: float,
    seed: int,
    whole_numbers: bool,
) -> np.ndarray:
    """Sample the template once at full size, shade it, add Rician noise and cut the background off.

    Parameters
    ----------
    places : Tensor [3, z, y, x]
        On `FIELD`: where in the template each voxel comes from, in mm.
    brightness : Tensor [1, z, y, x]
        On `FIELD`: factor of the intensity.
    grid : Grid
        Of the result; its outer edges are those of `FIELD`.
    noise : float
        Standard deviation at 0.7 mm as a share of white matter; larger voxels average it.
    seed : int
        Of the noise.
    whole_numbers : bool
        int16 instead of float32.

    Returns
    -------
    ndarray [x, y, z]
        0 outside the brain, at least 1 inside.
    """
    template = _template(float(grid.voxel_size().min()))
    brain_grid = anatomy().grid
    sd = noise * WHITE * SCALE * float(np.prod(HCP.voxel_size()) / np.prod(grid.voxel_size())) ** 0.5
    fields = torch.cat([relative(places, brain_grid), SCALE * brightness])
    (z0, z1), (y0, y1), (x0, x1) = _bounds(places, grid)
    depth, height, width = grid.shape[::-1]
    # Planes are made full-size on FIELD's own z positions first; between two of them all is linear.
    planes = functional.interpolate(
        fields[None], size=(FIELD.shape[2], height, width), mode="trilinear", align_corners=False
    )[0, :, :, y0:y1, x0:x1].contiguous()
    random = torch.Generator().manual_seed(seed)
    volume = np.zeros((depth, height, width), dtype=np.int16 if whole_numbers else np.float32)
    step = max(1, _SLAB_VOXELS // ((y1 - y0) * (x1 - x0)))
    for start in range(z0, z1, step):
        stop = min(start + step, z1)
        slab = _between(planes, start, stop, depth)
        values = functional.grid_sample(
            template, slab[:3].permute(1, 2, 3, 0)[None], padding_mode="zeros", align_corners=True
        )[0, 0]
        brain = values > _BRAIN
        values = values * slab[3]
        if sd > 0:
            real, imaginary = torch.randn((2, *values.shape), generator=random) * sd
            values = torch.hypot(values + real, imaginary)
        values = values.clamp_(1, 32767) * brain
        values = values.round_().to(torch.int16) if whole_numbers else values
        volume[start:stop, y0:y1, x0:x1] = values.numpy()
    return volume.T


@lru_cache(maxsize=2)
def _template(voxel_mm: float) -> torch.Tensor:
    """Return the T1 template [1, 1, z, y, x], smoothed as far as voxels larger than its own ask for."""
    from scipy.ndimage import gaussian_filter

    brain = anatomy()
    sigma = max(0.0, (voxel_mm / float(HCP.voxel_size()[0]) - 1) / 2 * float(HCP.voxel_size()[0]))
    t1 = brain.t1[0].numpy()
    return torch.from_numpy(gaussian_filter(t1, sigma) if sigma > 0 else t1)[None, None]


def _between(planes: torch.Tensor, start: int, stop: int, depth: int) -> torch.Tensor:
    """Interpolate `planes` [channels, z, y, x] at the positions start..stop - 1 of `depth` edge-aligned ones."""
    coarse = planes.shape[1]
    place = ((torch.arange(start, stop) + 0.5) * (coarse / depth) - 0.5).clamp(0, coarse - 1)
    below = place.long().clamp(max=coarse - 2)
    weight = (place - below).view(1, -1, 1, 1).float()
    return torch.lerp(planes[:, below], planes[:, below + 1], weight)


def _bounds(places: torch.Tensor, grid: Grid) -> list[tuple[int, int]]:
    """Return the first and one after the last voxel along z, y, x that may hold brain."""
    brain = anatomy()
    inside = sample(brain.t1, brain.grid, places, outside="zeros")[0] > 0
    bounds = []
    for axis, voxels in enumerate(grid.shape[::-1]):
        others = tuple(i for i in range(3) if i != axis)
        where = inside.sum(dim=others).nonzero()
        factor = voxels / inside.shape[axis]
        low, high = int(where.min()) - 1, int(where.max()) + 2
        bounds.append((max(0, int(low * factor)), min(voxels, int(np.ceil(high * factor)))))
    return bounds
