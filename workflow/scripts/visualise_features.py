"""Rule visualise_features: the network of one fold in; inputs made for its outputs and channels out, with rivals."""

import numpy as np
import torch

from voxplain.base.device import on_device
from voxplain.base.errors import InputError
from voxplain.base.files import folder_written_whole, read_array, read_table, write_image, write_table
from voxplain.base.jobs import job_log
from voxplain.features.nearest import cohort_values, compare_with_cohort, nearest_people
from voxplain.features.objectives import channel_objectives, in_target_units, output_objectives
from voxplain.features.visualisation import visualise
from voxplain.features.visualisation_settings import VisualisationSettings
from voxplain.imaging.grid import COMMON
from voxplain.models.checkpoint import load_checkpoint
from voxplain.models.folding import fold_batchnorm
from voxplain.population.maps import read_on_grid

MEASURED = 16  # people whose intensities give the unit of what is synthesised


def run(
    weights, stack, index, mean, brain, folds, output, *, fold, settings, layers, channels, nearest, seed, hide_target,
    device,
):  # fmt: skip
    model, metadata = load_checkpoint(weights)
    volumes, inside = read_array(stack), read_on_grid(brain) > 0.5
    people = read_table(index)[["participant_id"]].merge(read_table(folds), how="left")
    tested = list(people.index[people["fold"] == fold])
    if not tested:
        raise InputError(f"{folds}: nobody belongs to fold {fold}, so there is nobody to compare visualisations with")
    options = VisualisationSettings(**settings)
    spread = float(np.std([volumes[row][inside] for row in tested[:MEASURED]]))
    with on_device(*device) as chosen:
        network = fold_batchnorm(model.to(chosen))
        image = torch.zeros(1, 1, *COMMON.shape, device=chosen)
        objectives = output_objectives(metadata["labels"] or [])
        objectives += channel_objectives(network, image, layers, channels)
        made = visualise(
            network, objectives, COMMON.shape, options, seed=seed, mean_image=read_on_grid(mean), brain=inside,
            intensity_sd=spread,
        )  # fmt: skip
        cohort = cohort_values(network, objectives, volumes, tested, output=options.output, where=options.where)
        closest = nearest_people(network, objectives, cohort, image, COMMON.affine, nearest)
    reached = np.array([one.reached for one in made])
    for place, objective in enumerate(objectives):
        reached[place] = in_target_units(reached[place], objective, metadata)
        for table in (cohort, closest):
            its = table["objective"] == objective.name
            table.loc[its, "value"] = in_target_units(table.loc[its, "value"], objective, metadata)
    compared = compare_with_cohort(objectives, reached, cohort)
    if hide_target:  # what the network answers for one person tells their target
        answers = [objective.name for objective in objectives if objective.layer is None]
        closest = closest[~closest["objective"].isin(answers)]
        compared.loc[compared["objective"].isin(answers), ["cohort_min", "cohort_max"]] = np.nan
    closest.insert(2, "participant_id", people["participant_id"].loc[closest["row"]].to_numpy())
    with folder_written_whole(output) as folder:
        write_table(compared, folder / "visualisations.tsv")
        write_table(closest.drop(columns="row"), folder / "nearest.tsv")
        for one in made:
            write_image(one.image, COMMON.affine, folder / f"{one.objective.name}_input.nii.gz")
            if options.start == "mean":
                write_image(one.change, COMMON.affine, folder / f"{one.objective.name}_change.nii.gz")


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        params, fold = snakemake.params, snakemake.wildcards.fold
        run(
            **dict(snakemake.input.items()),
            output=snakemake.output[0],
            fold=fold if fold == "external" else int(fold),
            settings=params.settings,
            layers=params.layers,
            channels=params.channels,
            nearest=params.nearest,
            seed=params.seed,
            hide_target=params.hide_target,
            device=(params.device, params.torch_threads),
        )
