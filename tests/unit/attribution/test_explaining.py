"""The maps of one job's people: files, targets, and what an end in the middle leaves."""

import json
import time

import nibabel as nib
import numpy as np
import pytest
import torch
from filelock import FileLock

from explaining_job import IDS, ROWS, TRUE, starter
from voxplain.attribution import explaining
from voxplain.attribution.explaining import explain_people, partial_key
from voxplain.attribution.registry import Explainer, explain
from voxplain.base.errors import InputError
from voxplain.base.files import read_table
from voxplain.imaging.grid import COMMON


@pytest.fixture
def job(small_cnn, images, tmp_path):
    return starter(small_cnn, images, tmp_path)


def test_maps_and_table(job, small_cnn, images, tmp_path):
    out = job()
    assert sorted(p.name for p in out.iterdir()) == sorted(["maps.tsv", *(f"sub-{i}_map.nii.gz" for i in IDS)])
    expected = explain("hirescam", small_cnn, images[ROWS], torch.tensor([[-1.0, 1.0]]).repeat(4, 1))
    for place, person in enumerate(IDS):
        image = nib.load(out / f"sub-{person}_map.nii.gz")
        assert image.get_data_dtype() == np.float32
        np.testing.assert_allclose(image.get_fdata(), expected[place], rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(image.affine, COMMON.rescaled((22, 24, 22)).affine, atol=1e-4)
    table = read_table(out / "maps.tsv")
    assert table["participant_id"].tolist() == sorted(IDS)
    assert table["target"].tolist() == ["F", "M", "M", "F"]
    assert table["explained"].tolist() == ["M-F"] * 4
    logits = small_cnn.eval()(images[ROWS]).detach().numpy()
    by_id = dict(zip(table["participant_id"], table["score_before"], strict=True))
    np.testing.assert_allclose([by_id[i] for i in IDS], logits[:, 1] - logits[:, 0], rtol=1e-3, atol=1e-5)
    assert table[["score_after", "iterations", "conservation"]].isna().all(axis=None)
    assert not (tmp_path / "partial" / "out").exists()


def test_the_cut_into_jobs_and_batches_plays_no_part(job):
    settings = {"replacement": "blur", "iterations": 5, "l1": 0.02, "tolerance": None, "jitters": 2}
    whole = job("whole", method="perturbation", settings=settings, batch_size=4)
    for part in range(2):
        cut = slice(part, None, 2)
        piece = job(f"p{part}", IDS[cut], ROWS[cut], TRUE[cut], "perturbation", settings, batch_size=1)
        for person in IDS[cut]:
            a, b = (nib.load(f / f"sub-{person}_map.nii.gz").get_fdata() for f in (whole, piece))
            assert a.max() > 0
            np.testing.assert_allclose(a, b, atol=1e-3 * a.max())
    table = read_table(whole / "maps.tsv")
    assert table["iterations"].tolist() == [5] * 4
    assert set(table["explained"]) <= {"p(F)", "p(M)"}  # a contrast means the predicted class here
    assert table["score_after"].notna().all()


@pytest.mark.parametrize(("target", "explained"), [("true", ["F", "M", "M", "F"]), ("F", ["F"] * 4)])
def test_targets(job, target, explained):
    assert read_table(job(settings={"target": target}) / "maps.tsv")["explained"].tolist() == explained


def test_predicted_target(job, small_cnn, images):
    table = read_table(job(settings={"target": "predicted"}, batch_size=3) / "maps.tsv")
    predicted = small_cnn.eval()(images[ROWS]).argmax(dim=1)
    assert dict(zip(table.participant_id, table.explained, strict=True)) == {
        person: "FM"[k] for person, k in zip(IDS, predicted.tolist(), strict=True)
    }


def test_no_people(job):
    out = job(ids=[], rows=[], true=[])
    assert (
        out / "maps.tsv"
    ).read_text() == "participant_id\ttarget\texplained\tscore_before\tscore_after\titerations\tconservation\n"
    assert [p.name for p in out.iterdir()] == ["maps.tsv"]


def test_an_interrupted_job_goes_on(job, tmp_path, monkeypatch):
    undisturbed = job("undisturbed")
    calls = []
    real = Explainer.__call__

    def failing(self, images, targets, participant_ids, batch_size):
        calls.append(participant_ids)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, images, targets, participant_ids, batch_size)

    monkeypatch.setattr(Explainer, "__call__", failing)
    with pytest.raises(KeyboardInterrupt):
        job()
    partial = tmp_path / "partial" / "out"
    assert sorted(p.stem for p in partial.glob("*.json")) == ["a1", "c3"]
    assert not (tmp_path / "out").exists()
    job()
    assert calls == [["c3", "a1"], ["b2", "d4"], ["b2", "d4"]]
    for file in undisturbed.iterdir():
        assert (tmp_path / "out" / file.name).read_bytes() == file.read_bytes()
    assert not partial.exists()


def test_an_error_in_writing_ends_the_job(job, tmp_path, monkeypatch):
    real = explaining.write_image

    def failing(data, affine, path):
        if "a1" in path.name:
            raise OSError("no space left on device")
        real(data, affine, path)

    monkeypatch.setattr(explaining, "write_image", failing)
    with pytest.raises(OSError, match="no space left on device"):
        job()
    assert not (tmp_path / "out").exists()
    assert "a1" not in [p.stem for p in (tmp_path / "partial" / "out").glob("*.json")]
    monkeypatch.undo()
    assert len(list(job().glob("sub-*"))) == 4


def test_maps_are_written_in_order_and_few_wait(job, monkeypatch):
    made, written, ahead = [], [], []
    real_explain, real_keep = Explainer.__call__, explaining._keep

    def explain_some(self, images, targets, participant_ids, batch_size):
        made.extend(participant_ids)
        ahead.append(len(made) - len(written))
        return real_explain(self, images, targets, participant_ids, batch_size)

    def keep(partial, person, *more):
        time.sleep(0.02)
        written.append(person)
        real_keep(partial, person, *more)

    monkeypatch.setattr(Explainer, "__call__", explain_some)
    monkeypatch.setattr(explaining, "_keep", keep)
    job(batch_size=1)
    assert written == IDS
    assert max(ahead) <= 3


def test_a_batch_that_was_kept_in_part_is_explained_again_as_a_whole(job, tmp_path, monkeypatch):
    """The last bits of a map depend on who is beside a person: fewer would be another batch."""
    undisturbed = job("undisturbed")
    calls = []
    real, kept = Explainer.__call__, explaining._keep

    def counted(self, images, targets, participant_ids, batch_size):
        calls.append(participant_ids)
        return real(self, images, targets, participant_ids, batch_size)

    def full(partial, person, *rest):
        if person == "d4":
            raise OSError(28, "No space left on device")
        kept(partial, person, *rest)

    monkeypatch.setattr(Explainer, "__call__", counted)
    with monkeypatch.context() as disk:
        disk.setattr(explaining, "_keep", full)
        with pytest.raises(OSError, match="No space"):
            job()
    assert sorted(p.stem for p in (tmp_path / "partial" / "out").glob("*.json")) == ["a1", "b2", "c3"]
    calls.clear()
    job()
    assert calls == [["b2", "d4"]]
    for file in undisturbed.iterdir():
        assert (tmp_path / "out" / file.name).read_bytes() == file.read_bytes()


def test_a_map_without_its_row_is_made_again(job, tmp_path):
    partial = tmp_path / "partial" / "out"
    partial.mkdir(parents=True)
    (partial / "sub-a1_map.nii.gz").write_bytes(b"half")
    assert nib.load(job() / "sub-a1_map.nii.gz").shape == (22, 24, 22)


def test_two_processes_do_not_share_a_folder(job, tmp_path):
    partial = tmp_path / "partial" / "out"
    partial.mkdir(parents=True)
    with FileLock(partial / ".lock"), pytest.raises(InputError, match="another process is computing the same maps"):
        job()
    assert job().exists()


def test_settings_are_checked_before_any_work(job):
    with pytest.raises(InputError, match="hirescam has no such settings"):
        job(settings={"colour": 1})
    with pytest.raises(InputError, match="target: 'X' is neither"):
        job(settings={"target": "X"})


def test_regression(images, tmp_path):
    model = torch.nn.Sequential(torch.nn.Conv3d(1, 1, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.LazyLinear(1))
    model(images)
    explain_people(
        model, {"labels": []}, images[:, 0].numpy(), [0, 1], ["a", "b"], [31.5, 28.0], "gradcam", {}, "cpu", None,
        tmp_path / "partial", tmp_path / "out", seed=0,
    )  # fmt: skip
    table = read_table(tmp_path / "out" / "maps.tsv")
    assert table["explained"].tolist() == ["regression"] * 2
    assert table["target"].astype(float).tolist() == [31.5, 28.0]


def test_partial_key_knows_all_that_matters(tmp_path):
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(b"1")
    base = {
        "weights": weights,
        "settings": {"method": "gradcam", "target": "true"},
        "ids": ["a", "b"],
        "code": "code",
        "targets": ["F", "M"],
        "images": [np.zeros((2, 2, 2), np.float32), np.ones((2, 2, 2), np.float32)],
    }
    key = partial_key(**base)
    assert len(key) == 16
    assert key == partial_key(**base | {"settings": json.loads(json.dumps(base["settings"]))})
    changed = {
        "settings": {"method": "hirescam"},
        "ids": ["b", "a"],
        "code": "other",
        "targets": ["F", "F"],
        "images": [np.zeros((2, 2, 2), np.float32), np.full((2, 2, 2), 1.5, np.float32)],
    }
    others = {partial_key(**base | {name: value}) for name, value in changed.items()}
    weights.write_bytes(b"2")
    others.add(partial_key(**base))
    assert key not in others
    assert len(others) == len(changed) + 1
