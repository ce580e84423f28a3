"""Rule summarise_maps: the maps of one group in, one population map out."""

from voxplain.base.files import read_table, write_image
from voxplain.base.jobs import job_log
from voxplain.population.maps import read_map, walk_maps
from voxplain.population.summary import joint, smooth, summarise


def run(maps, folds, brain, output, group, statistic, from_classes, how, normalise, smoothing_fwhm_mm):
    inside, affine = read_map(brain)
    if from_classes:
        population = joint([read_map(path)[0] for path in maps], how)
    else:
        table = read_table(folds)
        people = table if group == "joint" else table[table["target"].astype(str) == group]
        walk = walk_maps(maps, ids=set(people["participant_id"]))
        population = smooth(summarise(walk, statistic, normalise), smoothing_fwhm_mm, affine, inside > 0)
    write_image(population, affine, output)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            list(snakemake.input.maps),
            snakemake.input.folds,
            snakemake.input.brain,
            snakemake.output[0],
            snakemake.wildcards.group,
            snakemake.wildcards.statistic,
            snakemake.params.from_classes,
            snakemake.params.joint,
            snakemake.params.normalise,
            snakemake.params.smoothing_fwhm_mm,
        )
