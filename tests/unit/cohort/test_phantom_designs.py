"""What the designs of the phantom plant, and what they leave alone."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from voxplain.base.errors import InputError
from voxplain.cohort.phantom import PhantomSettings, design, write_truth
from voxplain.cohort.phantom.anatomy import asymmetric
from voxplain.cohort.phantom.effects import PLANTED, effects, mock_truth, truth_codes
from voxplain.cohort.phantom.fields import FIELD, jacobian, positions
from voxplain.cohort.phantom.people import Person
from voxplain.cohort.phantom.settings import DESIGNS
from voxplain.imaging.grid import COMMON

SETTINGS = PhantomSettings(people=4, grid="common", dtype="float32")
PLAIN = replace(SETTINGS, noise=0.0, bias=0.0, gain=0.0, effect_spread=0.0)


def person_of(settings, sex, place=0):
    """Return a person of the cohort with a sex of our choice and a head of the MNI brain's size."""
    row = design(settings).iloc[place].copy()
    row["Gender"], row["head_size"] = sex, 1.0
    return Person(row["participant_id"], row, settings)


def codes_of(name, **changes):
    return truth_codes(replace(SETTINGS, design=name, **changes), positions(COMMON))


def test_the_default_plants_each_place_in_its_own_way():
    assert list(effects(SETTINGS).regions["kind"]) == [kind for _, kind, _ in PLANTED]
    assert SETTINGS.design == "mixed"
    assert SETTINGS.planted_effect == SETTINGS.effect == 1.0


@pytest.mark.parametrize(("name", "codes"), [("volume", {0, 2}), ("intensity", {0, 1}), ("both", {0, 1, 3})])
def test_one_kind_of_effect_in_all_five_places(name, codes):
    settings = replace(SETTINGS, design=name)
    regions, found = effects(settings).regions, codes_of(name)
    assert list(regions["name"]) == list(effects(SETTINGS).regions["name"])
    assert set(regions["kind"]) == {name}
    assert (regions["volume_effect"] > 0).eq(name != "intensity").all()
    assert (regions["intensity_effect"] > 0).eq(name != "volume").all()
    assert set(np.unique(found)) == codes
    # Nowhere but where the mixed design changes something, or would if its places were of another kind.
    assert (found > 0).sum() > 1000


def test_what_has_volume_effects_only_changes_no_brightness_and_the_reverse():
    volume, intensity = (person_of(replace(PLAIN, design=name), "M") for name in ("volume", "intensity"))
    assert not volume._profile.any()
    assert (1 / jacobian(volume._push) - 1).max() == pytest.approx(PLAIN.volume_effect, abs=0.05)
    points = positions(FIELD)
    assert torch.equal(intensity.reference(points), intensity.unwarped(points))
    assert intensity._profile.max() == pytest.approx(PLAIN.intensity_effect, abs=0.02)
    woman = person_of(replace(PLAIN, design="intensity"), "F").image()
    man = intensity.image()
    inside = woman > 1
    assert np.array_equal(inside, man > 1), "brighter, but of one shape"
    ratio = man[inside] / woman[inside]
    assert ratio.min() > 1 - 1e-4
    assert ratio.max() == pytest.approx(1 + PLAIN.intensity_effect, abs=0.02)


def test_the_left_design_leaves_the_right_hemisphere_alone():
    settings = replace(SETTINGS, design="left")
    regions, x = effects(settings).regions, positions(COMMON)[0].permute(2, 1, 0).numpy()
    assert set(regions["hemisphere"]) == {"left"}
    assert regions["name"].nunique() == 5
    planted = codes_of("left") > 0
    assert planted.sum() > 1000
    assert not planted[x > 0].any()
    assert (asymmetric(positions(COMMON))[0].permute(2, 1, 0).numpy()[planted] < 0).all()


@pytest.mark.parametrize("name", ["none", "head_size"])
def test_where_nothing_is_planted_there_is_no_truth_and_no_trace_of_sex_in_normalised_brains(name, tmp_path):
    settings = replace(SETTINGS, design=name)
    assert not codes_of(name).any()
    assert np.array_equal(person_of(settings, "F").image(), person_of(settings, "M").image())
    write_truth(settings, tmp_path)
    table = pd.read_csv(tmp_path / "truth_regions.tsv", sep="\t")
    assert table.empty or not table[["volume_effect", "intensity_effect"]].to_numpy().any()
    # As without an effect in the default design, which planted nothing either.
    plain = replace(SETTINGS, effect=0.0)
    assert np.array_equal(person_of(settings, "M").image(), person_of(plain, "M").image())


def test_without_any_difference_head_size_does_not_follow_sex():
    people = design(PhantomSettings(people=2000, family_size=1, design="none"))
    volume = 1883 * people["head_size"] ** 3
    means = volume.groupby(people["Gender"]).mean()
    assert means["M"] == pytest.approx(means["F"], abs=20)
    assert volume.mean() == pytest.approx(1500, abs=10)
    assert volume.std() == pytest.approx(125, abs=8)
    sized = design(PhantomSettings(people=2000, family_size=1, design="head_size"))
    pd.testing.assert_frame_equal(sized, design(PhantomSettings(people=2000, family_size=1)))


def test_with_head_size_only_native_brains_differ_in_size_and_in_nothing_else():
    settings = replace(PLAIN, design="head_size", space="acpc")
    row = design(settings).iloc[1].copy()
    points, size = positions(FIELD), {"F": 0.92, "M": 1.0}
    places = {}
    for sex, factor in size.items():
        row["Gender"], row["head_size"] = sex, factor
        places[sex] = Person(row["participant_id"], row, settings)
    # A point of the smaller head is the point of the larger one that lies 1 / 0.92 times as far out.
    same = places["M"].reference(points / size["F"])
    assert torch.allclose(places["F"].reference(points), same, atol=1e-4)


def test_the_mock_truth_is_that_of_both_at_its_nominal_size_whatever_the_design():
    expected = codes_of("both")
    for name in DESIGNS:
        for effect in (0.0, 0.5, 1.0):
            mock = mock_truth(replace(SETTINGS, design=name, effect=effect, seed=9), positions(COMMON))
            assert np.array_equal(mock, expected), (name, effect)


def test_the_first_people_and_what_is_random_about_them_are_those_of_every_design():
    everybody = design(replace(SETTINGS, people=40))
    for name in DESIGNS:
        people = design(replace(SETTINGS, people=40, design=name))
        kept = [column for column in people if name != "none" or column != "head_size"]
        pd.testing.assert_frame_equal(people[kept], everybody[kept])
        pd.testing.assert_frame_equal(design(replace(SETTINGS, people=7, design=name)), people[:7])
    settings = replace(SETTINGS, design="left")
    assert torch.equal(person_of(settings, "M")._warp, person_of(SETTINGS, "M")._warp)
    assert torch.equal(person_of(settings, "M").amounts, person_of(SETTINGS, "M").amounts)


def test_an_unknown_design_is_refused():
    with pytest.raises(InputError, match="design: 'right', expected one of mixed, volume, intensity, both, left"):
        PhantomSettings(design="right")
