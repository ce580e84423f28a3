"""Rule visualise_features: the network of one fold in; inputs made for its outputs and channels out, with rivals."""

from voxplain.base.device import on_device
from voxplain.base.files import clear_folders, read_array, read_table
from voxplain.base.jobs import job_log
from voxplain.features.visualising import visualise_network
from voxplain.models.checkpoint import load_checkpoint
from voxplain.population.maps import read_on_grid


def run(weights, stack, index, mean, brain, folds, output, *, fold, settings, device, partial, **options):
    people = read_table(index)[["participant_id"]].merge(read_table(folds), how="left")
    with on_device(*device) as chosen:
        visualise_network(
            *load_checkpoint(weights), read_array(stack), people, fold, settings, mean_image=read_on_grid(mean),
            brain=read_on_grid(brain) > 0.5, device=chosen, partial=partial, out_folder=output, **options,
        )  # fmt: skip
    clear_folders(f"{partial}_*")  # of other settings, left by runs that did not end


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        params, fold, results = snakemake.params, snakemake.wildcards.fold, snakemake.wildcards.results
        private = "private/" if params.hide_target else ""  # what is kept on the way holds answers for people
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
            partial=f"{results}/{private}partial/visualise_features-{fold}",
            code=params.code,
        )
