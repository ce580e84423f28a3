"""Rule train_noise: the network of one fold in; a noise model, from the people that it trained on, and its test out."""

from voxplain.attribution.noise_model import NoiseSettings, save_noise_model
from voxplain.attribution.noise_training import train_noise
from voxplain.attribution.noise_utility import noise_utility
from voxplain.base.device import on_device
from voxplain.base.files import clear_folders, read_array, read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.base.seeds import seed_for
from voxplain.models.checkpoint import load_checkpoint
from voxplain.population.maps import read_on_grid


def run(
    weights, stack, index, folds, brain, noise_model, history, utility, *, fold, settings, shares, seed, device,
    partial, code,
):  # fmt: skip
    model, metadata = load_checkpoint(weights)
    volumes, people = read_array(stack), read_table(index)[["participant_id"]].merge(read_table(folds), how="left")
    tested = people["fold"] == fold
    # A network from elsewhere has no fold of its own: nobody is known to be new to it.
    training = people.index[~tested] if (~tested).any() else people.index
    state = f"{partial}_{code}"  # other code does not go on with an epoch of this one
    with on_device(*device) as chosen:
        trained, rows = train_noise(model, volumes, training, metadata, settings, chosen, seed, state)
        others = people[tested]
        measured = noise_utility(
            model, trained, volumes, list(others.index), list(others["participant_id"]), list(others["target"]),
            metadata, chosen, seed, read_on_grid(brain) > 0, shares,
        )  # fmt: skip
    measured.insert(0, "fold", fold)
    write_table(rows, history)
    write_table(measured, utility)
    save_noise_model(trained, noise_model)
    clear_folders(f"{partial}_*")


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        params, fold = snakemake.params, snakemake.wildcards.fold
        run(
            **dict(snakemake.input.items()),
            **dict(snakemake.output.items()),
            fold=fold if fold == "external" else int(fold),
            settings=NoiseSettings(**params.settings),
            shares=params.shares,
            seed=seed_for(params.seed, "noise", fold),
            device=(params.device, params.torch_threads),
            partial=f"{snakemake.wildcards.results}/partial/train_noise-{fold}",
            code=params.code,
        )
