"""Rule downsample: a batch of volumes in, one array on the common grid and its quality table out."""

from pathlib import Path

from voxplain.base.jobs import job_log
from voxplain.imaging.downsampling import downsample_each
from voxplain.imaging.stacking import Batch, write_batch


def run(root, people, settings, seed, output):
    ids, images, masks = people["participant_id"], people["image"], people["mask"]
    images = [Path(root, image) for image in images]
    masks = [Path(root, mask) if isinstance(mask, str) else None for mask in masks]
    write_batch(downsample_each(images, masks, ids, seed=seed, **settings), len(ids), output)


if __name__ == "__main__":
    with job_log(snakemake.log[0]):
        run(
            snakemake.params.root or snakemake.input.volumes,  # each batch of the phantom is a root of its own
            snakemake.params.people,
            snakemake.params.settings,
            snakemake.params.seed,
            Batch(snakemake.output.images, snakemake.output.quality, snakemake.output.brains),
        )
