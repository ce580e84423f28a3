"""Methods from a user's own file: what they compute, and what is refused, before and while they run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from voxplain.attribution.own_code import own_method, register_own
from voxplain.attribution.own_methods import TAKEN, code_of_own, with_own_methods
from voxplain.attribution.registry import METHODS, attribute, explain
from voxplain.base.errors import InputError

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "docs" / "examples" / "gradient_times_input.py"
SHAPE = (2, 3, 4)


@pytest.fixture(autouse=True)
def _registry():
    """Methods of a test are unknown to the next one."""
    before = dict(METHODS)
    yield
    METHODS.clear()
    METHODS.update(before)


@pytest.fixture
def linear():
    """Logits W x: the gradient of a weighted sum of outputs is the weighted sum of the rows of W."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(24, 2))


def settings_of(file, name="mine", **more):
    own = {"file": str(file), "function": None, "arguments": {}, "signed": True, "contribution": False}
    own |= {"target": None, "people": None, "batch_size": None} | more
    return with_own_methods({"methods": {}, "own": {name: own}})[name]


def written(folder, text):
    file = folder / "mine.py"
    file.write_text(text)
    return file


def test_the_example_is_weights_times_input_of_a_linear_network(linear):
    images, targets = torch.randn(3, 1, *SHAPE), torch.tensor([[-1.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    options = register_own("mine", settings_of(EXAMPLE, function="gradient_times_input"))
    result = attribute("mine", linear, images, targets)
    expected = (targets @ linear[1].weight).reshape(3, *SHAPE).detach() * images[:, 0]
    torch.testing.assert_close(result.maps, expected)
    score = (linear(images) * targets).sum(dim=1).detach()
    torch.testing.assert_close(torch.from_numpy(result.score_before), score)
    # Without its bias a linear network's score is the sum of the map.
    bias = targets @ linear[1].bias.detach()
    torch.testing.assert_close(result.maps.sum(dim=(1, 2, 3)), score - bias)
    assert "own" not in options
    torch.testing.assert_close(
        explain("mine", linear, images, targets, power=2.0), expected.sign() * expected.abs() ** 2
    )


def test_context_reaches_a_method_that_asks_for_it(linear, tmp_path):
    file = written(
        tmp_path,
        "import torch\n"
        "def mine(network, images, targets, *, context, scale=2):\n"
        "    draw = torch.tensor([float(len(person)) + context.seed for person in context.participant_ids])\n"
        "    return scale * draw[:, None, None, None].expand(images[:, 0].shape)\n",
    )
    register_own("mine", settings_of(file, arguments={"scale": 3}))
    ids = ["a", "bb", "ccc"]
    result = attribute(
        "mine", linear, torch.zeros(3, 1, *SHAPE), torch.ones(3, 2), participant_ids=ids, seed=4, scale=3
    )
    assert result.maps[:, 0, 0, 0].tolist() == [15.0, 18.0, 21.0]


def test_a_method_cannot_change_people_s_images(linear, tmp_path):
    file = written(tmp_path, "def mine(network, images, targets):\n    return images.mul_(0)[:, 0]\n")
    register_own("mine", settings_of(file))
    images = torch.ones(2, 1, *SHAPE)
    attribute("mine", linear, images, torch.ones(2, 2))
    assert images.eq(1).all()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("images", r"returned \(2, 1, 2, 3, 4\) for 2 images, expected a tensor of shape \(2, 2, 3, 4\)"),
        ("None", r"returned NoneType for 2 images"),
        ("images[:1, 0]", r"returned \(1, 2, 3, 4\)"),
        ("images[:, 0] / 0", "maps that are not finite"),
    ],
)
def test_maps_of_another_form_are_refused(linear, tmp_path, body, said):
    register_own("mine", settings_of(written(tmp_path, f"def mine(network, images, targets):\n    return {body}\n")))
    with pytest.raises(InputError, match=said):
        attribute("mine", linear, torch.ones(2, 1, *SHAPE), torch.ones(2, 2))


def test_maps_said_to_have_no_signs_may_have_none(linear, tmp_path):
    file = written(tmp_path, "def mine(network, images, targets):\n    return images[:, 0]\n")
    register_own("mine", settings_of(file, signed=False))
    with pytest.raises(InputError, match="maps below 0"):
        attribute("mine", linear, -torch.ones(2, 1, *SHAPE), torch.ones(2, 2))
    assert attribute("mine", linear, torch.ones(2, 1, *SHAPE), torch.ones(2, 2)).maps.eq(1).all()


GOOD = "def mine(network, images, targets, *, power=1):\n    return images[:, 0]\n"


@pytest.mark.parametrize(
    ("text", "more", "said"),
    [
        (None, {}, "is not a file"),
        ("def mine(:\n", {}, "is no Python"),
        ("def other(network, images, targets): ...\n", {}, "has no function mine; it has other"),
        ("mine = 3\n", {}, "has no function mine; it has none"),
        ("def mine(network, images): ...\n", {}, r"expected def mine\(network, images, targets, \*,"),
        ("def mine(network, images, targets, power=1): ...\n", {}, r"expected def mine\(network, images, targets, \*,"),
        ("def mine(network, images, targets, **more): ...\n", {}, r"expected def mine"),
        ("def mine(network, images, targets, *, power): ...\n", {}, "power has no default"),
        ("def mine(network, images, targets, *, seed=1): ...\n", {}, "seed is a name that the workflow uses"),
        (GOOD, {"arguments": {"pow": 2}}, "mine has no pow; it has power"),
        (GOOD, {"function": "theirs"}, "has no function theirs; it has mine"),
        (GOOD, {"name": "lrp"}, "maps.own.lrp: the name is taken"),
        (GOOD, {"name": "random"}, "maps.own.random: the name is taken"),
        (GOOD, {"signed": False, "contribution": True}, "a contribution has a sign"),
    ],
)
def test_what_cannot_be_used_is_said_before_anything_runs(tmp_path, text, more, said):
    file = tmp_path / "mine.py" if text is None else written(tmp_path, text)
    with pytest.raises(InputError, match=said):
        settings_of(file, **more)


def test_all_problems_are_in_one_message(tmp_path):
    bad = {"file": str(tmp_path / "none.py"), "function": None, "arguments": {}, "signed": True, "contribution": False}
    bad |= {"target": None, "people": None, "batch_size": None}
    with pytest.raises(InputError, match=r"(?s)maps\.own\.first.*maps\.own\.second"):
        with_own_methods({"methods": {}, "own": {"first": bad, "second": bad}})


def test_a_file_that_ends_with_an_error_is_named(tmp_path):
    with pytest.raises(InputError, match=r"mine\.py cannot be imported: ZeroDivisionError"):
        own_method("mine", written(tmp_path, "1 / 0\n" + GOOD))


def test_the_fingerprint_follows_the_file(tmp_path):
    file = written(tmp_path, GOOD)
    settings = settings_of(file)
    before = code_of_own(settings)
    assert code_of_own(settings | {"people": 3}) == before
    file.write_text(GOOD + "# a change\n")
    assert code_of_own(settings) != before
    assert code_of_own({"target": None}) == ""


def test_planning_imports_no_torch():
    code = "import sys, voxplain.attribution.own_methods; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(ROOT / "workflow" / "scripts")})


def test_no_method_bears_the_name_of_an_input_beside_those_of_methods():
    text = "\n".join(path.read_text() for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")))
    inputs = re.findall(r"unpack\(lambda wildcards: \{method: map_folders.*\n((?: {8}.*\n)+)", text)
    assert len(inputs) >= 3
    beside = {name for block in inputs for name in re.findall(r"^ {8}(\w+)=", block, re.M)}
    assert {"stack", "maps", "mean_image"} <= beside <= set(TAKEN)
