"""The people who come nearest to what was synthesised, and where in their brain."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from torch import Tensor, nn

from voxplain.features.cohort import UNIT
from voxplain.features.objectives import Objective, Probe, ReceptiveField

PLACE = ["x_mm", "y_mm", "z_mm", "x_low_mm", "x_high_mm", "y_low_mm", "y_high_mm", "z_low_mm", "z_high_mm"]


def nearest_people(
    network: nn.Module, objectives: Sequence[Objective], cohort: pd.DataFrame, image: Tensor, affine: np.ndarray,
    count: int = 3,
) -> pd.DataFrame:  # fmt: skip
    """Name the people who excite an objective most, and the region that does it.

    Parameters
    ----------
    network : nn.Module
    objectives : sequence of Objective
    cohort : DataFrame
        From `voxplain.features.cohort.cohort_values`.
    image : Tensor [1, 1, D, H, W]
        Any image of the network's input shape.
    affine : ndarray [4, 4]
        Voxels of the images to mm.
    count : int
        People per objective; 0 gives a table without rows.

    Returns
    -------
    DataFrame
        ``objective, rank`` (from 1), ``row`` (of the stack), ``value``; ``x_mm, y_mm, z_mm``, the centre of what the
        channel's most excited unit sees, and ``x_low_mm, x_high_mm, ...``, its outer edges within the volume (NaN for
        outputs, layers without places, and layers whose receptive field cannot be followed). Equal values stand in the
        order of the rows; an objective that was lowered has the smallest values first.
    """
    shape = tuple(image.shape[2:])
    fields: dict[object, ReceptiveField | None] = {None: None}
    rows = []
    for objective in objectives:
        if objective.layer not in fields:
            fields[objective.layer] = Probe.of(network, image, objective.layer).receptive_field(shape)
        field = fields[objective.layer]
        people = cohort[cohort["objective"] == objective.name].sort_values("row")
        people = people.iloc[np.argsort(-objective.sign * people["value"].to_numpy(), kind="stable")[:count]]
        for rank, person in enumerate(people.itertuples(), start=1):
            unit = np.array([getattr(person, name) for name in UNIT])
            known = field is not None and not np.isnan(unit).any()
            place = _region(unit, field, shape, affine) if known else [np.nan] * len(PLACE)
            rows.append([objective.name, rank, person.row, person.value, *place])
    return pd.DataFrame(rows, columns=["objective", "rank", "row", "value", *PLACE])


def _region(unit: np.ndarray, field: ReceptiveField, shape: Sequence[int], affine: np.ndarray) -> list[float]:
    """Return centre and edges (low, high of each axis) in mm of what a unit sees (if oblique: around it)."""
    centre = field.centre(unit)
    ends = [(part.start - 0.5, part.stop - 0.5) for part in field.box(unit, shape)]
    corners = np.array(np.meshgrid(*ends, indexing="ij")).reshape(3, -1)
    in_mm = affine[:3, :3] @ corners + affine[:3, 3:]
    edges = np.stack([in_mm.min(axis=1), in_mm.max(axis=1)], axis=1).ravel()
    return [*(affine[:3, :3] @ centre + affine[:3, 3]), *edges]
