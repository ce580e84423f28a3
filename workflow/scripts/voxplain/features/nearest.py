"""What real people excite: the values that channels and outputs take in them, and where in the brain."""

from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from voxplain.features.objectives import Objective, Probe, output_values
from voxplain.models.loading import Volumes

COLUMNS = ["row", "objective", "value", "unit_0", "unit_1", "unit_2"]
NEAREST = [
    *("objective", "rank", "row", "value", "x_mm", "y_mm", "z_mm"),
    *("x_low_mm", "x_high_mm", "y_low_mm", "y_high_mm", "z_low_mm", "z_high_mm"),
]


def cohort_values(
    network: nn.Module,
    objectives: Sequence[Objective],
    stack: np.ndarray,
    rows: Sequence[int],
    *,
    output: str = "log_odds",
    where: str = "centre",
    batch_size: int = 8,
) -> pd.DataFrame:
    """Measure every objective in real people, in one pass over them.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode, frozen; its device is used.
    objectives : sequence of Objective
    stack : array [n, D, H, W]
    rows : sequence of int
        Rows of the stack.
    output, where : str
        See `voxplain.features.visualisation_settings.VisualisationSettings`. What one unit in the centre was made to
        do is held against what the unit of the same channel does that a person excites most, wherever it lies: the
        fairest rival. Means are held against means.
    batch_size : int
        Does not change the result but for rounding.

    Returns
    -------
    DataFrame
        ``row``, ``objective`` (name), ``value``, and ``unit_0, unit_1, unit_2``, the unit of the channel's largest
        pre-activation (NaN for outputs and flat layers); a row a person and objective, people in the order of `rows`.
    """
    if len(rows) == 0:
        raise ValueError("no rows to measure")
    device = next(network.parameters()).device
    volumes = Volumes(stack, rows, device, resident=False)
    layers = list(dict.fromkeys(o.layer for o in objectives if o.layer is not None))
    probes = {layer: Probe.of(network, volumes.batch([0]), layer) for layer in layers}
    outputs = [o for o in objectives if o.layer is None]
    parts: list[pd.DataFrame] = []
    with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        for start in range(0, len(volumes), batch_size):
            places = range(start, min(start + batch_size, len(volumes)))
            found: dict[str, np.ndarray] = {}
            with ExitStack() as hooks:
                for layer, probe in probes.items():
                    asked = [o for o in objectives if o.layer == layer]
                    hooks.enter_context(probe.listening(_receiver(found, asked, where)))
                answers = network(volumes.batch(places))
            if outputs:
                values = output_values(answers, [o.channel for o in outputs], output).double().cpu().numpy()
                nowhere = np.full((len(places), 3), np.nan)
                found |= {o.name: np.column_stack([values[:, i], nowhere]) for i, o in enumerate(outputs)}
            for objective in objectives:
                table = pd.DataFrame(found[objective.name], columns=COLUMNS[2:])
                parts.append(table.assign(row=[int(rows[i]) for i in places], objective=objective.name))
    order = {objective.name: place for place, objective in enumerate(objectives)}
    people = {int(row): place for place, row in enumerate(rows)}
    table = pd.concat(parts, ignore_index=True)[COLUMNS]
    keys = table.assign(_row=table["row"].map(people), _objective=table["objective"].map(order))
    return table.loc[keys.sort_values(["_row", "_objective"], kind="stable").index].reset_index(drop=True)


def _receiver(found: dict[str, np.ndarray], objectives: Sequence[Objective], where: str):
    """Return a function that notes values and places of channels as soon as a layer has them."""

    def receive(values: Tensor) -> None:
        for objective in objectives:
            channel = values[:, objective.channel]
            if channel.ndim == 1:
                place = np.full((len(channel), 3), np.nan)
                value = channel
            else:
                flat = channel.flatten(1)
                value, index = flat.max(dim=1)
                place = np.stack(np.unravel_index(index.cpu().numpy(), tuple(channel.shape[1:])), axis=1)
                if where == "everywhere":
                    value = flat.mean(dim=1)
            found[objective.name] = np.column_stack([value.double().cpu().numpy(), place])

    return receive


def compare_with_cohort(
    objectives: Sequence[Objective], reached: Sequence[float], cohort: pd.DataFrame
) -> pd.DataFrame:
    """Set what synthesised inputs reach against the people's values.

    Parameters
    ----------
    objectives : sequence of Objective
    reached : sequence of float
    cohort : DataFrame
        From `cohort_values`.

    Returns
    -------
    DataFrame
        ``objective, layer, channel, label, reached, cohort_min, cohort_median, cohort_max, percentile, people``: a row
        an objective. ``percentile`` is the share of the people, in percent, with a smaller value, those with the same
        counted half: 100 means that no person comes near what was synthesised, 0 the same for an objective that was
        lowered.
    """
    rows = []
    for objective, value in zip(objectives, reached, strict=True):
        people = cohort.loc[cohort["objective"] == objective.name, "value"].to_numpy()
        rows.append(
            {
                "objective": objective.name,
                "layer": None if objective.layer is None else str(objective.layer),
                "channel": objective.channel if objective.layer is not None else pd.NA,
                "label": objective.label or None,
                "reached": float(value),
                "cohort_min": people.min(),
                "cohort_median": np.median(people),
                "cohort_max": people.max(),
                "percentile": 100 * float(np.mean((people < value) + 0.5 * (people == value))),
                "people": len(people),
            }
        )
    return pd.DataFrame(rows).astype({"channel": "Int64"})


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
        From `cohort_values`.
    image : Tensor [1, 1, D, H, W]
        Any image of the network's input shape.
    affine : ndarray [4, 4]
        Voxels of the images to mm.
    count : int
        People per objective.

    Returns
    -------
    DataFrame
        ``objective, rank`` (from 1), ``row`` (of the stack), ``value``; ``x_mm, y_mm, z_mm``, the centre of what the
        channel's most excited unit sees, and ``x_low_mm, x_high_mm, ...``, its outer edges within the volume (NaN for
        outputs, flat layers, and layers whose receptive field cannot be followed). Equal values stand in the order of
        the rows; an objective that was lowered has the smallest values first.
    """
    parts = []
    probes: dict[object, Probe] = {}
    for objective in objectives:
        people = cohort[cohort["objective"] == objective.name].sort_values("row")
        people = people.iloc[np.argsort(-objective.sign * people["value"].to_numpy(), kind="stable")[:count]]
        table = pd.DataFrame(np.nan, index=range(len(people)), columns=NEAREST[4:])
        if objective.layer is not None and people["unit_0"].notna().all():
            if objective.layer not in probes:
                probes[objective.layer] = Probe.of(network, image, objective.layer)
            field = probes[objective.layer].receptive_field(image.shape[2:])
            if field is not None:
                units = people[["unit_0", "unit_1", "unit_2"]].to_numpy()
                table[NEAREST[4:]] = [_region(unit, field, image.shape[2:], affine) for unit in units]
        table["objective"], table["rank"] = objective.name, range(1, len(people) + 1)
        table["row"], table["value"] = people["row"].to_numpy(), people["value"].to_numpy()
        parts.append(table[NEAREST])
    return pd.concat(parts, ignore_index=True)


def _region(unit: np.ndarray, field: tuple[np.ndarray, ...], shape: Sequence[int], affine: np.ndarray) -> list[float]:
    """Return centre and edges (low, high of each axis) in mm of what a unit sees (if oblique: around it)."""
    stride, offset, seen = field
    centre = offset + stride * unit
    low = np.maximum(centre - seen / 2, -0.5)
    high = np.minimum(centre + seen / 2, np.array(shape) - 0.5)
    corners = np.array(np.meshgrid(*zip(low, high, strict=True), indexing="ij")).reshape(3, -1)
    in_mm = affine[:3, :3] @ corners + affine[:3, 3:]
    edges = np.stack([in_mm.min(axis=1), in_mm.max(axis=1)], axis=1).ravel()
    return [*(affine[:3, :3] @ centre + affine[:3, 3]), *edges]
