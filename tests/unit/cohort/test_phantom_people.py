"""Phantom people as files: headers, sides, sizes, truth, and independence of the batch."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import center_of_mass

from voxplain.base.errors import InputError
from voxplain.base.files import read_table
from voxplain.cohort.phantom import PhantomSettings, design, make_parcels, make_people, write_truth
from voxplain.cohort.phantom.anatomy import anatomy, asymmetric
from voxplain.cohort.phantom.fields import positions, sample
from voxplain.cohort.phantom.people import IMAGES
from voxplain.imaging.grid import COMMON, HCP, mni_brain, resample_to

# Little chance in the effects and the bias field, so that a few people suffice.
SETTINGS = PhantomSettings(people=12, grid="common", family_size=2, effect_spread=0.1, bias=0.03)
NATIVE = replace(SETTINGS, space="acpc")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Parcels, truth and twelve people on the common grid, in MNI space."""
    folder = tmp_path_factory.mktemp("phantom")
    make_parcels(folder)
    write_truth(SETTINGS, folder)
    make_people(design(SETTINGS)["participant_id"], SETTINGS, folder)
    return folder


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    folder = tmp_path_factory.mktemp("native")
    make_people(design(NATIVE)["participant_id"], NATIVE, folder)
    return folder


def images_of(folder, space="mni"):
    return {i: nib.load(folder / i / IMAGES[space]).get_fdata() for i in design(SETTINGS)["participant_id"]}


def volume_effect_on(folder):
    """Ratio men / women of each parcel's share of the intracranial volume."""
    measures = read_table(folder / "measures.tsv").set_index("Subject")
    share = measures.drop(columns="FS_IntraCranial_Vol").div(measures["FS_IntraCranial_Vol"], axis=0)
    sex = design(SETTINGS).set_index("participant_id")["Gender"]
    share.index = share.index.astype(str)
    return share[sex == "M"].mean() / share[sex == "F"].mean()


# -- parcels and truth -------------------------------------------------------------------------------------------


def test_parcels_cover_the_brain_and_lie_on_the_side_of_their_name(folder):
    image, names = nib.load(folder / "parcels.nii.gz"), read_table(folder / "parcels.tsv")
    data = np.asarray(image.dataobj)
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S")
    assert list(names) == ["index", "name"]
    assert sorted(np.unique(data)) == [0, *names["index"]]
    assert names["name"].str.contains("GM").sum() == 100
    assert names["name"].str.contains("WM").sum() == 50
    centres = center_of_mass(data > 0, data, names["index"])
    for name, centre in zip(names["name"], centres, strict=True):
        x = (image.affine @ [*centre, 1])[0]
        assert (x < 0) == name.endswith(" L"), f"{name} at x = {x:.1f}"
    on_common = resample_to(data, image.affine, COMMON, order=0)
    assert np.bincount(on_common.ravel(), minlength=151)[1:].min() > 50
    assert (on_common[mni_brain()] > 0).mean() > 0.85


def test_left_parcels_are_no_mirror_images_of_the_right_ones(folder):
    data = np.asarray(nib.load(folder / "parcels.nii.gz").dataobj)
    pair = np.where(data > 0, (data + 1) // 2, 0)
    around_midline = pair[:197]  # 98 voxels on either side of x = 0
    same = around_midline == around_midline[::-1]
    assert same[around_midline > 0].mean() < 0.75


def test_truth_lies_in_the_planted_parcels_on_their_side_only(folder):
    parcels = nib.load(folder / "parcels.nii.gz")
    on_common = resample_to(np.asarray(parcels.dataobj), parcels.affine, COMMON, order=0)
    truth_image = nib.load(folder / "truth.nii.gz")
    truth, regions = np.asarray(truth_image.dataobj), read_table(folder / "truth_regions.tsv")
    assert truth.dtype == np.uint8
    assert COMMON.matches(truth.shape, truth_image.affine)
    assert list(regions) == ["index", "name", "hemisphere", "kind", "volume_effect", "intensity_effect"]
    planted = np.isin(on_common, regions["index"])
    dice = 2 * (planted & (truth > 0)).sum() / (planted.sum() + (truth > 0).sum())
    assert dice > 0.7
    codes = {"intensity": {1}, "volume": {2}, "both": {1, 2, 3}}
    for row in regions.itertuples():
        inside = truth[on_common == row.index]
        assert (inside > 0).mean() > 0.4, row.name
        assert set(np.unique(inside)) - {0} <= codes[row.kind], row.name
        assert row.hemisphere == ("left" if row.name.endswith(" L") else "right")
        mirror = row.index + 1 if row.hemisphere == "left" else row.index - 1
        if mirror not in set(regions["index"]):
            assert (truth[on_common == mirror] > 0).mean() < 0.05, f"opposite of {row.name}"
    one_sided = [i for i in regions["index"] if (i + 1 if i % 2 else i - 1) not in set(regions["index"])]
    assert len(one_sided) >= 2
    assert {name.split()[1] for name in regions["name"]} == {"GM", "WM"}


def test_without_an_effect_there_is_no_truth(tmp_path):
    write_truth(PhantomSettings(effect=0.0), tmp_path)
    assert not np.asarray(nib.load(tmp_path / "truth.nii.gz").dataobj).any()
    assert (read_table(tmp_path / "truth_regions.tsv")[["volume_effect", "intensity_effect"]] == 0).all(axis=None)


def test_a_persons_truth_is_the_populations_bent_a_little(folder):
    truth = np.asarray(nib.load(folder / "truth.nii.gz").dataobj) > 0
    own = [np.asarray(nib.load(folder / i / "truth.nii.gz").dataobj) for i in design(SETTINGS)["participant_id"][:4]]
    for codes in own:
        assert COMMON.matches(codes.shape, nib.load(folder / "truth.nii.gz").affine)
        dice = 2 * (truth & (codes > 0)).sum() / (truth.sum() + (codes > 0).sum())
        assert 0.6 < dice < 0.98
        flipped = codes[::-1] > 0
        assert 2 * (truth & flipped).sum() / (truth.sum() + flipped.sum()) < dice - 0.15
    assert (own[0] != own[1]).any()


# -- people ------------------------------------------------------------------------------------------------------


def test_images_lie_in_mni_space_and_a_flip_is_seen(folder):
    """Every image is more like the asymmetric reference brain than like its mirror image."""
    atlas = anatomy()
    reference = sample(atlas.t1, atlas.grid, asymmetric(positions(COMMON)), outside="zeros")[0].permute(2, 1, 0).numpy()
    brain = mni_brain()
    for person, data in images_of(folder).items():
        mask = data > 0
        assert 2 * (mask & brain).sum() / (mask.sum() + brain.sum()) > 0.93, person
        upright = np.corrcoef(data[brain], reference[brain])[0, 1]
        flipped = np.corrcoef(data[::-1][brain], reference[brain])[0, 1]
        assert upright > flipped + 0.1, f"{person}: {upright:.2f}, mirrored {flipped:.2f}"


def test_planted_intensity_is_on_its_side(folder):
    """The one-sided intensity effect is seen at positive x, so that an image flipped anywhere fails."""
    people = images_of(folder)
    sex = design(SETTINGS).set_index("participant_id")["Gender"]
    truth = np.asarray(nib.load(folder / "truth.nii.gz").dataobj)
    x = COMMON.affine[0, 0] * np.arange(58) + COMMON.affine[0, 3]
    y = COMMON.affine[1, 1] * np.arange(70) + COMMON.affine[1, 3]
    frontal = (truth == 1) & (x > 0)[:, None, None] & (y > 20)[:, None]
    assert frontal.sum() > 100
    relative = {i: data / data[data > 0].mean() for i, data in people.items()}
    means = {s: np.mean([relative[i] for i in people if sex[i] == s], axis=0) for s in "FM"}
    there = (means["M"] / means["F"].clip(0.01))[frontal].mean()
    opposite = (means["M"] / means["F"].clip(0.01))[frontal[::-1]].mean()
    assert there == pytest.approx(1 + 0.8 * SETTINGS.intensity_effect, abs=0.08)
    assert opposite == pytest.approx(1, abs=0.06)


def test_planted_parcels_are_larger_in_men_and_only_they(folder):
    ratio = volume_effect_on(folder)
    regions = read_table(folder / "truth_regions.tsv")
    column = {name: f"FS_{name.replace(' ', '_')}_Vol" for name in regions["name"]}
    grown = regions[regions["kind"] != "intensity"]
    others = ratio.drop(list(column.values()))
    assert len(grown) == 4
    for name in grown["name"]:
        assert ratio[column[name]] > 1.25, name
        assert ratio[column[name]] > others.max(), name
    assert others.median() == pytest.approx(1, abs=0.03)


def test_head_size_shows_in_native_space_and_not_in_mni(folder, native):
    factor = design(SETTINGS).set_index("participant_id")["head_size"] ** 3
    normalised = pd.Series({i: (data > 0).sum() for i, data in images_of(folder).items()})
    own = pd.Series({i: (data > 0).sum() for i, data in images_of(native, "acpc").items()})
    ratio = own / normalised
    assert np.corrcoef(ratio, factor)[0, 1] > 0.99
    assert ratio.mean() == pytest.approx(factor.mean(), rel=0.02)
    assert normalised.std() / normalised.mean() < 0.02
    sex = design(SETTINGS).set_index("participant_id")["Gender"]
    assert own[sex == "M"].mean() > 1.05 * own[sex == "F"].mean()


def test_measures_are_native_in_both_spaces(folder, native):
    one = read_table(folder / "measures.tsv").set_index("Subject")
    other = read_table(native / "measures.tsv").set_index("Subject")
    assert list(one) == list(other)
    assert len(one.columns) == 151
    assert (one / other - 1).abs().max(axis=None) < 0.08
    head = design(SETTINGS)["head_size"].to_numpy() ** 3 * 1.883e6
    np.testing.assert_allclose(one["FS_IntraCranial_Vol"], head, rtol=0.05)
    np.testing.assert_allclose(other["FS_IntraCranial_Vol"], head, rtol=0.05)


def test_siblings_are_more_alike_than_strangers(folder):
    people = design(SETTINGS)
    volumes = read_table(folder / "measures.tsv").set_index("Subject")
    volumes = volumes.div(volumes["FS_IntraCranial_Vol"], axis=0).drop(columns="FS_IntraCranial_Vol")
    volumes = volumes.loc[:, volumes_unplanted(folder, volumes)]
    likeness = np.corrcoef((volumes / volumes.mean() - 1).to_numpy())
    family = people["Family_ID"].to_numpy()
    siblings = (family[:, None] == family[None, :]) & ~np.eye(len(people), dtype=bool)
    strangers = family[:, None] != family[None, :]
    assert siblings.any()
    assert likeness[siblings].mean() > likeness[strangers].mean() + 0.25


def volumes_unplanted(folder, volumes):
    planted = read_table(folder / "truth_regions.tsv")["name"].str.replace(" ", "_")
    return [column for column in volumes.columns if column not in set("FS_" + planted + "_Vol")]


def test_a_person_does_not_depend_on_the_batch(folder, tmp_path):
    ids = list(design(SETTINGS)["participant_id"])
    make_people([ids[7], ids[2]], SETTINGS, tmp_path)
    for person in (ids[2], ids[7]):
        for file in (IMAGES["mni"], "truth.nii.gz"):
            one, other = ((root / person / file).read_bytes() for root in (folder, tmp_path))
            assert one == other, f"{person}/{file}"
    together = read_table(folder / "measures.tsv").set_index("Subject")
    alone = read_table(tmp_path / "measures.tsv").set_index("Subject")
    pd.testing.assert_frame_equal(together.loc[alone.index], alone)
    larger = replace(SETTINGS, people=40)
    make_people([ids[2]], larger, tmp_path / "larger")
    assert (tmp_path / "larger" / ids[2] / IMAGES["mni"]).read_bytes() == (folder / ids[2] / IMAGES["mni"]).read_bytes()


def test_strangers_are_refused_and_an_empty_batch_is_a_table(tmp_path):
    with pytest.raises(InputError, match=r"2 ids are not among the 12 people(.|\n)*123\n(.|\n)*sub1"):
        make_people(["123", "sub1", "100206"], SETTINGS, tmp_path)
    make_people([], SETTINGS, tmp_path)
    assert len(read_table(tmp_path / "measures.tsv")) == 0


def test_on_the_hcp_grid_header_and_voxels_are_those_of_the_hcp(folder, tmp_path):
    settings = replace(SETTINGS, grid="hcp")
    person = design(settings)["participant_id"][3]
    make_people([person], settings, tmp_path)
    image = nib.load(tmp_path / person / "MNINonLinear" / "T1w_restore_brain.nii.gz")
    assert HCP.matches(image.shape, image.affine)
    assert nib.aff2axcodes(image.affine) == ("L", "A", "S")
    assert image.get_data_dtype() == np.int16
    assert (int(image.header["sform_code"]), int(image.header["qform_code"])) == (4, 4)
    np.testing.assert_allclose(image.get_qform(), image.affine, atol=1e-4)
    data = np.asarray(image.dataobj)
    assert (data > 0).sum() * 0.343 / 1000 == pytest.approx(1880, rel=0.05)
    coarse = nib.load(folder / person / IMAGES["mni"]).get_fdata()
    sampled = resample_to(data, image.affine, COMMON)
    both = (coarse > 0) & (sampled > 0)
    assert both.sum() > 0.95 * (coarse > 0).sum()
    assert np.corrcoef(coarse[both], sampled[both])[0, 1] > 0.97
    assert (tmp_path / person / "truth.nii.gz").read_bytes() == (folder / person / "truth.nii.gz").read_bytes()


def test_float32_is_written_unrounded(tmp_path):
    settings = replace(SETTINGS, dtype="float32")
    person = design(settings)["participant_id"][0]
    make_people([person], settings, tmp_path)
    image = nib.load(tmp_path / person / IMAGES["mni"])
    data = np.asarray(image.dataobj)
    assert image.get_data_dtype() == np.float32
    assert (data != np.round(data)).mean() > 0.1
