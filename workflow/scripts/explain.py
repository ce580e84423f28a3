"""Rule explain: the network of one fold in, the maps of one part of the people that it has not seen out."""

from voxplain.attribution.choosing import choose_people, people_of_part
from voxplain.attribution.explaining import explain_people, partial_key
from voxplain.base.device import on_device
from voxplain.base.files import clear_folders, read_array, read_table
from voxplain.base.jobs import job_log
from voxplain.cohort.participants import read_private
from voxplain.models.checkpoint import load_checkpoint
from voxplain.population.maps import read_on_grid


def run(
    weights,
    stack,
    index,
    mean,
    folds,
    method,
    settings,
    fold,
    part,
    parts,
    device,
    threads,
    seed,
    hide_target,
    code,
    partial,
    output,
):
    model, metadata = load_checkpoint(weights)
    options = dict(settings)
    table = choose_people(read_private(folds, metadata["task"]), options.pop("people"), seed)
    people = people_of_part(table, fold if fold == "external" else int(fold), part, parts)
    ids = list(people["participant_id"])
    places = {person: row for row, person in enumerate(read_table(index)["participant_id"])}
    batch_size = options.pop("batch_size")
    key = partial_key(weights, {"method": method, "seed": seed, **options}, ids, code)
    with on_device(device, threads) as chosen:
        explain_people(
            model, metadata, read_array(stack), [places[person] for person in ids], ids, list(people["target"]),
            method, options, chosen, batch_size, f"{partial}_{key}", output, seed, read_on_grid(mean), hide_target,
        )  # fmt: skip
    clear_folders(f"{partial}_*")  # of other settings, left by runs that did not end


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            snakemake.input.weights,
            snakemake.input.stack,
            snakemake.input.index,
            snakemake.input.mean,
            snakemake.input.folds,
            snakemake.wildcards.method,
            snakemake.params.settings,
            snakemake.wildcards.fold,
            int(snakemake.wildcards.part),
            snakemake.params.parts,
            snakemake.params.device,
            snakemake.threads,
            snakemake.params.seed,
            snakemake.params.hide_target,
            snakemake.params.code,
            f"{snakemake.wildcards.results}/partial/explain-" + "-".join(snakemake.wildcards[1:]),
            snakemake.output[0],
        )
