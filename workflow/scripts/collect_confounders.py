"""Rule collect_confounders: head size and age of everybody in the stack, from tables or estimated from the images."""

from voxplain.base.files import read_table, write_table
from voxplain.base.jobs import job_log
from voxplain.cohort.confounders import collect_confounders, read_measures


def run(index, output, *, cohort, tables, seed, estimate, align, space):
    stack = read_table(index)
    people, size_source = read_measures(cohort, seed, tables, stack["participant_id"])
    table = collect_confounders(people, stack, size_source, estimate, align, space)
    sources = table["tiv_source"].dropna().unique()
    source = sources[0] if len(sources) else "no source"
    print(f"Head size ({source}): {table['tiv_mm3'].count()} of {len(table)} people")
    print(f"Age: {table['age_years'].count()} of {len(table)} people")
    write_table(table, output)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            snakemake.input.index,
            snakemake.output[0],
            cohort=snakemake.params.cohort,
            tables=snakemake.params.tables,
            seed=snakemake.params.seed,
            estimate=snakemake.params.estimate,
            align=snakemake.params.align,
            space=snakemake.params.space,
        )
