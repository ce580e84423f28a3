"""The visualisations of one network: synthesised, held against the people that it has not seen, and written."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from filelock import FileLock
from torch import nn

from voxplain.base.errors import InputError
from voxplain.base.files import folder_written_whole, private_folder, read_table, write_image, write_table
from voxplain.features.cohort import cohort_values
from voxplain.features.comparison import compare_with_cohort, without_answers
from voxplain.features.nearest import nearest_people
from voxplain.features.objectives import channel_objectives, output_objectives, target_units
from voxplain.features.synthesised import Visualisation
from voxplain.features.visualisation import visualise
from voxplain.features.visualisation_settings import VisualisationSettings
from voxplain.imaging.grid import COMMON
from voxplain.models.folding import fold_batchnorm
from voxplain.models.resuming import fingerprint

MEASURED = 16  # people whose intensities give the unit of what is synthesised


def visualise_network(
    model: nn.Module,
    metadata: Mapping,
    stack: np.ndarray,
    people: pd.DataFrame,
    fold: int | str,
    settings: Mapping,
    *,
    layers: Sequence[str | int],
    channels: int | None,
    nearest: int,
    mean_image: np.ndarray,
    brain: np.ndarray,
    seed: int,
    hide_target: bool,
    device: torch.device | str,
    code: str,
    partial: str | Path,
    out_folder: str | Path,
) -> None:
    """Write the visualisations of one network, ``visualisations.tsv`` and ``nearest.tsv``.

    Finished visualisations, and the people's values, are kept in the folder ``{partial}_{key}``, the key being a hash
    of all that they depend on; a job that starts again goes on there. The folder is removed when `out_folder` is
    complete.

    Parameters
    ----------
    model : nn.Module
        On any device; left on `device`, otherwise unchanged.
    metadata : mapping
        Of the checkpoint.
    stack : ndarray [people, D, H, W]
        Images on the common grid, possibly memory-mapped.
    people : DataFrame
        ``participant_id, fold`` of every row of the stack.
    fold : int or str
        Whose people are compared with.
    settings : mapping
        Of `voxplain.features.visualisation_settings.VisualisationSettings`.
    layers : sequence of str or int
        Whose channels are visualised.
    channels : int or None
        Of each layer at most; None: all.
    nearest : int
        People named for each objective.
    mean_image, brain : ndarray [D, H, W]
        Mean of the population, and brain mask (bool).
    seed : int
    hide_target : bool
        Leave out what the network answers for single people; see `voxplain.features.comparison.without_answers`. What
        is kept on the way holds it: `partial` must then lie in a private folder.
    device : torch.device
    code : str
        Hash of the code.
    partial, out_folder : path-like

    Raises
    ------
    InputError
        When nobody belongs to the fold, and for what `voxplain.features.visualisation.visualise` refuses.
    """
    people = people.reset_index(drop=True)
    rows = np.flatnonzero(people["fold"] == fold)
    if not len(rows):
        found = ", ".join(map(str, sorted(people["fold"].dropna().unique()))) or "none"
        raise InputError(
            f"nobody belongs to fold {fold} (folds of the people: {found}), so there is nobody to compare "
            "visualisations with. Name a fold that private/folds.tsv has."
        )
    options = VisualisationSettings(**settings)
    weights = torch.cat([values.detach().cpu().double().flatten() for values in model.state_dict().values()])
    network = fold_batchnorm(model.to(device))
    image = torch.zeros(1, 1, *COMMON.shape, device=device)
    objectives = output_objectives(metadata["labels"] or [])
    objectives += channel_objectives(network, image, layers, channels)
    key = fingerprint(
        weights=weights.numpy(),
        objectives=[[o.name, o.layer, o.channel, o.sign] for o in objectives],
        settings=vars(options),
        seed=seed,
        people=people.loc[rows, "participant_id"].tolist(),
        images=np.array([stack[row].sum(dtype=np.float64) for row in rows]),
        mean=mean_image,
        brain=brain,
        software=[code, torch.__version__, torch.device(device).type],
    )
    state = private_folder(f"{partial}_{key}")
    with FileLock(state / "lock"):
        made = visualise(
            network, objectives, COMMON.shape, options, seed=seed, mean_image=mean_image, brain=brain,
            intensity_sd=float(np.std([stack[row][brain] for row in rows[:MEASURED]])), resume_folder=state,
        )  # fmt: skip
        kept = state / "cohort.tsv"
        if not kept.is_file():
            start = mean_image if options.start == "mean" else None
            measured = cohort_values(
                network, objectives, stack, rows, output=options.output, where=options.where, start=start, brain=brain
            )
            write_table(measured, kept)
        # Read back also when just written, so that an interrupted run gives the same bytes.
        cohort = read_table(kept)
        reached, per_norm = _in_target_units(made, cohort, metadata)
        compared = compare_with_cohort(objectives, reached, per_norm, cohort)
        closest = nearest_people(network, objectives, cohort, image, COMMON.affine, nearest)
        if hide_target:
            compared, closest = without_answers(compared, closest, cohort)
        closest.insert(2, "participant_id", [people["participant_id"][row] for row in closest["row"]])
        _write(made, compared, closest.drop(columns="row"), options, Path(out_folder))
        shutil.rmtree(state, ignore_errors=True)


def _in_target_units(
    made: Sequence[Visualisation], cohort: pd.DataFrame, metadata: Mapping
) -> tuple[list[float], list[float]]:
    """Return values and responses of what was synthesised in the target's unit; change the people's in place."""
    reached, per_norm = [], []
    for one in made:
        factor, offset = target_units(one.objective, metadata)
        reached.append(factor * one.reached + offset)
        per_norm.append(factor * one.per_norm)
        its = cohort["objective"] == one.objective.name
        cohort.loc[its, "value"] = factor * cohort.loc[its, "value"] + offset
        cohort.loc[its, "per_norm"] *= factor
    return reached, per_norm


def _write(
    made: Sequence[Visualisation], compared: pd.DataFrame, closest: pd.DataFrame, options: VisualisationSettings,
    out_folder: Path,
) -> None:  # fmt: skip
    with folder_written_whole(out_folder) as folder:
        write_table(compared, folder / "visualisations.tsv")
        write_table(closest, folder / "nearest.tsv")
        for one in made:
            write_image(one.image, COMMON.affine, folder / f"{one.objective.name}_input.nii.gz")
            if options.start == "mean":
                write_image(one.change, COMMON.affine, folder / f"{one.objective.name}_change.nii.gz")
