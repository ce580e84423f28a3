"""Rule measure_masked_accuracy: one fold's network and the population maps of all methods in, masked accuracy out."""

from itertools import product

from voxplain.attribution.choosing import choose_people
from voxplain.base.device import on_device
from voxplain.base.files import read_array, read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.cohort.participants import read_private
from voxplain.evaluation.masked_accuracy import SOFT, THRESHOLD, measure_masks, soft_mask
from voxplain.models.checkpoint import load_checkpoint
from voxplain.population.maps import read_on_grid


def run(
    weights, stack, index, folds, brain, maps, masks, output, *,
    methods, groups, fold, tested, intensity, draws, seed, device,
):  # fmt: skip
    model, metadata = load_checkpoint(weights)
    people = choose_people(read_private(folds, metadata["task"]), tested, seed)
    inside = read_on_grid(brain) > 0
    places = {person: row for row, person in enumerate(read_table(index)["participant_id"])}
    people["row"] = [places[person] for person in people["participant_id"]]
    applied = {}
    for (method, group), population, mask in zip(product(methods, groups), maps, masks, strict=True):
        applied[method, group, SOFT] = soft_mask(read_on_grid(population), inside)
        applied[method, group, THRESHOLD] = (read_on_grid(mask) > 0).astype("float32")
    with on_device(*device) as computing:
        table = measure_masks(
            model, read_array(stack), people[people["fold"] == fold], metadata, applied, inside, intensity, draws,
            seed, computing,
        )  # fmt: skip
    table.insert(0, "fold", fold)
    write_table(table, output)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        params, fold = snakemake.params, snakemake.wildcards.fold
        run(
            **{name: snakemake.input[name] for name in ("weights", "stack", "index", "folds", "brain")},
            maps=list(snakemake.input.maps),
            masks=list(snakemake.input.masks),
            output=snakemake.output[0],
            methods=params.methods,
            groups=params.groups,
            fold=fold if fold == "external" else int(fold),
            tested=params.people,
            intensity=params.intensity,
            draws=params.draws,
            seed=params.seed,
            device=(params.device, params.torch_threads),
        )
