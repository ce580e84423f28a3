import copy
from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch import nn

from voxplain.attribution.perturbation import _Adam
from voxplain.attribution.perturbation_answer import Answer, temperatures
from voxplain.attribution.perturbation_settings import PAPER, PerturbationSettings
from voxplain.attribution.registry import attribute
from voxplain.base.errors import InputError

SHAPE = (24, 28, 24)
CENTRE = (7.5, 19.5, 11.5)  # on corners of mask voxels, so that the mask can be symmetric about it
DISTANCE = np.sqrt(sum((np.mgrid[tuple(slice(n) for n in SHAPE)][a] - CENTRE[a]) ** 2 for a in range(3)))


class Spot(nn.Module):
    """Looks at one place only: class 1 where the mean intensity within 3 voxels of CENTRE exceeds that around it."""

    def __init__(self, outputs=2, gain=6.0):
        super().__init__()
        near = (DISTANCE <= 3).astype(np.float32)
        self.register_buffer("weight", torch.from_numpy(near / near.sum()))
        self.gain = nn.Parameter(torch.tensor(gain))
        self.outputs = outputs

    def forward(self, x):
        score = self.gain * ((x[:, 0] * self.weight).sum(dim=(1, 2, 3)) - 0.5)
        return score[:, None] if self.outputs == 1 else torch.stack([-score, score], dim=1) / 2


def people(n=3):
    """Noise everywhere, and a bright spot at CENTRE that is as wide as the blur removes."""
    noise = np.random.default_rng(0).normal(0, 0.1, size=(n, 1, *SHAPE))
    return torch.from_numpy((np.exp(-((DISTANCE / 3) ** 2)) + noise).astype(np.float32))


def run(model, images, targets=None, **settings):
    if targets is None:
        targets = torch.tensor([[0.0, 1.0]]).repeat(len(images), 1)
    return attribute("perturbation", model, images, targets, seed=5, **{"replacement": "blur"} | settings)


def test_the_mask_concentrates_where_the_network_looks():
    result = run(Spot(), people())
    assert (result.maps >= 0).all()
    assert (result.maps <= 1).all()
    for volume in result.maps.numpy():
        centre = [(volume * np.indices(SHAPE)[axis]).sum() / volume.sum() for axis in range(3)]
        np.testing.assert_allclose(centre, CENTRE, atol=0.6)  # also: jitter leaves the mask in its place
        assert volume[DISTANCE <= 3].mean() > 0.5
        assert volume[DISTANCE > 10].max() < 0.05
    assert (result.score_after < result.score_before - 0.3).all()
    assert ((result.iterations > 0) & (result.iterations <= PerturbationSettings().iterations)).all()


def test_the_published_settings_find_the_place_too():
    result = run(Spot(), people(), **{**asdict(PAPER), "iterations": 80})
    volume = result.maps.numpy().mean(axis=0)
    assert volume[DISTANCE <= 4].mean() > 3 * volume[DISTANCE > 10].mean()
    assert (result.iterations == 80).all()


def test_replacement_by_the_mean_image():
    mean = np.zeros(SHAPE, dtype=np.float32)
    result = run(Spot(), people(), replacement="mean", mean_image=mean)
    assert (result.maps.numpy()[:, DISTANCE <= 3].mean(axis=1) > 0.5).all()
    # An image that equals what replaces it cannot be perturbed.
    same = run(Spot(), torch.zeros(1, 1, *SHAPE), replacement="mean", mean_image=mean)
    assert same.maps.abs().max() == 0
    with pytest.raises(InputError, match="replacement: mean needs the population's mean image"):
        run(Spot(), people(), replacement="mean")


def test_contrast_lowers_the_predicted_class():
    images = torch.cat([people(1), torch.zeros(1, 1, *SHAPE)])
    contrast = run(Spot(), images, torch.tensor([[-1.0, 1.0]]).repeat(2, 1))
    predicted = run(Spot(), images, torch.tensor([[0.0, 1], [1, 0]]))
    assert torch.equal(contrast.maps, predicted.maps)
    assert (contrast.score_before > 0.5).all()


def test_regression_lowers_exp_of_the_squared_change():
    result = run(Spot(outputs=1, gain=3.0), people(), torch.ones(3, 1), output_sd=0.7)
    assert (result.score_before == 1).all()
    assert (result.score_after < 0.6).all()
    assert (result.maps.numpy()[:, DISTANCE <= 3].mean(axis=1) > 0.5).all()
    # The same change is smaller in units of a larger standard deviation.
    wide = run(Spot(outputs=1, gain=3.0), people(), torch.ones(3, 1), output_sd=50.0)
    assert (wide.score_after > 0.95).all()


def test_regression_scores_by_hand():
    answer = Answer(torch.tensor([[1.0], [2.0]]), None, torch.ones(2), output_sd=2.0)
    moved = answer.tempered(torch.tensor([[[2.0], [1.0]], [[4.0], [2.0]]]))
    torch.testing.assert_close(moved, torch.exp(-torch.tensor([[0.25, 0.0], [1.0, 0.0]])))
    torch.testing.assert_close(answer.of_people(torch.tensor([1])).probability(torch.tensor([[4.0]])), moved[1:, 0])


def test_regression_without_any_gradient_is_refused():
    with pytest.raises(InputError, match="needs jitter of at least 2, or initial below 1"):
        run(Spot(outputs=1), people(1), torch.ones(1, 1), jitter=1)
    assert run(Spot(outputs=1), people(1), torch.ones(1, 1), jitter=1, initial=0.9).maps.max() > 0.5


def test_temperatures():
    logits = torch.tensor([[0.0, 8.0], [0.0, 1.0], [5.0, -45.0], [40.0, 0.0]])
    found = temperatures(logits, torch.tensor([1, 1, 0, 1]), 0.9)
    # Two classes: T = margin / ln(0.9 / 0.1); probabilities at or below 0.9 stay as they are.
    torch.testing.assert_close(found, torch.tensor([8 / np.log(9), 1, 50 / np.log(9), 1], dtype=torch.float32))
    three = torch.tensor([[30.0, 29.0, -4.0]])
    p = (three / temperatures(three, torch.tensor([0]), 0.6)[:, None]).softmax(dim=1)
    assert p[0, 0].item() == pytest.approx(0.6, abs=1e-5)
    assert (temperatures(logits, torch.tensor([1, 1, 0, 1]), None) == 1).all()


def test_an_overconfident_network_is_explained_as_well():
    """Logits 12 times as large keep the classes, but leave no gradient; both are tempered to 0.9."""
    modest, sure = Spot(gain=20.0), Spot(gain=240.0)
    expected = run(modest, people()).maps
    result = run(sure, people())
    assert (result.score_before > 0.999).all()  # of the network itself, not tempered
    assert (result.score_after < 0.5).all()
    shared = torch.corrcoef(torch.stack([expected.flatten(), result.maps.flatten()]))[0, 1]
    assert shared > 0.8
    untempered = run(sure, people(), confidence=None).maps
    assert torch.corrcoef(torch.stack([expected.flatten(), untempered.flatten()]))[0, 1] < shared - 0.1


def test_people_who_have_converged_leave_the_batch():
    images = torch.cat([torch.zeros(1, 1, *SHAPE), people(2)])  # nothing to find in the first: it settles at once
    targets = torch.tensor([[0.0, 1.0]]).repeat(3, 1)
    options = {"replacement": "blur", "seed": 5, "iterations": 60, "patience": 5, "tolerance": 1e-4}
    result = attribute("perturbation", Spot(gain=20.0), images, targets, batch_size=3, **options)
    assert result.iterations[0] == 10
    assert result.iterations[1:].min() > 10
    for i in range(3):
        one = slice(i, i + 1)
        alone = attribute(
            "perturbation", Spot(gain=20.0), images[one], targets[one], participant_ids=[str(i)], **options
        )
        assert alone.iterations[0] == result.iterations[i]
        torch.testing.assert_close(alone.maps[0], result.maps[i], rtol=0, atol=1e-3)


def test_random_draws_depend_on_person_and_seed_only():
    images = people(1).repeat(2, 1, 1, 1, 1)
    targets = torch.tensor([[0.0, 1.0]]).repeat(2, 1)
    options = {"replacement": "blur", "iterations": 8, "jitters": 1, "tolerance": None}
    two = attribute("perturbation", Spot(), images, targets, participant_ids=["a", "b"], **options).maps
    assert (two[0] - two[1]).abs().max() > 1e-3
    other = attribute("perturbation", Spot(), images, targets, participant_ids=["a", "b"], seed=1, **options).maps
    assert (two - other).abs().max() > 1e-3


@pytest.mark.parametrize("amsgrad", [False, True])
def test_the_optimiser_is_adam_in_a_box(amsgrad):
    torch.manual_seed(0)
    goal = torch.rand(2, 3, 4, 3) * 2 - 0.5
    ours = _Adam.start(2, (3, 4, 3), 1.0, torch.device("cpu"))
    settings = PerturbationSettings(amsgrad=amsgrad, lr_step=4, lr_gamma=0.5)
    theirs = torch.ones(2, 3, 4, 3, requires_grad=True)
    adam = torch.optim.Adam([theirs], lr=settings.learning_rate, betas=(0.9, 0.99), amsgrad=amsgrad)
    schedule = torch.optim.lr_scheduler.StepLR(adam, 4, 0.5)
    for step in range(12):
        ours.descend(2 * (ours.mask - goal) * (1 + step % 3), settings, step)
        theirs.grad = 2 * (theirs.detach() - goal) * (1 + step % 3)
        adam.step()
        schedule.step()
        theirs.data.clamp_(0, 1)
    torch.testing.assert_close(ours.mask, theirs.detach(), rtol=0, atol=1e-6)


def test_the_network_is_not_trained():
    model = Spot()
    before = copy.deepcopy(model.state_dict())
    run(model, people(1), iterations=3)
    assert torch.equal(model.state_dict()["gain"], before["gain"])
    assert model.gain.grad is None


def test_settings_are_checked_together():
    with pytest.raises(InputError) as caught:
        PerturbationSettings(
            replacement="zero", box_size=4, iterations=0, learning_rate=0.0, initial=2.0, confidence=1.0
        )
    for part in ("replacement: 'zero' is not one of blur, mean", "iterations: 0 must be at least 1", "must be odd"):
        assert part in str(caught.value)
    assert "learning_rate: 0.0 must be above 0" in str(caught.value)
    assert "confidence: 1.0 must be at least 0.5 and less than 1" in str(caught.value)
    assert "initial: 2.0 must lie in 0 ... 1" in str(caught.value)
    with pytest.raises(InputError, match=r"mask_scale: 20 leaves a mask of \[1, 1, 1\]"):
        run(Spot(), people(1), mask_scale=20)
