"""Random labels that only the planted change tells apart, and changes that are as large, and where, as was asked."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import plant_people
import score_planted
from voxplain.base.errors import InputError
from voxplain.base.files import read_array, read_table, write_image, write_table
from voxplain.cohort.participants import hash_groups
from voxplain.cohort.planted_effects import planted_change, planted_effects, planted_truth
from voxplain.cohort.planting import CONTROL, LABELS, PLANTED, PlantedSettings, draw_labels, planted_amounts
from voxplain.imaging.displaced import downsample_changed, sampler
from voxplain.imaging.downsampling import downsample
from voxplain.imaging.grid import COMMON, HCP, mni_brain
from voxplain.imaging.reading import Volume

IXI = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "ixi"
RIGHT, LEFT = np.array([36.0, -20, 12]), np.array([-40.0, 10, 20])
REGIONS = pd.DataFrame({"index": [3, 7], "name": ["Ball R", "Ball L"], "hemisphere": ["right", "left"]})


def places(grid):
    index = np.moveaxis(np.indices(grid.shape), 0, -1)
    return index @ grid.affine[:3, :3].T + grid.affine[:3, 3]


def ball(grid, centre, radius):
    return np.linalg.norm(places(grid) - centre, axis=-1) < radius


@pytest.fixture(scope="module")
def atlas():
    """A ball of 14 mm on the right (label 3) and one of 12 mm on the left (7)."""
    return 3 * ball(COMMON, RIGHT, 14).astype(np.int32) + 7 * ball(COMMON, LEFT, 12)


@pytest.fixture(scope="module")
def both(atlas):
    return planted_effects(PlantedSettings([3, "Ball L"]), atlas, REGIONS)


def cohort(n=60, seed=0, numbers=False):
    """People in families of one to three, a third without a known one."""
    rng = np.random.default_rng(seed)
    family = np.repeat(np.arange(n), rng.integers(1, 4, n))[:n]
    group = np.where(rng.random(n) < 1 / 3, None, np.char.add("f", family.astype(str)).astype(object))
    target = rng.normal(50, 15, n) if numbers else rng.choice(["F", "M"], n, p=[0.6, 0.4])
    ids = [f"p{i:03d}" for i in range(n)]
    return pd.DataFrame({"participant_id": ids, "target": target, "group": group})


@pytest.mark.parametrize("numbers", [False, True])
def test_labels_are_balanced_within_the_target_and_keep_families_whole(numbers):
    for seed in range(5):
        people = cohort(numbers=numbers, seed=seed)
        labels = draw_labels(people, seed)
        assert set(labels) == {CONTROL, PLANTED}
        merged = people.merge(labels.reset_index())
        assert (merged.dropna(subset="group").groupby("group")["label"].nunique() == 1).all()
        assert abs((labels == PLANTED).mean() - 0.5) <= 0.05
        stratum = pd.qcut(merged["target"], 4) if numbers else merged["target"]
        shares = (merged["label"] == PLANTED).groupby(stratum, observed=True).mean()
        assert shares.between(0.35, 0.65).all()


def test_unrelated_people_are_halved_exactly():
    people = cohort(41).assign(group=None, target=["F"] * 20 + ["M"] * 21)
    counts = pd.crosstab(people.set_index("participant_id")["target"], draw_labels(people, 3))
    assert (counts.loc["F"] == 10).all()
    assert sorted(counts.loc["M"]) == [10, 11]
    numbers = draw_labels(people.assign(target=np.arange(41.0)), 3)
    quarters = (numbers == PLANTED).to_numpy().reshape(-1)[:40].reshape(4, 10).sum(axis=1)
    assert (abs(quarters - 5) <= 1).all()


def test_labels_hang_on_the_seed_and_neither_on_order_nor_on_salt():
    people = cohort()
    first = draw_labels(people, 1)
    pd.testing.assert_series_equal(draw_labels(people.sample(frac=1, random_state=2), 1), first)
    salted = people.assign(group=hash_groups(people["group"], "salt"))
    pd.testing.assert_series_equal(draw_labels(salted, 1), first)
    draws = np.array([draw_labels(people, seed) == PLANTED for seed in range(40)])
    assert (draws.mean(axis=0) > 0.15).all(), "everybody carries it in some draws"
    assert (draws.mean(axis=0) < 0.85).all()


def test_labels_that_cannot_be_drawn():
    people = cohort(6)
    with pytest.raises(InputError, match="of one family"):
        draw_labels(people.assign(group="same"), 1)
    with pytest.raises(InputError, match=r"more than once\n  - p000"):
        draw_labels(pd.concat([people, people[:1]]), 1)
    with pytest.raises(InputError, match="no two of the 6 people have the same target"):
        draw_labels(people.assign(target=list("abcdef"), group=None), 1)


def test_settings_that_cannot_be_are_all_named():
    with pytest.raises(InputError) as error:
        PlantedSettings([], kind="size", volume_effect=2, effect="1", spread=-1, seed=1.5)
    for name in ("regions: []", "kind: 'size'", "volume_effect: 2", "effect: '1'", "spread: -1", "seed: 1.5"):
        assert f"  - {name}, expected" in str(error.value)
    with pytest.raises(InputError, match="every region once"):
        PlantedSettings([3, 3])
    with pytest.raises(InputError, match=r"intensity_effect: 0, expected more, because kind is both"):
        PlantedSettings([3], intensity_effect=0)
    assert PlantedSettings([3], kind="volume", intensity_effect=0).size("intensity_effect") == 0


def test_regions_that_cannot_be_taken(atlas):
    table = pd.concat([REGIONS, pd.DataFrame({"index": [8, 9], "name": ["Ball R", "Gone"]})])
    with pytest.raises(InputError) as error:
        planted_effects(PlantedSettings([7, "Ball L", "Ball R", 9, 12]), atlas, table)
    for reason in ("'Ball L': the label 7, which", "the name of the labels [3, 8]", "9: no voxel", "12: not in the"):
        assert reason in str(error.value)
    with pytest.raises(InputError, match="would fold the image\n"):
        planted_effects(PlantedSettings([3], "volume", volume_effect=1.5, effect=2.0), atlas, REGIONS)
    with pytest.raises(InputError, match="intensities would become negative"):
        planted_effects(PlantedSettings([3], "intensity", intensity_effect=0.9, effect=2.0), atlas, REGIONS)


def test_amounts_have_their_mean_and_spread_and_an_own_stream_a_region():
    settings = PlantedSettings([3, 7], effect=0.5, spread=0.25, seed=4)
    ids = [f"p{i}" for i in range(2000)]
    for label, mean in zip(LABELS, (0, 0.5), strict=True):
        amounts = np.array([planted_amounts(settings, [3, 7], person, label) for person in ids])
        np.testing.assert_allclose(amounts.mean(axis=0), mean, atol=0.01)
        np.testing.assert_allclose(amounts.std(axis=0), 0.125, rtol=0.05)
        assert abs(np.corrcoef(amounts.T)[0, 1]) < 0.07
    alone = planted_amounts(settings, [7], "p0", CONTROL)
    np.testing.assert_array_equal(planted_amounts(settings, [3, 7], "p0", CONTROL)[1:], alone)
    assert not planted_amounts(PlantedSettings([3], effect=0), [3], "p0", PLANTED).any()


def test_the_nominal_change_reaches_its_size_where_it_was_asked_for(both, atlas):
    intensity, volume = planted_change(both)
    assert volume.max() == pytest.approx(0.8, rel=0.03)
    assert intensity.max() == pytest.approx(0.3, rel=0.03)
    assert volume.min() > -0.05
    truth = planted_truth(PlantedSettings([3, 7]), both)
    for index, centre in ((3, RIGHT), (7, LEFT)):
        side = np.sign(places(COMMON)[..., 0]) == np.sign(centre[0])
        found = (truth > 0) & side
        np.testing.assert_allclose(places(COMMON)[found].mean(axis=0), centre, atol=1.0)
        assert 2 * (found & (atlas == index)).sum() / (found.sum() + (atlas == index).sum()) > 0.7
    assert set(np.unique(truth)) == {0, 1, 3}  # what grew shines beyond where it grows by half
    np.testing.assert_array_equal(planted_truth(PlantedSettings([3, 7], effect=0), both), truth)


def test_the_truth_of_one_kind_has_its_code(atlas):
    for kind, code in (("intensity", 1), ("volume", 2)):
        settings = PlantedSettings([3], kind)
        assert set(np.unique(planted_truth(settings, planted_effects(settings, atlas, REGIONS)))) == {0, code}


@pytest.mark.parametrize("amount", [1.0, -0.5])
def test_a_ball_grows_by_the_asked_share(both, amount):
    """A ball of 7 mm within the region, measured on the common grid after the displaced sampling of a 1.4 mm volume."""
    fine = HCP.rescaled((130, 156, 130))
    scan = Volume((100 * ball(fine, RIGHT, 7)).astype(np.float32), fine.affine)
    with sampler(scan) as sample:
        before, after = (sample(both.change(np.array([a, a])).displacement)[0] for a in (0, amount))
    share = after.sum(dtype=float) / before.sum(dtype=float)
    # Within the ball, before it grew: the local growth of the nominal displacement, averaged as 1 / det is.
    _, volume = planted_change(both, amount)
    inside = ball(COMMON, RIGHT, 7 * share ** (1 / 3))
    expected = 1 / np.mean(1 / (1 + volume[inside]))
    assert share == pytest.approx(expected, rel=0.04)
    assert (share > 1.6) if amount > 0 else (share < 0.85)
    centre = np.average(places(COMMON), axis=(0, 1, 2), weights=after)
    np.testing.assert_allclose(centre, RIGHT, atol=0.6)


def test_far_from_the_regions_carriers_are_as_sharp_as_others(both):
    grid = HCP.rescaled((104, 124, 104))
    scan = Volume(np.random.default_rng(0).standard_normal(grid.shape).astype(np.float32), grid.affine)
    with sampler(scan) as sample:
        spread = 0.25 * np.array([0.7, -1.1])
        control, carrier = (both.change(amounts) for amounts in (spread, 1 + spread))
        (other, _), (own, _) = (sample(change.displacement) for change in (control, carrier))
    edges = [sum(np.gradient(data, axis=axis) ** 2 for axis in range(3)) for data in (other, own)]
    moved = np.linalg.norm(carrier.displacement, axis=0)
    far = (moved < 0.1) & (moved > 0.002) & (other != 0)
    assert far.sum() > 20_000
    assert edges[1][far].mean() / edges[0][far].mean() == pytest.approx(1, abs=0.005)
    # Pushed aside without growing, around the regions: texture is moved, not smoothed.
    volume = planted_change(both)[1]
    aside = (moved > 0.5) & (np.abs(volume) < 0.03)
    assert aside.sum() > 300
    assert edges[1][aside].mean() / edges[0][aside].mean() == pytest.approx(1, abs=0.1)


@pytest.fixture
def people(tmp_path):
    """Six textured brains at about 2 mm, one of whom failed quality control; files as the workflow has them."""
    import nibabel as nib

    grid = HCP.rescaled((70, 84, 70))
    ids = ["e", "a", "c", "b", "d", "f"]
    for number, person in enumerate(ids):
        texture = 100 + 20 * np.random.default_rng(number).standard_normal(grid.shape)
        data = (mni_brain(grid.shape) * texture).astype(np.float32)
        nib.save(nib.Nifti1Image(data, grid.affine), tmp_path / f"{person}.nii")
    table = pd.DataFrame({"participant_id": ids, "target": list("FMFMFM"), "group": ["x", "y", "z", "x", None, None]})
    write_table(table.assign(image=table["participant_id"] + ".nii", mask=None), tmp_path / "participants.tsv")
    write_table(pd.DataFrame({"participant_id": ["a", "b", "c", "d", "e"]}), tmp_path / "index.tsv")
    return ids


def test_scripts_plant_and_score_whatever_the_batches(people, atlas, tmp_path, monkeypatch):
    write_image(atlas, COMMON.affine, tmp_path / "atlas.nii.gz")
    write_table(REGIONS, tmp_path / "atlas.tsv")
    write_image(mni_brain(), COMMON.affine, tmp_path / "brain.nii.gz")
    atlas_files = (tmp_path / "atlas.nii.gz", tmp_path / "atlas.tsv")
    planted, plantings = {"regions": ["Ball R"]}, [{"effect": 1.0, "seed": 2}, {"effect": 0.0, "seed": 2}]

    def files(batch, end):
        return [tmp_path / f"planting-{n}_batch-{batch}.{end}" for n in range(len(plantings))]

    batches = [people[:2], people[2:5], people[5:]]  # in the last nobody passed
    for number, ids in enumerate(batches):
        batch = {"participant_id": ids, "image": [f"{one}.nii" for one in ids], "mask": [None] * len(ids)}
        plant_people.run(
            tmp_path, batch, tmp_path / "index.tsv", tmp_path / "participants.tsv", atlas_files,
            files(number, "npy"), files(number, "tsv"), planted=planted, plantings=plantings,
            settings={"align": "none", "space": "mni", "intensity": "zscore"}, seed=1, task="classification", threads=1,
        )  # fmt: skip
    labels = pd.concat([read_table(files(number, "tsv")[0]) for number in range(3)]).set_index("participant_id")[
        "label"
    ]
    assert labels.index.tolist() == people[:5]
    assert labels["e"] == labels["b"], "siblings"
    assert read_array(files(2, "npy")[0]).shape == (0, *COMMON.shape)
    (own, nothing) = (read_array(path)[0] for path in files(0, "npy"))
    plain, _, _ = downsample(tmp_path / "e.nii", None, "e")
    np.testing.assert_allclose(nothing, plain, atol=1e-4)
    assert np.abs(own - plain)[atlas == 3].mean() > 10 * np.abs(own - plain)[places(COMMON)[..., 0] < -20].mean()

    seen = {}

    def score_cohort(images, people, truth, brain, training, methods, **options):
        seen.update(images=images, people=people, truth=truth, training=training, methods=methods, **options)
        return [pd.DataFrame({"x": [1]})] * 3

    monkeypatch.setattr(score_planted, "score_cohort", score_cohort)
    written = [tmp_path / f"{name}.tsv" for name in ("scores", "accuracy", "cost")]
    score_planted.run(
        [files(number, "npy")[0] for number in range(3)], [files(number, "tsv")[0] for number in range(3)],
        tmp_path / "participants.tsv", tmp_path / "brain.nii.gz", atlas_files, *written,
        planted=planted | plantings[0], training={"epochs": 1}, task="classification", seed=1,
        methods={"lrp": {"method": "lrp", "target": "M"}, "masks": {"method": "perturbation", "target": "predicted"}},
        device=("cpu", 1), partial=str(tmp_path / "partial"), code="x", shuffles=7,
    )  # fmt: skip
    assert seen["people"]["participant_id"].tolist() == ["a", "b", "c", "d", "e"]
    assert seen["people"]["target"].tolist() == [labels[person] for person in "abcde"]
    assert seen["people"]["group"].tolist()[:3] == ["y", "x", "z"]
    np.testing.assert_array_equal(seen["images"][4], own)
    assert (seen["training"].labels, seen["shuffles"]) == (LABELS, 7)
    assert (seen["truth"] > 0)[atlas == 3].mean() > 0.5
    # A class of the cohort is none of the benchmark's.
    assert seen["methods"] == {"lrp": {"method": "lrp"}, "masks": {"method": "perturbation", "target": "predicted"}}
    assert read_table(written[0]).to_dict("list") == {"design": ["planted"], "effect": [1.0], "seed": [2], "x": [1]}


@pytest.mark.slow
@pytest.mark.skipif(not IXI.is_dir(), reason=f"no real brains at {IXI}")
def test_a_real_brain_changes_in_the_region_and_nowhere_else(both, atlas):
    person = pd.read_csv(IXI / "participants.tsv", sep="\t")["participant_id"][0]
    image = IXI / "anat" / f"{person}_T1w_brain.nii.gz"
    plain, brain, row = downsample(image, None, person, align="affine", intensity="none")
    assert row["problem"] == ""
    changes = [both.change(np.array(amounts)) for amounts in ((0.0, 0.0), (1.0, 0.0))]
    same, own = downsample_changed(image, None, person, changes, align="affine", intensity="none")
    np.testing.assert_allclose(same, plain, rtol=1e-4, atol=1e-2)
    change = np.abs(own - plain)
    other_side = brain & (places(COMMON)[..., 0] < -30)
    assert change[atlas == 3].mean() > 30 * change[other_side].mean()
    core = ball(COMMON, RIGHT, 6)
    assert own[core].mean() == pytest.approx(1.28 * plain[core].mean(), rel=0.12)
