"""Write the parcels of the reference brain: the phantom's own atlas."""

import os
from pathlib import Path

from voxplain.base.files import write_image, write_table
from voxplain.cohort.phantom.anatomy import anatomy, reference_labels


def make_parcels(folder: str | os.PathLike) -> None:
    """Write the demo atlas; it is the same for all settings.

    ``parcels.nii.gz`` holds labels (uint8) at 1 mm in MNI space, RAS; ``parcels.tsv`` their ``index`` and ``name``:
    compact pieces of grey (``Demo GM 12 L``) and white matter (``Demo WM 03 R``), numbered from back to front. They
    are clusters of the MNI152 tissue templates under the phantom's left-right asymmetry, and stand for no anatomical
    region.
    """
    folder = Path(folder)
    brain = anatomy()
    labels = reference_labels(brain.grid)
    labels[labels > len(brain.regions)] = 0
    write_image(labels.permute(2, 1, 0).numpy(), brain.grid.affine, folder / "parcels.nii.gz")
    write_table(brain.regions[["index", "name"]], folder / "parcels.tsv")
