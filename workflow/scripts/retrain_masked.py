"""Rule retrain_masked: networks of one fold trained anew on images that a method's map, or random ones, mask."""

from voxplain.attribution.choosing import choose_people
from voxplain.base.device import on_device
from voxplain.base.files import clear_folders, read_array, read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.base.seeds import seed_for
from voxplain.cohort.participants import read_private
from voxplain.evaluation.masked_tables import RANDOM
from voxplain.evaluation.retraining import random_maps, retrain
from voxplain.models.holdout import families_of
from voxplain.models.settings import TrainingSettings
from voxplain.population.maps import read_on_grid, walk_maps
from voxplain.population.weights import joint_map


def run(
    stack, index, folds, participants, brain, maps, output, *,
    method, fold, how, joined, explained, statistic, normalise, smoothing_fwhm_mm, shares, modes, draws, settings,
    grouped, seed, device, partial, code,
):  # fmt: skip
    everybody, inside = read_private(folds, settings.task), read_on_grid(brain) > 0
    chosen = choose_people(everybody, explained, seed)
    known = chosen[chosen["fold"] != fold].reset_index(drop=True)
    volumes = [
        joint_map(
            walk_maps(maps, known["participant_id"]), known, how, joined, statistic, normalise, smoothing_fwhm_mm,
            inside,
        )
    ]  # fmt: skip
    if method == RANDOM:
        volumes = random_maps(*volumes, inside, draws, seed, fold)
    people = read_table(index)[["participant_id"]].merge(everybody, how="left")
    families = families_of(read_table(participants), people["participant_id"]) if grouped else None
    state = f"{partial}_{code}"  # other code does not go on with what this one left
    with on_device(*device) as computing:
        table = retrain(
            read_array(stack), people, fold, volumes, inside, shares, modes, settings, computing,
            seed_for(seed, "fold", fold), state, families,
        )  # fmt: skip
    table.insert(0, "method", method)
    table.insert(1, "fold", fold)
    write_table(table, output)
    clear_folders(f"{partial}_*")


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        params, wildcards = snakemake.params, snakemake.wildcards
        named = ("stack", "index", "folds", "participants", "brain")
        run(
            **{name: snakemake.input[name] for name in named},
            maps=list(snakemake.input.maps),
            output=snakemake.output[0],
            method=wildcards.method,
            fold=int(wildcards.fold),
            how=params.how[0],
            joined=params.how[1],
            explained=params.people,
            statistic=params.statistic,
            normalise=params.normalise,
            smoothing_fwhm_mm=params.smoothing_fwhm_mm,
            shares=params.shares,
            modes=params.modes,
            draws=params.draws,
            settings=TrainingSettings(**params.model, **params.training, task=params.task, labels=params.labels),
            grouped=params.grouped,
            seed=params.seed,
            device=(params.device, params.torch_threads),
            partial=f"{wildcards.results}/partial/retrain_masked-{wildcards.method}-{wildcards.fold}",
            code=params.code,
        )
