"""Rule summarise_maps: the maps of one group in, one population map out."""

from voxplain.attribution.choosing import choose_people
from voxplain.base.files import write_image
from voxplain.base.jobs import job_log
from voxplain.cohort.participants import read_private
from voxplain.imaging.grid import COMMON
from voxplain.population.groups import members_of
from voxplain.population.maps import read_on_grid, walk_maps
from voxplain.population.summary import joint, smooth, summarise, welch


def run(
    maps, folds, brain, output, *,
    group, statistic, how, joined, people, seed, task, normalise, smoothing_fwhm_mm,
):  # fmt: skip
    if how in ("mean", "sum", "difference"):
        population = joint([read_on_grid(path) for path in maps], how)
    else:
        # Groups come from the table of folds: thirds are no classes.
        explained = choose_people(read_private(folds, task), people, seed)
        own = [walk_maps(maps, members_of(one, explained)) for one in joined or [group]]
        population = welch(*own, normalise) if how == "welch" else summarise(*own, statistic, normalise)
        population = smooth(population, smoothing_fwhm_mm, COMMON.affine, read_on_grid(brain) > 0)
    write_image(population, COMMON.affine, output)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            list(snakemake.input.maps),
            snakemake.input.folds,
            snakemake.input.brain,
            snakemake.output[0],
            group=snakemake.wildcards.group,
            statistic=snakemake.wildcards.statistic,
            how=snakemake.params.how[0],
            joined=snakemake.params.how[1],
            people=snakemake.params.people,
            seed=snakemake.params.seed,
            task=snakemake.params.task,
            normalise=snakemake.params.normalise,
            smoothing_fwhm_mm=snakemake.params.smoothing_fwhm_mm,
        )
