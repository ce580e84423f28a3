"""Write phantom people: one T1-like volume, the planted truth and the measured parcels of each."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from voxplain.base.errors import refuse
from voxplain.base.files import write_image, write_table, written_whole
from voxplain.base.progress import Progress
from voxplain.base.seeds import stream
from voxplain.cohort.phantom.anatomy import anatomy, asymmetric
from voxplain.cohort.phantom.effects import effects, truth_codes
from voxplain.cohort.phantom.families import design
from voxplain.cohort.phantom.fields import FIELD, FINE, lattice_shape, positions, resize, sample, spline_field
from voxplain.cohort.phantom.render import render
from voxplain.cohort.phantom.settings import IMAGES, PhantomSettings
from voxplain.imaging.grid import COMMON, HCP, Grid

# NIfTI's codes for "MNI152" and "aligned to another scan".
_SPACE_CODES = {"mni": 4, "acpc": 2}
WARP_SPACING_MM, BIAS_SPACING_MM = 20.0, 60.0


def make_people(ids: Sequence[str], settings: PhantomSettings, folder: str | os.PathLike) -> None:
    """Write people of the cohort; a person depends on the settings and the id only, not on who else is written.

    Writes ``{id}/`` + `IMAGES` of the space and ``{id}/truth.nii.gz`` (uint8 on the common grid, in the space of the
    image; codes as in `voxplain.cohort.phantom.effects.truth_codes`; for women the place where men carry the effect)
    for each id, and ``measures.tsv`` for all of them: ``Subject``, ``FS_IntraCranial_Vol`` and one
    ``FS_{parcel}_Vol`` a parcel, in mm³ of the native brain whatever the space of the image.

    Parameters
    ----------
    ids : sequence of str
        ``participant_id`` of `design`.
    settings : PhantomSettings
    folder : path-like

    Raises
    ------
    InputError
        For ids that are not in the cohort.
    """
    folder, ids = Path(folder), [str(i) for i in ids]
    people = design(settings).set_index("participant_id")
    unknown = sorted(set(ids) - set(people.index))
    if unknown:
        refuse(
            f"phantom: {len(unknown)} ids are not among the {settings.people} people of the cohort",
            unknown,
            "Take ids from the design; it changes with cohort.phantom.people.",
        )
    progress = Progress("phantom people", len(ids))
    measures = []
    for person in ids:
        brain = Person(person, people.loc[person], settings)
        data = brain.image()
        _write_volume(data, brain.grid, folder / person / IMAGES[settings.space], _SPACE_CODES[settings.space])
        write_image(brain.truth(), COMMON.affine, folder / person / "truth.nii.gz")
        measures.append({"Subject": person, **brain.measures()})
        progress.step()
    columns = ["Subject", *measure_columns()]
    write_table(pd.DataFrame(measures, columns=columns), folder / "measures.tsv")


def measure_columns() -> list[str]:
    """Return the names of the measured volumes: intracranial, then one a parcel."""
    return ["FS_IntraCranial_Vol", *(f"FS_{name.replace(' ', '_')}_Vol" for name in anatomy().regions["name"])]


class Person:
    """One phantom person: where each place of the body comes from, and how bright it is.

    A position x of the image is followed back to the template: to MNI space by the head's size (``acpc`` only), to
    the changed reference brain by the random deformation, to the reference brain by the planted deformation, to the
    symmetric template by the shared asymmetry. Only this composition is sampled, once, so that people who carry an
    effect are as sharp as those who do not.

    Parameters
    ----------
    person : str
    row : Series
        Of `design`.
    settings : PhantomSettings
    """

    def __init__(self, person: str, row: pd.Series, settings: PhantomSettings):
        self.id, self.row, self.settings = person, row, settings
        self.grid = HCP if settings.grid == "hcp" else COMMON
        self.scale = float(row["head_size"]) if settings.space == "acpc" else 1.0
        self._warp = settings.warp_mm * self._siblings_field("warp", 3, WARP_SPACING_MM)
        planted = effects(settings)
        self.amounts = self._amounts(len(planted.regions))
        self._push = torch.einsum("k,kczyx->czyx", self.amounts, planted.push)
        self._profile = torch.einsum("k,kzyx->zyx", self.amounts, planted.profile)[None]

    def _amounts(self, count: int) -> torch.Tensor:
        """Draw how much of each planted effect the person carries [effects]: 0 (F) or 1 (M) on average."""
        mean = 1.0 if self.row["Gender"] == "M" else 0.0
        own = stream(self.settings.seed, "phantom", "amounts", self.id).standard_normal(count)
        return torch.from_numpy(self.settings.planted_effect * (mean + self.settings.effect_spread * own)).float()

    def _siblings_field(self, purpose: str, channels: int, spacing_mm: float) -> torch.Tensor:
        """Draw a smooth field of unit variance, part of which the siblings share [channels, z, y, x]."""
        shape = (channels, *lattice_shape(spacing_mm))
        family = stream(self.settings.seed, "phantom", purpose, "family", self.row["Family_ID"]).standard_normal(shape)
        own = stream(self.settings.seed, "phantom", purpose, "person", self.id).standard_normal(shape)
        share = self.settings.family_share
        return spline_field(np.sqrt(share) * family + np.sqrt(1 - share) * own, spacing_mm)

    def unwarped(self, points: torch.Tensor) -> torch.Tensor:
        """Follow positions of the image [3, z, y, x] back to the brain before all deformations but the planted one."""
        points = points / self.scale
        return points + sample(self._warp, FIELD, points)

    def reference(self, points: torch.Tensor) -> torch.Tensor:
        """Follow positions of the image back to the reference brain."""
        points = self.unwarped(points)
        return points + sample(self._push, FIELD, points)

    def image(self) -> np.ndarray:
        """Return the volume [x, y, z] on the person's grid, 0 outside the brain."""
        reference = self.reference(positions(FIELD))
        own = stream(self.settings.seed, "phantom", "image", self.id)
        bias = spline_field(own.standard_normal((1, *lattice_shape(BIAS_SPACING_MM))), BIAS_SPACING_MM)
        brightness = torch.exp(self.settings.gain * own.standard_normal() + self.settings.bias * bias)
        brightness = brightness * (1 + sample(self._profile, FIELD, reference))
        return render(
            asymmetric(reference),
            brightness,
            self.grid,
            noise=self.settings.noise,
            seed=int(own.integers(2**63)),
            whole_numbers=self.settings.dtype == "int16",
        )

    def truth(self) -> np.ndarray:
        """Return the planted codes in the person's space [x, y, z] uint8 on the common grid."""
        return truth_codes(self.settings, self.unwarped(positions(COMMON)))

    def measures(self) -> dict[str, float]:
        """Measure the native brain's volume and its parcels' in mm³, by counting voxels of 1.4 mm."""
        brain = anatomy()
        places = resize(asymmetric(self.reference(positions(FIELD))), FINE)
        labels = sample(brain.labels, brain.grid, places, nearest=True, outside="zeros")
        counts = torch.bincount(labels.flatten().int(), minlength=len(brain.regions) + 2).numpy()
        native = float(self.row["head_size"]) / self.scale
        volumes = counts * float(np.prod(FINE.voxel_size())) * native**3
        values = np.round([volumes[1:].sum(), *volumes[1:-1]], 1)
        return dict(zip(measure_columns(), values.tolist(), strict=True))


def _write_volume(data: np.ndarray, grid: Grid, path: Path, code: int) -> None:
    import nibabel as nib
    from isal import igzip

    image = nib.Nifti1Image(data, grid.affine)
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(grid.affine, code=code)
    image.set_qform(grid.affine, code=code)
    payload = igzip.compress(image.to_bytes(), 1, mtime=0)
    with written_whole(path) as temporary:
        temporary.write_bytes(payload)
