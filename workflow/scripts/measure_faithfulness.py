"""Rule measure_faithfulness: one fold's network and all methods' maps in, curves of deletion and insertion out."""

from collections.abc import Mapping

import pandas as pd

from voxplain.attribution.choosing import choose_people
from voxplain.base.device import on_device
from voxplain.base.files import read_array, read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.cohort.participants import read_private
from voxplain.evaluation.faithfulness import curves as measure
from voxplain.evaluation.replacement import Replacement, draw_donors
from voxplain.models.checkpoint import load_checkpoint
from voxplain.population.maps import read_on_grid, walk_maps


def run(
    weights, stack, index, mean, brain, folds, maps: Mapping, curves, areas, *,
    fold, people: Mapping, replacements, blur_sigma, draws, shares, seed, device,
):  # fmt: skip
    model, metadata = load_checkpoint(weights)
    everybody = read_private(folds, metadata["task"])
    places = {person: row for row, person in enumerate(read_table(index)["participant_id"])}
    everybody["row"] = [places[person] for person in everybody["participant_id"]]
    training = everybody[everybody["fold"] != fold]
    volumes, population_mean = read_array(stack), read_on_grid(mean)
    known = {"metadata": metadata, "brain": read_on_grid(brain) > 0, "shares": shares, "seed": seed}
    references = {name: {} for name in replacements}  # what random orders come to is the same for all methods
    tables = []
    with on_device(*device) as computing:
        for method, folders in maps.items():
            chosen = choose_people(everybody, people[method], seed)
            measured = chosen[chosen["fold"] == fold]
            ids = list(measured["participant_id"])
            for name in replacements:
                donors = None
                if name == "resample":
                    # A network from elsewhere has no training side here: everybody else may be a donor.
                    candidates = everybody if training.empty else training
                    donors = draw_donors(measured, candidates, metadata["task"], draws, seed)
                replacement = Replacement(name, population_mean, blur_sigma, volumes, donors)
                pair = measure(
                    model, walk_maps(folders, ids) if ids else (), volumes, list(measured["row"]), ids,
                    list(measured["target"]), replacement=replacement, device=computing, references=references[name],
                    **known,
                )  # fmt: skip
                for table in pair:
                    table.insert(0, "method", method)
                    table.insert(1, "fold", fold)
                tables.append(pair)
    for parts, output in zip(zip(*tables, strict=True), (curves, areas), strict=True):
        filled = [part for part in parts if len(part)]  # all of them, or none in a fold without people
        write_table(pd.concat(filled or parts[:1], ignore_index=True), output)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        params, wildcards = snakemake.params, snakemake.wildcards
        run(
            **{name: snakemake.input[name] for name in ("weights", "stack", "index", "mean", "brain", "folds")},
            maps={method: list(snakemake.input[method]) for method in params.people},
            **dict(snakemake.output.items()),
            fold=wildcards.fold if wildcards.fold == "external" else int(wildcards.fold),
            people=params.people,
            replacements=params.replacements,
            blur_sigma=params.blur_sigma,
            draws=params.draws,
            shares=params.shares,
            seed=params.seed,
            device=(params.device, params.torch_threads),
        )
