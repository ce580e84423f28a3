"""Rule bootstrap_regions: the maps of one method in; shares and ranks of regions with their intervals out."""

from voxplain.attribution.choosing import choose_people
from voxplain.base.files import read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.cohort.participants import read_private
from voxplain.evaluation.bootstrap import joinings, resampled_weights, tabulate_intervals
from voxplain.evaluation.relevance_matrix import region_membership, stack_maps
from voxplain.imaging.grid import COMMON
from voxplain.models.exchange import number_families
from voxplain.models.holdout import families_of
from voxplain.population.atlas import read_prepared
from voxplain.population.maps import read_on_grid, walk_maps


def run(
    maps, folds, participants, brain, atlases, intervals, *,
    method, groups, how, joined, statistic, normalise, smoothing_fwhm_mm, people, task, replicates, top, seed,
):  # fmt: skip
    explained = choose_people(read_private(folds, task), people, seed)
    ids, inside = list(explained["participant_id"]), read_on_grid(brain) > 0
    families = None if participants is None else families_of(read_table(participants), explained["participant_id"])
    people_maps = walk_maps(maps, ids)
    matrix = stack_maps(people_maps, ids, inside, COMMON.affine, statistic, normalise, smoothing_fwhm_mm)
    atlases = {name: read_prepared(*files) for name, files in atlases.items()}
    weights = resampled_weights(explained, joinings(groups, how, joined), replicates, seed, families)
    table = tabulate_intervals(
        matrix, weights, region_membership(atlases, inside), atlases, top, number_families(explained, families)
    )
    table.insert(0, "method", method)
    write_table(table, intervals)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        files, params = snakemake.input, snakemake.params
        pairs = zip(files.get("atlas_images", []), files.get("atlas_tables", []), strict=True)
        run(
            list(files.maps),
            files.folds,
            files.get("participants"),
            files.brain,
            dict(zip(params.atlases, pairs, strict=True)),
            snakemake.output[0],
            method=snakemake.wildcards.method,
            groups=params.groups,
            how=params.how[0],
            joined=params.how[1],
            statistic=params.statistic,
            normalise=params.normalise,
            smoothing_fwhm_mm=params.smoothing_fwhm_mm,
            people=params.people,
            task=params.task,
            replicates=params.replicates,
            top=params.top,
            seed=params.seed,
        )
