"""Rule describe_first_layer: the network of one fold in; what its first features do in people it has not seen out."""

from voxplain.base.device import on_device
from voxplain.base.errors import InputError
from voxplain.base.files import read_array, read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.features.first_layer import describe
from voxplain.models.checkpoint import load_checkpoint


def run(weights, stack, index, folds, output, *, fold, layer, bins, device):
    model, _ = load_checkpoint(weights)
    people = read_table(index)[["participant_id"]].merge(read_table(folds), how="left")
    tested = people[people["fold"] == fold]
    with on_device(*device) as chosen:
        try:
            described = describe(model, read_array(stack), list(tested.index), chosen, layer, bins)
        except InputError as error:
            advice = "Name another layer by features.layer, or set features.first_layer: false."
            raise InputError(f"{error}\n{advice}") from None
    known = tested[["participant_id", "target"]]
    write_table(known.merge(described, left_index=True, right_on="row").drop(columns="row"), output)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        params, fold = snakemake.params, snakemake.wildcards.fold
        run(
            **dict(snakemake.input.items()),
            output=snakemake.output[0],
            fold=fold if fold == "external" else int(fold),
            layer=params.layer,
            bins=params.bins,
            device=(params.device, params.torch_threads),
        )
