"""Rule measure_reproducibility: one method's maps of original and other networks in, how alike they are out."""

from voxplain.base.files import write_table
from voxplain.base.jobs import job_log
from voxplain.cohort.participants import read_private
from voxplain.evaluation.reproducibility import Comparison, measure
from voxplain.population.atlas import read_prepared
from voxplain.population.maps import read_on_grid


def run(
    original, variants, folds, brain, atlas, output, *,
    method, how, groups, statistic, normalise, smoothing_fwhm_mm, top_percent, top_regions, task, seed,
):  # fmt: skip
    comparison = Comparison(
        read_on_grid(brain) > 0, how, groups, statistic, normalise, smoothing_fwhm_mm, top_percent,
        read_prepared(*atlas) if atlas else None, top_regions,
    )  # fmt: skip
    table = measure(original, variants, read_private(folds, task), comparison, seed)
    table.insert(0, "method", method)
    write_table(table, output)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        inputs, params = snakemake.input, snakemake.params
        run(
            inputs.original,
            {variant: inputs[variant] for variant in params.variants},
            inputs.folds,
            inputs.brain,
            list(inputs.get("atlas", [])),  # image and table, or nothing
            snakemake.output[0],
            method=snakemake.wildcards.method,
            how=params.how[0],
            groups=params.how[1],
            statistic=params.statistic,
            normalise=params.normalise,
            smoothing_fwhm_mm=params.smoothing_fwhm_mm,
            top_percent=params.top_percent,
            top_regions=params.top_regions,
            task=params.task,
            seed=params.seed,
        )
