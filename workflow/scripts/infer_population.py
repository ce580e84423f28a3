"""Rule infer_population: the maps of one method in; tests of voxels and regions, and intervals of regions, out."""

import numpy as np
import pandas as pd

from voxplain.attribution.choosing import choose_people
from voxplain.base.files import read_table, write_image, write_table
from voxplain.base.jobs import job_log
from voxplain.cohort.participants import read_private
from voxplain.evaluation.bootstrap import bootstrap_intervals, joinings
from voxplain.evaluation.inference import mean_contrast, permutation_test, target_contrasts
from voxplain.evaluation.inference_tables import REGION_COLUMNS, region_rows, strongest_contrast, summarise_test
from voxplain.evaluation.permutations import draw_exchanges, draw_signs, log_arrangements, log_sign_patterns, smallest_p
from voxplain.evaluation.relevance_matrix import region_means, region_membership, stack_maps
from voxplain.imaging.grid import COMMON
from voxplain.models.exchange import exchangeable_blocks, number_families
from voxplain.models.holdout import families_of
from voxplain.population.atlas import read_prepared
from voxplain.population.maps import read_on_grid, walk_maps


def run(
    maps, folds, participants, brain, atlases, voxels=None, regions=None, difference_t=None, difference_p=None,
    intervals=None, *,
    method, compared, groups, how, statistic, normalise, smoothing_fwhm_mm, people, task, permutations, alpha,
    replicates, top, seed,
):  # fmt: skip
    explained = choose_people(read_private(folds, task), people, seed)
    ids, inside = list(explained["participant_id"]), read_on_grid(brain) > 0
    families = None if participants is None else families_of(read_table(participants), explained["participant_id"])
    people_maps = walk_maps(maps, ids)
    matrix = stack_maps(people_maps, ids, inside, COMMON.affine, statistic, normalise, smoothing_fwhm_mm)
    atlases = {name: read_prepared(*files) for name, files in atlases.items()}
    membership = region_membership(atlases, inside)
    if voxels:
        write_tests(
            matrix, region_means(matrix, membership), explained, families, inside, atlases,
            voxels, regions, difference_t, difference_p,
            method=method, groups=compared, task=task, permutations=permutations, alpha=alpha, seed=seed,
        )  # fmt: skip
    if intervals:
        table = bootstrap_intervals(
            matrix, explained, families, joinings(groups, how, compared), membership, atlases, replicates, top, seed
        )
        table.insert(0, "method", method)
        write_table(table, intervals)


def write_tests(
    matrix, means, explained, families, inside, atlases, voxels, regions, difference_t, difference_p, *,
    method, groups, task, permutations, alpha, seed,
):  # fmt: skip
    clusters, blocks = number_families(explained, families), exchangeable_blocks(explained, families)
    contrasts = target_contrasts(explained, draw_exchanges(blocks, permutations, seed), task, groups)
    tests = [(contrasts, log_arrangements(blocks, explained["target"]))]
    if matrix.has_negative:  # the mean of maps without signs is above 0 whatever they show
        tests.append(([mean_contrast(draw_signs(clusters, permutations, seed))], log_sign_patterns(clusters)))
    summaries, rows = [], []
    for contrasts, arrangements in tests:
        known = {"people": len(explained), "clusters": int(clusters.max()) + 1, "permutations": permutations}
        known["smallest_p"] = smallest_p(permutations, arrangements)
        tested = permutation_test(matrix, contrasts)
        summaries.append(summarise_test(tested, contrasts, alpha).assign(**known))
        if contrasts[0].name != "mean":
            for values, output in zip(strongest_contrast(tested), (difference_t, difference_p), strict=True):
                volume = np.zeros(inside.shape, dtype=np.float32)
                volume[inside] = values
                write_image(volume, COMMON.affine, output)
        start = 0
        for name, atlas in atlases.items():
            end = start + len(atlas.regions)
            rows.append(region_rows(permutation_test(means[:, start:end], contrasts), contrasts, name, atlas))
            rows[-1], start = rows[-1].assign(**known), end
    rows = rows or [pd.DataFrame(columns=REGION_COLUMNS)]
    for parts, output in ((summaries, voxels), (rows, regions)):
        table = pd.concat(parts, ignore_index=True)
        table.insert(0, "method", method)
        write_table(table, output)


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
            **dict(snakemake.output.items()),
            method=snakemake.wildcards.method,
            compared=params.how[1],
            groups=params.groups,
            how=params.how[0],
            statistic=params.statistic,
            normalise=params.normalise,
            smoothing_fwhm_mm=params.smoothing_fwhm_mm,
            people=params.people,
            task=params.task,
            permutations=params.permutations,
            alpha=params.alpha,
            replicates=params.replicates,
            top=params.top,
            seed=params.seed,
        )
