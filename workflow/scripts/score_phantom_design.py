"""Rule score_phantom_design: one cell of the benchmark: a phantom, a network, and how well each method's maps do."""

from voxplain.base.device import on_device
from voxplain.base.files import clear_folders, write_table
from voxplain.base.jobs import job_log
from voxplain.evaluation.power_phantom import benchmark_settings, phantom_cell


def run(scores, accuracy, cost, *, design, effect, seed, settings, device, partial, code):
    phantom = benchmark_settings(design, effect, seed, settings["people"], settings.get("phantom"))
    state = f"{partial}_{code}"  # other code does not go on with what this one left
    with on_device(*device) as chosen:
        cell = phantom_cell(design, effect, seed, **settings, device=chosen, state_folder=state)
    # Where nothing is planted the effect is 0, whatever was asked for.
    known = {"design": design, "effect": phantom.planted_effect, "seed": seed}
    for table, path in zip(cell, (scores, accuracy, cost), strict=True):
        write_table(table.assign(**known)[[*known, *table.columns]], path)
    clear_folders(f"{partial}_*")


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        params, wildcards = snakemake.params, snakemake.wildcards
        run(
            **dict(snakemake.output.items()),
            design=wildcards.design,
            effect=float(wildcards.effect),
            seed=int(wildcards.seed),
            settings=params.settings,
            device=(params.device, params.torch_threads),
            partial=f"{wildcards.results}/partial/phantom-{wildcards.design}-{wildcards.effect}-{wildcards.seed}",
            code=params.code,
        )
