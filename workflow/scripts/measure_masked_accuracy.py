"""Rule measure_masked_accuracy: all folds' networks and one method's population maps in, masked accuracy out."""

from voxplain.attribution.choosing import choose_people
from voxplain.base.device import on_device
from voxplain.base.files import read_array, read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.cohort.participants import read_private
from voxplain.evaluation.masked_accuracy import measure_masks, soft_mask
from voxplain.evaluation.masked_tables import SOFT, THRESHOLD
from voxplain.models.checkpoint import load_checkpoint
from voxplain.population.maps import read_on_grid


def run(
    weights, stack, index, folds, brain, maps, masks, output, *,
    method, groups, names, tested, intensity, draws, seed, device,
):  # fmt: skip
    loaded = {fold: load_checkpoint(path) for fold, path in zip(names, weights, strict=True)}
    metadata = {fold: facts for fold, (_, facts) in loaded.items()}
    people = choose_people(read_private(folds, metadata[names[0]]["task"]), tested, seed)
    inside = read_on_grid(brain) > 0
    places = {person: row for row, person in enumerate(read_table(index)["participant_id"])}
    people["row"] = [places[person] for person in people["participant_id"]]
    applied = {}
    for group, population, mask in zip(groups, maps, masks, strict=True):
        applied[method, group, SOFT] = soft_mask(read_on_grid(population), inside)
        applied[method, group, THRESHOLD] = (read_on_grid(mask) > 0).astype("float32")
    networks = {fold: model for fold, (model, _) in loaded.items()}
    with on_device(*device) as computing:
        table = measure_masks(
            networks, read_array(stack), people, metadata, applied, inside, intensity, draws, seed, computing
        )
    write_table(table, output)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        params = snakemake.params
        run(
            list(snakemake.input.weights),
            **{name: snakemake.input[name] for name in ("stack", "index", "folds", "brain")},
            maps=list(snakemake.input.maps),
            masks=list(snakemake.input.masks),
            output=snakemake.output[0],
            method=snakemake.wildcards.method,
            groups=params.groups,
            names=[fold if fold == "external" else int(fold) for fold in params.folds],
            tested=params.people,
            intensity=params.intensity,
            draws=params.draws,
            seed=params.seed,
            device=(params.device, params.torch_threads),
        )
