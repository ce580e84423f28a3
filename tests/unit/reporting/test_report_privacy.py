"""What must not reach the page."""

from pathlib import Path

import pandas as pd
import pytest

from voxplain.base.errors import InputError
from voxplain.reporting.privacy import public_settings, refuse_private_fields, refuse_private_paths


def test_files_of_a_private_folder_are_refused_all_at_once():
    paths = [Path("r/private/folds.tsv"), Path("r/tables/dice.tsv"), Path("r/private/deep/x.tsv")]
    with pytest.raises(InputError) as error:
        refuse_private_paths(paths)
    assert "folds.tsv" in str(error.value)
    assert "x.tsv" in str(error.value)
    assert "dice.tsv" not in str(error.value)
    refuse_private_paths([Path("r/tables/private.tsv")])


@pytest.mark.parametrize("field", ["Family_ID", "family_id", "ZygosityGT", "Age_in_Yrs"])
def test_restricted_fields_are_refused_as_columns_and_as_keys(field):
    for table in (pd.DataFrame({"fold": [0], field: [1]}), pd.DataFrame({"key": [field], "value": [1]})):
        with pytest.raises(InputError, match=field):
            refuse_private_fields({"accuracy": table}, hide_target=False)


def test_group_is_private_for_people_but_not_for_maps():
    refuse_private_fields({"dice": pd.DataFrame({"group": ["joint"]})}, hide_target=False)
    with pytest.raises(InputError, match="index: group"):
        refuse_private_fields({"index": pd.DataFrame({"participant_id": ["1"], "group": ["ab12"]})}, hide_target=False)


def test_a_restricted_target_must_be_missing():
    table = pd.DataFrame({"participant_id": ["1"], "target": [31.0]})
    refuse_private_fields({"maps.tsv": table}, hide_target=False)
    refuse_private_fields({"maps.tsv": table.assign(target=None)}, hide_target=True)
    with pytest.raises(InputError, match=r"maps\.tsv: target"):
        refuse_private_fields({"maps.tsv": table}, hide_target=True)


def test_settings_do_not_tell_where_files_lie():
    config = {
        "cohort": {"hcp": {"root": "/home/jane/HCP", "restricted_csv": "/x/RESTRICTED_jane.csv", "ids": None}},
        "atlases": {"a": {"image": "~/atlases/BN.nii.gz", "labels": "C:\\data\\BN.tsv"}},
        "report": {"top": [1, 2], "on": True},
    }
    rows = dict(public_settings(config))
    assert rows == {
        "cohort.hcp.root": "…/HCP",
        "cohort.hcp.restricted_csv": "given, not shown",
        "cohort.hcp.ids": "none",
        "atlases.a.image": "…/BN.nii.gz",
        "atlases.a.labels": "…/BN.tsv",
        "report.top": "1, 2",
        "report.on": "yes",
    }
