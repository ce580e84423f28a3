"""An input that was synthesised for one objective, and how it is kept until the others are ready."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxplain.base.files import written_whole
from voxplain.features.objectives import Objective


@dataclass(frozen=True)
class Visualisation:
    """An input made for one objective.

    Attributes
    ----------
    objective : Objective
    image : ndarray [D, H, W]
        float32, in the units of the images: what the network sees.
    change : ndarray [D, H, W]
        float32: the image without the start (the zero or the mean image), 0 where nothing was synthesised.
    before, reached : float
        The objective's value, with its own sign and without random transforms, at the start (with its noise) and at
        the image.
    per_norm : float
        Response per unit norm: the change of the value from that of the plain start, in the direction looked for, over
        the L2 norm of the change of what is seen, the unit's receptive field or the whole volume. NaN where nothing
        changed and where the receptive field is unknown.
    box : tuple of 3 slices
        Where voxels were free.
    """

    objective: Objective
    image: np.ndarray
    change: np.ndarray
    before: float
    reached: float
    per_norm: float
    box: tuple[slice, slice, slice]

    def keep(self, folder: str | Path) -> None:
        """Write it into a folder, from where `kept` reads it."""
        numbers = np.array([self.before, self.reached, self.per_norm])
        box = np.array([(part.start, part.stop) for part in self.box])
        with written_whole(_file(folder, self.objective)) as path, open(path, "wb") as file:
            np.savez_compressed(file, image=self.image, change=self.change, numbers=numbers, box=box)

    @classmethod
    def kept(cls, folder: str | Path, objective: Objective) -> "Visualisation | None":
        """Read what `keep` wrote; None where there is nothing."""
        if not _file(folder, objective).is_file():
            return None
        with np.load(_file(folder, objective), allow_pickle=False) as file:
            box = tuple(slice(int(a), int(b)) for a, b in file["box"])
            return cls(objective, file["image"], file["change"], *file["numbers"].tolist(), box)


def _file(folder: str | Path, objective: Objective) -> Path:
    return Path(folder) / f"{objective.name}.npz"
