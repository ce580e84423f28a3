"""What is told of single people's maps."""

import numpy as np
import pandas as pd

from voxplain.population.explained import COLUMNS, describe_maps


def test_people_are_counted_and_conservation_is_told_by_its_quartiles_whatever_one_person_s_is():
    lrp = pd.DataFrame({"explained": ["M-F"] * 5, "conservation": [0.5, 0.6, 0.7, 0.8, -4000.0]})
    predicted = pd.DataFrame({"explained": ["M", "F"], "conservation": [np.nan, np.nan]})
    nobody = predicted[:0]
    table = describe_maps({"lrp": lrp, "gradcam": predicted, "noise": nobody})
    assert list(table) == COLUMNS
    assert table.iloc[0].tolist() == ["lrp", 5, "M-F", 0.5, 0.6, 0.7]
    assert table.iloc[1, :3].tolist() == ["gradcam", 2, "F, M"]
    assert table.iloc[2, :3].tolist() == ["noise", 0, ""]
    assert table.iloc[1:, 3:].isna().all(axis=None)
