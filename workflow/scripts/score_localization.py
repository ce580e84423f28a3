"""Rule score_localization: maps of people and population and a truth in, how well each method found it out."""

import sys

import pandas as pd

from voxplain.attribution.choosing import choose_people
from voxplain.base.errors import InputError
from voxplain.base.files import read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.cohort.participants import read_private
from voxplain.evaluation.localization import score_people
from voxplain.evaluation.planted_regions import planted_ranks
from voxplain.evaluation.randomization_tables import SHUFFLED
from voxplain.evaluation.shuffled_truth import COLUMNS, score_beside_chance, shuffle_truth
from voxplain.population.groups import members_of
from voxplain.population.maps import JOINT, read_index, read_on_grid, walk_maps
from voxplain.population.weights import joint_map


def run(
    maps, people_maps, shuffled_labels, trained_on, folds, brain, truth, truth_regions, regions, localization,
    planted, *,
    methods, groups, joining, statistic, normalise, smoothing_fwhm_mm, top, people, seed, task, shuffles, min_inside,
):  # fmt: skip
    inside, where = read_on_grid(brain) > 0, read_on_grid(truth) > 0
    shuffled = shuffle_truth(where, inside, shuffles, seed, min_inside)
    everybody, paths, tables = read_private(folds, task), iter(maps), []
    for method in methods:
        population = [score_beside_chance(read_on_grid(next(paths)), where, inside, shuffled) for _ in groups]
        explained = choose_people(everybody, people[method], seed)
        members = {group: members_of(group, explained) for group in groups}
        own = score_people(walk_maps(people_maps[method], explained["participant_id"]), where, inside, members)
        levels = [pd.DataFrame(population).assign(group=groups, n=1, level="population"), own.assign(level="people")]
        if shuffled_labels[method]:
            score = score_control(
                shuffled_labels[method], trained_on, where, inside, shuffled, *joining[method], statistic,
                normalise[method], smoothing_fwhm_mm, task,
            )  # fmt: skip
            levels.append(pd.DataFrame(score).assign(group=JOINT, n=1, level=SHUFFLED))
        # The levels of a group under each other.
        table = pd.concat(levels).reindex(columns=COLUMNS).assign(method=method)
        tables.append(table.set_index("group", drop=False).loc[list(groups)])
    write_table(pd.concat(tables), localization)
    if planted:
        write_table(planted_ranks(read_table(regions), read_table(truth_regions), top), planted)


def score_control(
    maps, trained_on, where, inside, shuffled, how, groups, statistic, normalise, smoothing_fwhm_mm, task
):  # fmt: skip
    """Score the joint map of networks that learned from shuffled labels; nothing where a group of these is empty.

    Joined by the labels that were learned: by the true ones the difference of products with the image would show the
    images, whatever the network knows.
    """
    labels = pd.concat([read_private(path, task) for path in trained_on])[["participant_id", "target"]]
    people = read_index(maps)[["participant_id"]].merge(labels, validate="one_to_one")
    try:
        weighted = joint_map(walk_maps(maps), people, how, groups, statistic, normalise, smoothing_fwhm_mm, inside)
    except InputError as error:
        print(f"Warning: shuffled labels: {error}", file=sys.stderr)
        return []
    return [score_beside_chance(weighted, where, inside, shuffled)]


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            snakemake.input.maps,
            {method: snakemake.input.get(method) for method in snakemake.params.methods},
            {method: snakemake.input.get(f"{method}_shuffled") for method in snakemake.params.methods},
            list(snakemake.input.get("trained_on", [])),
            snakemake.input.folds,
            snakemake.input.brain,
            snakemake.input.truth,
            snakemake.input.get("truth_regions"),
            snakemake.input.get("regions"),
            snakemake.output.localization,
            next(iter(snakemake.output.planted), None),
            methods=snakemake.params.methods,
            groups=snakemake.params.groups,
            joining=snakemake.params.joining,
            statistic=snakemake.params.statistic,
            normalise=snakemake.params.normalise,
            smoothing_fwhm_mm=snakemake.params.smoothing_fwhm_mm,
            top=snakemake.params.top,
            people=snakemake.params.people,
            seed=snakemake.params.seed,
            task=snakemake.params.task,
            shuffles=snakemake.params.shuffles,
            min_inside=snakemake.params.min_inside,
        )
