"""Several people's volumes at once, in memory."""

import numpy as np
import pandas as pd

from voxplain.imaging.downsampling import downsample_each
from voxplain.imaging.quality import COLUMNS


def downsample_batch(images, masks, ids, **settings):
    """Return what `downsample_each` gives as one array [n, D, H, W] and one table, a row a person."""
    volumes, _, rows = zip(*downsample_each(images, masks, ids, **settings), strict=True)
    return np.stack(volumes), pd.DataFrame(list(rows), columns=list(COLUMNS))
