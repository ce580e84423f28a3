"""Rule randomize_network: one fold's network in; how alike its maps are to those of randomised networks out."""

import torch

from voxplain.attribution.choosing import choose_people
from voxplain.attribution.explaining import target_kind
from voxplain.attribution.targets import target_weights
from voxplain.base.device import on_device
from voxplain.base.files import read_array, read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.base.seeds import seed_for
from voxplain.cohort.participants import read_private
from voxplain.evaluation.randomization import check_testable, randomization_test
from voxplain.models.checkpoint import load_checkpoint
from voxplain.models.folding import frozen_copy
from voxplain.population.maps import read_on_grid


def run(
    weights, stack, index, mean, brain, folds, output, *, method, settings, fold, people, seed, device, shuffled=None
):  # fmt: skip
    check_testable(method)
    model, metadata = load_checkpoint(weights)
    other = load_checkpoint(shuffled)[0] if shuffled else None
    everybody = read_private(folds, metadata["task"])
    tested = choose_people(everybody[everybody["fold"] == fold], people, seed)
    places = {person: row for row, person in enumerate(read_table(index)["participant_id"])}
    volumes = read_array(stack)[[places[person] for person in tested["participant_id"]]]
    images = torch.from_numpy(volumes.astype("float32")[:, None])
    # Whom the maps of the run explain is another question.
    options = {key: value for key, value in settings.items() if key not in ("people", "batch_size", "target")}
    with on_device(*device) as chosen:
        model = model.to(chosen)
        targets = _targets(model, metadata, method, settings.get("target"), images, tested)
        table = randomization_test(
            model, method, images, targets, read_on_grid(brain) > 0, options, seed_for(seed, "randomization", fold),
            list(tested["participant_id"]), read_on_grid(mean), other, settings.get("batch_size"),
        )  # fmt: skip
    table.insert(0, "fold", fold)
    write_table(table, output)


def _targets(model, metadata, method, kind, images, people):
    """Return what the maps of the run explain, by the answers of the network that was trained."""
    labels = [str(label) for label in metadata["labels"] or []]
    kind = target_kind(method, kind, labels)
    logits = None
    if labels and kind == "predicted":
        network = frozen_copy(model)
        device = next(network.parameters()).device
        with torch.no_grad():
            logits = torch.cat([network(image[None].to(device)).cpu() for image in images])
    return target_weights(kind, logits, labels, list(people["target"]), len(people))


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        params, wildcards = snakemake.params, snakemake.wildcards
        run(
            **{name: snakemake.input[name] for name in ("weights", "stack", "index", "mean", "brain", "folds")},
            shuffled=next(iter(snakemake.input.get("shuffled", [])), None),
            output=snakemake.output[0],
            method=wildcards.method,
            settings=params.settings,
            fold=wildcards.fold if wildcards.fold == "external" else int(wildcards.fold),
            people=params.people,
            seed=params.seed,
            device=(params.device, params.torch_threads),
        )
