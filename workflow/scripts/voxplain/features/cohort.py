"""What real people excite: the values that channels and outputs take in them, in one pass over the cohort."""

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import chain

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from voxplain.features.objectives import Objective, Probe, output_values
from voxplain.models.loading import Volumes

UNIT = ["unit_0", "unit_1", "unit_2"]
COLUMNS = ["row", "objective", "value", "per_norm", *UNIT]


def cohort_values(
    network: nn.Module,
    objectives: Sequence[Objective],
    stack: np.ndarray,
    rows: Sequence[int],
    *,
    output: str = "log_odds",
    where: str = "centre",
    start: np.ndarray | None = None,
    brain: np.ndarray | None = None,
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
        do is held against what the unit of the same channel does that a person excites most, wherever in the brain it
        lies: the fairest rival. Means are held against means.
    start : ndarray [D, H, W], optional
        What synthesised inputs begin with, the reference of the response per unit norm; default: 0.
    brain : ndarray of bool [D, H, W], optional
        A person's most excited unit is looked for among those whose receptive field has its centre here: a channel
        that tissue lowers is highest in the background, which is the same for everybody. All units count without a
        mask, where the receptive field cannot be followed, and where no unit has its centre in the brain.
    batch_size : int
        Does not change the result but for rounding.

    Returns
    -------
    DataFrame
        A row a person and objective, people in the order of `rows`: ``row``, ``objective`` (name), ``value``,
        ``per_norm``, and ``unit_0, unit_1, unit_2``, the unit of the channel's largest pre-activation (NaN for outputs
        and for layers without places: flat ones, and those of a single unit). ``per_norm`` is the response per unit
        norm, as in `voxplain.features.synthesised.Visualisation`, of that unit and what it sees, or of the value and
        the whole image; NaN where the image does not differ from the start and where a unit's receptive field is
        unknown.
    """
    if len(rows) == 0:
        raise ValueError("no rows to measure")
    device = next(network.parameters()).device
    volumes = Volumes(stack, rows, device, resident=False)
    begin = np.zeros(volumes.shape, np.float32) if start is None else np.asarray(start, dtype=np.float32)
    order = {objective.name: place for place, objective in enumerate(objectives)}
    signs = {objective.name: objective.sign for objective in objectives}
    outputs = [o for o in objectives if o.layer is None]
    channels = [o.channel for o in outputs]
    parts: list[pd.DataFrame] = []
    with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        image = torch.from_numpy(begin)[None, None].to(device)
        readers = [
            _Reader(network, layer, [o for o in objectives if o.layer == layer], image, brain, where)
            for layer in dict.fromkeys(o.layer for o in objectives if o.layer is not None)
        ]
        answer = output_values(network(image), channels, output) if outputs else None
        for first in range(0, len(volumes), batch_size):
            places = range(first, min(first + batch_size, len(volumes)))
            batch = volumes.batch(places)
            with ExitStack() as hooks:
                for reader in readers:
                    hooks.enter_context(reader.probe.listening(reader.receive))
                answers = network(batch)
            differences = batch[:, 0].cpu().numpy() - begin
            lengths = np.array([_norm(difference) for difference in differences])
            found = [reader.measured(differences, lengths) for reader in readers]
            if outputs:
                values = output_values(answers, channels, output)
                changes = (values - answer).double().cpu().numpy()
                values = values.double().cpu().numpy()
                nowhere = np.full((len(places), 3), np.nan)
                found.append({o.name: (values[:, i], changes[:, i], lengths, nowhere) for i, o in enumerate(outputs)})
            for name, (value, change, norm, units) in chain.from_iterable(f.items() for f in found):
                per_norm = np.divide(signs[name] * change, norm, out=np.full(len(norm), np.nan), where=norm > 0)
                table = pd.DataFrame(np.column_stack([value, per_norm, units]), columns=COLUMNS[2:])
                parts.append(table.assign(row=[int(rows[i]) for i in places], objective=name))
    people = {int(row): place for place, row in enumerate(rows)}
    table = pd.concat(parts, ignore_index=True)[COLUMNS]
    keys = table.assign(_row=table["row"].map(people), _objective=table["objective"].map(order))
    return table.loc[keys.sort_values(["_row", "_objective"], kind="stable").index].reset_index(drop=True)


class _Reader:
    """Reads the objectives of one layer in every pass."""

    def __init__(
        self, network: nn.Module, layer: str | int, objectives: Sequence[Objective], start: Tensor,
        brain: np.ndarray | None, where: str,
    ):  # fmt: skip
        self.probe, self.objectives = Probe.of(network, start, layer), objectives
        self.one_unit = self.probe.spatial and where == "centre"
        self.shape = tuple(start.shape[2:])
        self.field = self.probe.receptive_field(self.shape)
        self.grid = self.probe.layer.step.shape[2:]
        allowed = np.ones(int(np.prod(self.grid)), dtype=bool)
        if brain is not None and self.field is not None:
            inside = self.field.units_within(brain, self.grid).ravel()
            allowed = inside if inside.any() else allowed
        self.allowed = torch.from_numpy(np.flatnonzero(allowed)).to(start.device)
        at_start = self.probe.read(network, start)[0]
        self.at_start = at_start.reshape(len(at_start), -1)
        self.found: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

    def receive(self, values: Tensor) -> None:
        """Note values, their changes from the start, and units, as soon as the layer has its pre-activations."""
        for objective in self.objectives:
            units = values[:, objective.channel].reshape(len(values), -1)
            rest = self.at_start[objective.channel]
            value, place = units[:, self.allowed].max(dim=1)
            place = self.allowed[place]
            change = value - rest[place]
            if not self.one_unit:
                value = units.mean(dim=1)
                change = value - rest.mean()
            both = (numbers.double().cpu().numpy() for numbers in (value, change))
            self.found[objective.name] = (*both, place.cpu().numpy())

    def measured(self, differences: np.ndarray, lengths: np.ndarray) -> dict[str, tuple[np.ndarray, ...]]:
        """Return values, changes, norms of what is seen of the differences from the start, and units [n, 3]."""
        measured = {}
        for name, (value, change, place) in self.found.items():
            units = np.full((len(place), 3), np.nan)
            if self.probe.spatial:
                units = np.stack(np.unravel_index(place, self.grid), axis=1).astype(float)
            norms = lengths
            if self.one_unit:
                norms = np.full(len(place), np.nan)
                if self.field is not None:
                    boxes = [self.field.box(unit, self.shape) for unit in units]
                    norms = np.array([_norm(one[box]) for one, box in zip(differences, boxes, strict=True)])
            if self.at_start.shape[1] == 1:  # a single unit is no place
                units = np.full((len(place), 3), np.nan)
            measured[name] = value, change, norms, units
        return measured


def _norm(values: np.ndarray) -> float:
    return float(np.sqrt(np.square(values, dtype=np.float64).sum()))
