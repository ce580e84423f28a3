"""Rule map_anatomy: the images of all people in; the statistic of every voxel, and where it is significant, out."""

from voxplain.base.errors import InputError
from voxplain.base.files import read_array, read_table, write_image
from voxplain.base.jobs import job_log
from voxplain.base.progress import Progress
from voxplain.cohort.participants import read_private
from voxplain.evaluation.univariate import univariate
from voxplain.imaging.grid import COMMON
from voxplain.imaging.intensity import normalise
from voxplain.population.maps import read_on_grid
from voxplain.population.summary import smooth


def run(stack, index, folds, brain, t, significant, *, task, labels, smoothing_fwhm_mm, rate):
    inside, volumes = read_on_grid(brain) > 0, read_array(stack)
    places = {person: row for row, person in enumerate(read_table(index)["participant_id"])}
    # In the order of the ids, so that rounding does not depend on how people were gathered.
    people = read_private(folds, task).sort_values("participant_id")
    images = _images(volumes, places, people, inside, smoothing_fwhm_mm)
    statistic, found = univariate(images, inside, labels if task == "classification" else None, rate)
    write_image(statistic, COMMON.affine, t)
    write_image(found, COMMON.affine, significant)


def _images(volumes, places, people, inside, smoothing_fwhm_mm):
    progress = Progress("images: people", len(people))
    for person, target in zip(people["participant_id"], people["target"], strict=True):
        try:
            # Whatever the network is given: the gain of a scanner is no anatomy.
            image = normalise(volumes[places[person]], inside, "zscore")
        except InputError as error:
            raise InputError(f"{person}: {error}") from error
        yield target, smooth(image, smoothing_fwhm_mm, COMMON.affine, inside)
        progress.step()


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            **{name: snakemake.input[name] for name in ("stack", "index", "folds", "brain")},
            t=snakemake.output.t,
            significant=snakemake.output.significant,
            task=snakemake.params.task,
            labels=snakemake.params.labels,
            smoothing_fwhm_mm=snakemake.params.smoothing_fwhm_mm,
            rate=snakemake.params.rate,
        )
