"""Rule randomize_network: how alike one method's maps are to those of the same networks, randomised layer by layer."""

from collections.abc import Mapping

import pandas as pd
import torch

from voxplain.attribution.choosing import choose_people
from voxplain.attribution.explaining import target_kind
from voxplain.attribution.own_code import register_own
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
    weights: Mapping, stack, index, mean, brain, folds, output, *, method, settings, people, seed, device, shuffled
):  # fmt: skip
    check_testable(method)
    settings = register_own(method, settings)
    places = {person: row for row, person in enumerate(read_table(index)["participant_id"])}
    volumes, inside, population_mean = read_array(stack), read_on_grid(brain) > 0, read_on_grid(mean)
    # Whom the maps of the run explain is another question.
    options = {key: value for key, value in settings.items() if key not in ("people", "batch_size", "target")}
    tables = []
    with on_device(*device) as chosen:
        for fold, path in weights.items():
            model, metadata = load_checkpoint(path)
            other = load_checkpoint(shuffled[fold])[0] if fold in shuffled else None
            everybody = read_private(folds, metadata["task"])
            tested = choose_people(everybody[everybody["fold"] == fold], people, seed)
            rows = [places[person] for person in tested["participant_id"]]
            images = torch.from_numpy(volumes[rows].astype("float32")[:, None])
            model = model.to(chosen)
            targets = _targets(model, metadata, method, settings.get("target"), images, tested)
            table = randomization_test(
                model, method, images, targets, inside, options, seed_for(seed, "randomization", fold),
                list(tested["participant_id"]), population_mean, other, settings.get("batch_size"),
            )  # fmt: skip
            table.insert(0, "fold", fold)
            tables.append(table)
    write_table(pd.concat(tables, ignore_index=True), output)


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
        params = snakemake.params

        def by_fold(names, paths):
            return {name if name == "external" else int(name): path for name, path in zip(names, paths, strict=True)}

        run(
            by_fold(params.folds, snakemake.input.weights),
            **{name: snakemake.input[name] for name in ("stack", "index", "mean", "brain", "folds")},
            shuffled=by_fold(params.shuffled, snakemake.input.get("shuffled", [])),
            output=snakemake.output[0],
            method=snakemake.wildcards.method,
            settings=params.settings,
            people=params.people,
            seed=params.seed,
            device=(params.device, params.torch_threads),
        )
