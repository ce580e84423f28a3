"""Rule tabulate_maps: the maps of all methods in; how many people were explained, and what of them, out."""

from voxplain.base.files import write_table
from voxplain.base.jobs import job_log
from voxplain.population.explained import describe_maps
from voxplain.population.maps import read_index


def run(folders, output):
    write_table(describe_maps({method: read_index(parts) for method, parts in folders.items()}), output)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run({method: snakemake.input.get(method) for method in snakemake.params.methods}, snakemake.output[0])
