"""Rules explain, explain_again: one fold's network in, the maps of one part of the people that it has not seen out."""

from itertools import chain
from pathlib import Path

from voxplain.attribution.choosing import choose_people, people_of_part
from voxplain.attribution.explaining import explain_people, partial_key
from voxplain.attribution.noise_model import load_noise_model
from voxplain.attribution.own_code import register_own
from voxplain.base.device import on_device
from voxplain.base.files import clear_folders, file_sha256, read_array, read_table
from voxplain.base.jobs import job_log
from voxplain.cohort.participants import read_private
from voxplain.models.checkpoint import load_checkpoint
from voxplain.population.maps import read_on_grid


def run(
    weights, stack, index, mean, folds, noise_model, output, *,
    method, settings, fold, part, parts, seed, device, partial, code, sample=None,
):  # fmt: skip
    model, metadata = load_checkpoint(weights)
    options = register_own(method, settings)
    everybody = read_private(folds, metadata["task"])
    # Who is explained is drawn evenly from the folds of the run, whichever folds this network belongs to.
    chosen = choose_people(read_private(sample or folds, metadata["task"]), options.pop("people"), seed)
    people = people_of_part(everybody[everybody["participant_id"].isin(chosen["participant_id"])], fold, part, parts)
    ids, targets = list(people["participant_id"]), list(people["target"])
    places = {person: row for row, person in enumerate(read_table(index)["participant_id"])}
    rows, volumes, population_mean = [places[person] for person in ids], read_array(stack), read_on_grid(mean)
    batch_size = options.pop("batch_size")
    # A smaller budget after a job that ran out of memory must not throw away what is finished.
    facts = {"method": method, "seed": seed} | {key: options[key] for key in options if key != "memory_mb"}
    trained = None
    if noise_model:
        trained = load_noise_model(noise_model)
        facts["noise_model"] = file_sha256(noise_model)
    read = chain((volumes[row] for row in rows), [population_mean])
    state = f"{partial}_{partial_key(weights, facts, ids, code, targets, read)}"
    with on_device(*device) as place:
        explain_people(
            model, metadata, volumes, rows, ids, targets, method, options, place, batch_size, state, output, seed,
            population_mean, trained,
        )  # fmt: skip
    clear_folders(f"{partial}_*")  # of other settings, left by runs that did not end


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        params, wildcards = snakemake.params, snakemake.wildcards
        run(
            **{name: snakemake.input[name] for name in ("weights", "stack", "index", "mean", "folds")},
            noise_model=next(iter(snakemake.input.get("noise_model", [])), None),
            sample=snakemake.input.get("sample"),
            output=snakemake.output[0],
            method=wildcards.method,
            settings=params.settings,
            fold=wildcards.fold if wildcards.fold == "external" else int(wildcards.fold),
            part=int(wildcards.get("part", 0)),
            parts=params.get("parts", 1),
            seed=params.seed,
            device=(params.device, params.torch_threads),
            # Beside the maps: unfinished maps are as private as finished ones.
            partial=Path(snakemake.output[0]).parents[2]
            / "partial"
            / "-".join(["explain", *Path(snakemake.output[0]).parts[-2:]]),
            code=params.code,
        )
