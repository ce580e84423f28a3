import pytest
import torch

from voxplain.attribution.choosing import default_target
from voxplain.attribution.targets import explained_texts, target_weights
from voxplain.base.errors import InputError

LOGITS = torch.tensor([[2.0, 1.0], [0.0, 3.0], [1.0, -1.0]])


@pytest.mark.parametrize(
    ("kind", "weights", "texts"),
    [
        ("predicted", [[1, 0], [0, 1], [1, 0]], ["F", "M", "F"]),
        ("true", [[0, 1], [0, 1], [1, 0]], ["M", "M", "F"]),
        ("contrast", [[-1, 1]] * 3, ["M-F"] * 3),
        ("M", [[0, 1]] * 3, ["M"] * 3),
    ],
)
def test_weights_and_their_names(kind, weights, texts):
    found = target_weights(kind, LOGITS, ["F", "M"], true=["M", "M", "F"])
    assert found.tolist() == weights
    assert found.dtype == torch.float32
    assert explained_texts(found, ["F", "M"]) == texts


def test_three_classes_do_not_mix_people():
    logits = torch.eye(3)[[2, 0, 1]]
    assert target_weights("predicted", logits, ["a", "b", "c"]).tolist() == logits.tolist()


def test_regression_explains_its_only_output():
    weights = target_weights("contrast", torch.zeros(2, 1), [])
    assert weights.tolist() == [[1], [1]]
    assert explained_texts(weights, []) == ["regression", "regression"]
    contrast = target_weights("contrast", None, ["F", "M"], people=1)
    assert explained_texts(contrast, ["F", "M"], probability=True) == ["p(M)-p(F)"]


def test_contrast_needs_no_logits():
    assert target_weights("contrast", None, ["F", "M"], people=2).tolist() == [[-1, 1], [-1, 1]]


def test_default_is_the_contrast_of_two_classes():
    assert default_target(["F", "M"]) == "contrast"
    assert default_target(["a", "b", "c"]) == "predicted"


def test_refusals():
    with pytest.raises(InputError, match="two classes, but there are 3"):
        target_weights("contrast", torch.zeros(1, 3), ["a", "b", "c"])
    with pytest.raises(InputError, match="'Male' is neither one of predicted, true, contrast nor a class label"):
        target_weights("Male", LOGITS, ["F", "M"])
    with pytest.raises(InputError, match=r"(?s)2 true classes are not outputs.*- X\n.*- Y"):
        target_weights("true", LOGITS, ["F", "M"], true=["X", "M", "Y"])
