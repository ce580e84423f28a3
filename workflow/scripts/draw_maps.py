"""Rule draw_maps: the population maps of one method in, a picture a group out."""

from voxplain.base.jobs import job_log
from voxplain.population.maps import JOINT
from voxplain.reporting.maps import draw_population_map
from voxplain.reporting.style import difference_title, group_title, method_title


def run(maps, masks, mean, brain, groups, method, statistic, difference, pictures):
    for volume, mask, group, picture in zip(maps, masks, groups, pictures, strict=True):
        shown = statistic.replace("_", " ")
        if difference and group == JOINT:
            shown += f", {difference_title(difference)}"
        title = f"{method_title(method)}, {group_title(group)}: {shown}"
        draw_population_map(volume, mean, mask, picture, title, brain_image=brain)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            snakemake.input.maps,
            snakemake.input.masks,
            snakemake.input.mean,
            snakemake.input.brain,
            snakemake.params.groups,
            snakemake.wildcards.method,
            snakemake.params.statistic,
            snakemake.params.difference,
            snakemake.output.pictures,
        )
