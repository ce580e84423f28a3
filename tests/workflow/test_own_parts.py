"""Parts that users bring, as docs/extending.md shows them, in runs of the whole workflow."""

import copy
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"


# Small, and two methods, so that they are compared too.
CONFIG = {
    "name": "own",
    "torch_threads": 1,
    "cohort": {
        "source": "phantom",
        "target": "Gender",
        "labels": ["F", "M"],
        "phantom": {"people": 16, "grid": "common"},
    },
    "folds": {"count": 2},
    "model": {"arguments": {"channels": 2}},
    "training": {"epochs": 2, "batch_size": 4, "learning_rate": 0.001},
    "features": {"first_layer": False},
    "maps": {
        "methods": {"gradcam": {}},
        "own": {"product": {"file": "methods.py", "function": "gradient_times_input", "contribution": True}},
    },
    "evaluation": {
        "randomization": {"people": 2},
        "agreement": {"surrogates": 5},
        "anatomy": {"surrogates": 5},
        "inference": {"permutations": 19, "replicates": 10},
    },
}


@pytest.fixture(scope="module")
def own(tmp_path_factory, workflow):
    """A run with a method of one file outside the repository."""
    folder = tmp_path_factory.mktemp("own")
    shutil.copy(EXAMPLES / "gradient_times_input.py", folder / "methods.py")
    run = workflow(folder, CONFIG)
    run.run()
    return run


@pytest.mark.slow
def test_an_own_method_s_maps_are_those_of_its_formula(own):
    import torch

    from voxplain.models.checkpoint import load_checkpoint

    index = (own.results / "images" / "index.tsv").read_text().splitlines()
    people = [line.split("\t")[0] for line in index[1:]]
    stack = np.load(own.results / "images" / "stack.npy")
    file = next(iter(sorted((own.results / "maps" / "product").glob("fold-0_part-0/sub-*_map.nii.gz"))))
    person = file.name.split("_")[0].removeprefix("sub-")
    model, _ = load_checkpoint(own.results / "models" / "fold-0" / "weights.safetensors")
    image = torch.from_numpy(stack[people.index(person)])[None, None].requires_grad_(True)
    logits = model.eval()(image)[0]
    (logits[1] - logits[0]).backward()
    expected = (image.grad * image).detach()[0, 0].numpy()
    found = nib.load(file).get_fdata()
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.slow
def test_it_goes_through_all_that_the_built_in_ones_go_through(own):
    tables = own.results / "tables"
    for name in ("explained", "dice", "regions_parcels", "verdicts", "randomization", "agreement", "localization"):
        assert "product" in (tables / f"{name}.tsv").read_text(), name
    assert "product" in (own.results / "report" / "index.html").read_text()
    group_maps = own.results / "population" / "product"
    first, second, joint = (
        nib.load(group_maps / f"{group}_mean_signed.nii.gz").get_fdata() for group in ("F", "M", "joint")
    )
    np.testing.assert_allclose(joint, second - first, atol=1e-5 * np.abs(joint).max())
    assert "methods.py" in (own.results / "inputs.tsv").read_text()


@pytest.mark.slow
def test_an_edited_file_makes_its_maps_again_and_no_others(own):
    file = own.folder / "methods.py"
    text = file.read_text()
    assert own.planned() == {}
    try:
        file.write_text(text.replace("maps.sign()", "2 * maps.sign()"))
        planned = own.planned()
    finally:
        file.write_text(text)
    assert planned["explain"] == sum(1 for _ in (own.results / "maps" / "product").glob("fold-*_part-*"))
    assert planned["randomize_network"] == 1
    assert not {"train_fold", "downsample", "assign_folds", "stack_images"} & set(planned)


def test_what_is_wrong_with_an_own_method_is_said_at_once(tmp_path, workflow):
    shutil.copy(EXAMPLES / "gradient_times_input.py", tmp_path / "methods.py")
    config = copy.deepcopy(CONFIG)
    config["maps"]["own"] = {
        "missing": {"file": "nowhere.py"},
        "lrp": {"file": "methods.py"},
        "product": {"file": "methods.py"},
        "other": {"file": "methods.py", "function": "gradient_times_input", "arguments": {"pow": 2}},
    }
    ended = workflow(tmp_path, config).run("--dry-run", check=False)
    assert ended.returncode
    for words in (
        "maps.own.missing: nowhere.py is not a file",
        "maps.own.lrp: the name is taken",
        "maps.own.product: methods.py has no function product; it has gradient_times_input",
        "maps.own.other: methods.py: gradient_times_input has no pow; it has power",
    ):
        assert words in ended.stdout
    assert "Traceback" not in ended.stdout
