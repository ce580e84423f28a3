"""Jobs whose device has too little memory for a batch."""

import nibabel as nib
import numpy as np
import pytest
import torch

from explaining_job import IDS, LABELS, ROWS, TRUE, starter
from voxplain.attribution.explaining import explain_people
from voxplain.attribution.registry import Explainer
from voxplain.base.errors import InputError


@pytest.fixture
def job(small_cnn, images, tmp_path):
    return starter(small_cnn, images, tmp_path)


class Narrow(torch.nn.Module):
    """A network on a device that holds the activations of so many images at most."""

    def __init__(self, network, most):
        super().__init__()
        self.network, self.most, self.passed = network, most, []

    def forward(self, images):
        self.passed.append(len(images))
        if len(images) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return self.network(images)


def limit_people(monkeypatch, most):
    """Let the memory end with more people than `most` at once; return the sizes of the batches that were tried."""
    tried, real = [], Explainer.__call__

    def call(self, images, targets, participant_ids, batch_size):
        tried.append(len(images))
        if len(images) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return real(self, images, targets, participant_ids, batch_size)

    monkeypatch.setattr(Explainer, "__call__", call)
    return tried


@pytest.mark.parametrize(("most", "batches"), [(3, [4, 2, 2]), (2, [4, 2, 2]), (1, [4, 2, 1, 1, 1, 1])])
def test_batches_get_smaller_when_the_memory_ends(job, monkeypatch, capfd, most, batches):
    expected = job("expected", batch_size=min(most, 2))
    tried = limit_people(monkeypatch, most)
    out = job(batch_size=4)
    assert tried == batches
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in expected.iterdir())
    assert [path.name for path in expected.iterdir() if (out / path.name).read_bytes() != path.read_bytes()] == []
    said = capfd.readouterr().err
    assert "hirescam: out of memory with 4 people at once; goes on with 2\n" in said
    assert ("out of memory with 2 people at once; goes on with 1\n" in said) == (most == 1)


def test_what_was_finished_before_the_memory_ended_is_not_made_again(job, monkeypatch):
    tried, real = [], Explainer.__call__

    def call(self, images, targets, participant_ids, batch_size):
        tried.append(participant_ids)
        if len(tried) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(self, images, targets, participant_ids, batch_size)

    monkeypatch.setattr(Explainer, "__call__", call)
    assert len(list(job().glob("sub-*"))) == 4
    assert tried == [["c3", "a1"], ["b2", "d4"], ["b2"], ["d4"]]


def test_not_even_one_person_fits(job, tmp_path, monkeypatch):
    limit_people(monkeypatch, 0)
    with pytest.raises(InputError, match=r"hirescam: not even one person fits into the memory of cpu\. End what else"):
        job(batch_size=4)
    assert not (tmp_path / "out").exists()


def test_methods_of_many_passes_take_fewer_images_in_each(small_cnn, images, tmp_path, capfd):
    made = {}
    for name, most in (("all", 99), ("few", 3)):
        network = Narrow(small_cnn, most)
        explain_people(
            network, LABELS, images[:, 0].numpy(), ROWS, IDS, TRUE, "smoothgrad", {"samples": 6}, "cpu", 2,
            tmp_path / "partial" / name, tmp_path / name, seed=3,
        )  # fmt: skip
        made[name] = [nib.load(tmp_path / name / f"sub-{person}_map.nii.gz").get_fdata() for person in IDS]
    assert "smoothgrad: out of memory with 2 people at once, 8 images a pass; goes on with 1 and 4" in (
        said := capfd.readouterr().err
    )
    assert "smoothgrad: out of memory with 1 people at once, 4 images a pass; goes on with 1 and 2" in said
    for a, b in zip(made["all"], made["few"], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(a).max())


def test_other_errors_of_a_network_are_no_lack_of_memory(job, monkeypatch):
    def call(*arguments):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(Explainer, "__call__", call)
    with pytest.raises(RuntimeError, match="shapes differ"):
        job()
