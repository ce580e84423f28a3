"""Remove and retrain: a task whose information lies in one block, resumed work, and the way to the table."""

import numpy as np
import pandas as pd
import pytest

import retrain_masked
import tabulate_retraining
from voxplain.base.errors import InputError
from voxplain.base.files import read_table, write_array, write_image, write_table
from voxplain.base.seeds import seed_for
from voxplain.evaluation import retraining
from voxplain.evaluation.masked_tables import summarise_retraining
from voxplain.evaluation.retraining import mean_image, random_maps, replaced_voxels, retrain
from voxplain.imaging.grid import COMMON
from voxplain.models.fold import train_and_test
from voxplain.models.metrics import fold_metrics
from voxplain.models.settings import TrainingSettings
from voxplain.population.summary import smooth

SHAPE, N = (10, 12, 10), 64
IDS = [f"p{i:02d}" for i in range(N)]
BRAIN = np.zeros(SHAPE, bool)
BRAIN[1:-1, 1:-1, 1:-1] = True
BLOCK = np.zeros(SHAPE, bool)
BLOCK[2:5, 2:6, 3:6] = True
SHARE = 100 * BLOCK.sum() / BRAIN.sum()


@pytest.fixture(scope="module")
def stack():
    """Class B is brighter in the block, and nowhere else."""
    images = np.random.default_rng(3).normal(size=(N, *SHAPE)).astype(np.float32)
    images[1::2, BLOCK] += 1.5
    return images


@pytest.fixture(scope="module")
def truth():
    """A map that knows the block: its values fall off around it."""
    return smooth(BLOCK.astype(np.float32), 6.0, COMMON.affine, BRAIN) + BLOCK


@pytest.fixture
def people():
    return pd.DataFrame(
        {"participant_id": IDS, "fold": [n // 2 % 2 for n in range(N)], "target": list("AB") * (N // 2)}
    )


@pytest.fixture
def settings():
    small = {"channels": 2, "blocks": 1, "dropout": 0.0}
    return TrainingSettings(
        arguments=small, labels=["A", "B"], epochs=8, batch_size=6, learning_rate=1e-2, checkpoint="last"
    )


def run(stack, people, maps, settings, folder, shares=(SHARE,), modes=("removed", "kept"), seed=5):
    return retrain(stack, people, 0, maps, BRAIN, shares, modes, settings, "cpu", seed, folder)


def values(table, metric="accuracy"):
    chosen = table[table["metric"] == metric]
    return chosen.set_index(["mode", "draw"])["value"].astype(float)


def test_removing_the_block_takes_everything_and_keeping_it_nothing(stack, people, truth, settings, tmp_path):
    real = run(stack, people, [truth], settings, tmp_path)
    assert list(real) == ["mode", "share", "draw", "metric", "value", "volume", "n", "n_train"]
    np.testing.assert_allclose(real["volume"], BLOCK.sum() / BRAIN.sum())
    assert (real["n"].eq(32) & real["n_train"].eq(32)).all()
    auc = values(real, "auc")
    assert auc["kept", 1] > 0.99
    assert abs(auc["removed", 1] - 0.5) < 0.25  # chance has a standard deviation of 0.1
    random = run(stack, people, random_maps(truth, BRAIN, 2, 1, 0), settings, tmp_path)
    np.testing.assert_allclose(random["volume"], BLOCK.sum() / BRAIN.sum())
    others = values(random, "auc").groupby("mode").mean()
    assert others["removed"] > auc["removed", 1]
    assert others["kept"] < auc["kept", 1]


def test_a_number_is_retrained_too(stack, people, truth, settings, tmp_path):
    amounts = np.random.default_rng(0).normal(50, 10, N)
    images = np.random.default_rng(3).normal(0, 0.3, size=(N, *SHAPE)).astype(np.float32)
    images[:, BLOCK] += ((amounts - 50) / 10)[:, None].astype(np.float32)
    people["target"] = amounts
    settings = TrainingSettings(**vars(settings) | {"task": "regression", "labels": ()})
    table = run(images, people, [truth], settings, tmp_path)
    errors = values(table, "mae")
    assert errors["kept", 1] < 0.7 * errors["removed", 1]
    assert set(table["metric"]) == {"mae", "r"}


def test_everybody_has_the_mean_of_the_training_people_where_voxels_are_replaced(
    stack, people, truth, settings, tmp_path, monkeypatch
):
    seen = []

    def look(images, *rest):
        seen.append((images[np.arange(N)], rest))
        return None, pd.DataFrame({"target": ["A", "B"], "prediction": ["A", "B"], "score": [0, 1]})

    monkeypatch.setattr(retraining, "train_and_test", look)
    before = stack.copy()
    run(stack, people, [truth], settings, tmp_path, seed=9)
    average = stack[(people["fold"] != 0).to_numpy()].mean(axis=0, dtype=np.float64)
    for (images, rest), kept in zip(seen, (~BLOCK, BLOCK), strict=True):
        np.testing.assert_array_equal(images[:, kept], stack[:, kept])
        np.testing.assert_allclose(images[:, ~kept], np.broadcast_to(average[~kept], (N, (~kept).sum())), rtol=1e-5)
        assert rest[1:5] == (0, settings, "cpu", 9)
    np.testing.assert_array_equal(stack, before)


def test_with_a_map_of_nothing_the_network_is_that_of_whole_images(stack, people, settings, tmp_path):
    """No voxel is strongest: nothing is removed, and the same seed gives the same network."""
    table = run(stack, people, [np.zeros(SHAPE)], settings, tmp_path / "a", modes=["removed"])
    _, guesses = train_and_test(stack, people, 0, settings, "cpu", 5, tmp_path / "b")
    expected = fold_metrics(guesses, "classification", ["A", "B"])
    assert table.set_index("metric")["value"].astype(float).to_dict() == pytest.approx(expected)
    assert table["volume"].eq(0).all()


def test_a_killed_job_keeps_what_was_finished(stack, people, truth, settings, tmp_path, monkeypatch):
    settings = TrainingSettings(**vars(settings) | {"epochs": 1})
    undisturbed = run(stack, people, [truth], settings, tmp_path / "a")
    original, calls = retraining.train_and_test, []

    def dies_in_the_second(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(retraining, "train_and_test", dies_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        run(stack, people, [truth], settings, tmp_path / "b")
    pd.testing.assert_frame_equal(run(stack, people, [truth], settings, tmp_path / "b"), undisturbed)
    assert len(calls) == 3
    run(stack, people, [-truth], settings, tmp_path / "b")  # the same voxels
    assert len(calls) == 3
    for changed in ({"stack": stack + 1}, {"seed": 6}, {"people": people.assign(target=people["target"][::-1].array)}):
        run(**{"stack": stack, "people": people} | changed, maps=[truth], settings=settings, folder=tmp_path / "b")
    assert len(calls) == 9
    kept = "".join(file.read_text() for file in tmp_path.rglob("*.tsv"))
    assert not any(person in kept for person in IDS)


def test_replaced_voxels():
    volume = np.where(BLOCK, -3.0, 0.5) + np.random.default_rng(0).random(SHAPE) / 10
    volume[0] = 99  # outside the brain
    np.testing.assert_array_equal(replaced_voxels(volume, BRAIN, SHARE, "removed"), BLOCK)
    np.testing.assert_array_equal(replaced_voxels(volume, BRAIN, SHARE, "kept"), ~BLOCK)
    assert replaced_voxels(volume, BRAIN, 50, "removed").sum() == round(BRAIN.sum() / 2)
    with pytest.raises(InputError, match="blurred"):
        replaced_voxels(volume, BRAIN, 50, "blurred")
    for share in (0, 100):
        with pytest.raises(InputError, match="percent"):
            replaced_voxels(volume, BRAIN, share, "kept")


def test_folds_that_leave_nobody_are_refused(stack, people, truth, settings, tmp_path):
    for fold in (0, 9):
        with pytest.raises(InputError, match="nobody to train or test"):
            retrain(stack, people.assign(fold=0), fold, [truth], BRAIN, [5], ["kept"], settings, "cpu", 1, tmp_path)


def test_random_maps_have_the_values_of_the_map_and_differ_between_folds(truth):
    maps = random_maps(-truth, BRAIN, 2, 1, 0)
    for one in maps:
        np.testing.assert_allclose(np.sort(one[BRAIN]), np.sort(truth[BRAIN]), rtol=1e-5)
    others = random_maps(-truth, BRAIN, 1, 1, 1)
    assert not np.allclose(maps[0], maps[1])
    assert not np.allclose(maps[0], others[0])
    with pytest.raises(InputError, match="At least 1"):
        random_maps(truth, BRAIN, 0, 1, 0)


def test_the_mean_image(stack):
    np.testing.assert_allclose(mean_image(stack, [1, 4, 5]), stack[[1, 4, 5]].mean(axis=0), rtol=1e-5, atol=1e-6)


def part(method, fold, removed, kept, metric="accuracy"):
    rows = [("removed", draw, value) for draw, value in enumerate(removed, 1)]
    rows += [("kept", draw, value) for draw, value in enumerate(kept, 1)]
    table = pd.DataFrame(rows, columns=["mode", "draw", "value"])
    return table.assign(method=method, fold=fold, share=10.0, metric=metric, volume=0.1, n=4, n_train=12)


def predicted(fold, right):
    target = list("AABB")
    guess = [one if place < right else "BA"["AB".index(one)] for place, one in enumerate(target)]
    return pd.DataFrame({"participant_id": IDS[:4], "fold": fold, "target": target, "prediction": guess, "score": 0.0})


def test_methods_beside_random_maps_fold_by_fold():
    parts = [part("lrp", 0, [0.6], [0.9]), part("lrp", 1, [0.5], [0.7])]
    parts += [part("random", 0, [0.8, 0.9], [0.5, 0.5]), part("random", 1, [0.9, 0.9], [0.6, 0.4])]
    predictions = [predicted(fold, right) for fold, right in ((0, 4), (1, 3), (2, 0))]
    targets = pd.Series(list("AAAB"))
    table = summarise_retraining(parts, predictions, targets, "classification", ["A", "B"])
    rows = table.set_index(["method", "mode"])
    gone = rows.loc[("lrp", "removed")]
    assert (gone["mean"], gone["sd"]) == pytest.approx((0.55, np.std([0.6, 0.5], ddof=1)))
    assert gone["random_mean"] == pytest.approx(0.875)
    assert gone["difference_to_random"] == pytest.approx(0.325)  # lower when removed: more faithful
    assert rows.loc[("lrp", "kept"), "difference_to_random"] == pytest.approx(0.3)
    # t of the differences 0.25 and 0.4, with the correction for four people tested and twelve trained on
    t = 0.325 / np.sqrt((1 / 2 + 1 / 3) * np.var([0.25, 0.4], ddof=1))
    assert gone["p_corrected_t"] == pytest.approx(1 - 2 * np.arctan(t) / np.pi)  # Student's t of one degree: Cauchy's
    assert rows.loc[("random", "removed"), "mean"] == pytest.approx(0.875)
    assert rows.loc["random"][["difference_to_random", "p_corrected_t"]].isna().all(axis=None)
    assert rows["whole"].eq(0.875).all()  # of folds 0 and 1
    assert rows["chance"].eq(0.75).all()
    assert rows["folds"].eq(2).all()
    errors = [one.assign(metric="mae") for one in parts]
    numbers = [p.assign(target=[1.0, 2, 3, 4], prediction=[1.0, 2, 3, 5]) for p in predictions]
    table = summarise_retraining(errors, numbers, pd.Series([1.0, 2, 6]), "regression", [])
    found = table.set_index(["method", "mode"])["difference_to_random"]
    assert found["lrp", "removed"] == pytest.approx(-0.325)  # a smaller error without the voxels
    assert table["whole"].eq(0.25).all()


def test_a_fold_in_which_a_metric_is_undefined_does_not_count_for_it():
    parts = [part(name, fold, [0.6 + fold / 9], [0.9], "auc") for name in ("lrp", "random") for fold in (0, 1, 2)]
    parts = [one.assign(value=np.nan) if one["fold"].iloc[0] == 2 else one for one in parts]
    arguments = ([predicted(fold, 4) for fold in (0, 1, 2)], pd.Series(list("AB")), "classification", ["A", "B"])
    table = summarise_retraining(parts, *arguments)
    assert table["folds"].eq(2).all()
    assert table["mean"].notna().all()


def test_what_cannot_be_compared_is_refused():
    parts = [part("lrp", 0, [0.6], [0.9]), part("random", 0, [0.8], [0.5])]
    arguments = ([predicted(0, 4)], pd.Series(list("AB")), "classification", ["A", "B"])
    for wrong in (parts[:1], [*parts, part("lrp", 1, [0.6], [0.9])], [parts[0], parts[1][:1]]):
        with pytest.raises(InputError, match="same folds, shares and modes"):
            summarise_retraining(wrong, *arguments)
    with pytest.raises(InputError, match="Predictions of 0 of the 1 folds"):
        summarise_retraining(parts, [predicted(3, 4)], *arguments[1:])


def test_from_maps_to_the_table(tmp_path, monkeypatch):
    """Both scripts on the common grid; what is trained is the business of the tests above."""
    rng = np.random.default_rng(2)
    ids, at = IDS[:8], tmp_path
    write_array(rng.standard_normal((8, *COMMON.shape), dtype=np.float32), at / "stack.npy")
    write_table(pd.DataFrame({"participant_id": ids}), at / "index.tsv")
    folds = pd.DataFrame({"participant_id": ids, "fold": [0, 0, 0, 0, 1, 1, 1, 1], "target": list("ABABABAB")})
    write_table(folds.iloc[::-1], at / "folds.tsv")
    write_table(pd.DataFrame({"participant_id": ids, "group": ["f"] * 2 + ["g"] * 6}), at / "participants.tsv")
    brain = np.zeros(COMMON.shape, bool)
    brain[20:30, 20:30, 20:30] = True
    write_image(brain, COMMON.affine, at / "brain.nii.gz")
    volumes = rng.standard_normal((8, *COMMON.shape), dtype=np.float32) * brain
    for person, volume in zip(ids[4:], volumes[4:], strict=True):  # nobody else is trained on
        write_image(volume, COMMON.affine, at / "maps" / f"sub-{person}_map.nii.gz", compression=1)
    write_table(pd.DataFrame({"participant_id": ids[4:], "target": list("ABAB")}), at / "maps" / "maps.tsv")
    seen = []

    def note(images, people, fold, settings, device, seed, folder, families):
        replaced = [images[row] != np.load(at / "stack.npy", mmap_mode="r")[row] for row in (0, 5)]
        seen.append((replaced, people, seed, families))
        return None, predicted(fold, 4)

    monkeypatch.setattr(retraining, "train_and_test", note)
    settings = TrainingSettings(labels=["A", "B"])
    for method in ("lrp", "random"):
        retrain_masked.run(
            at / "stack.npy", at / "index.tsv", at / "folds.tsv", at / "participants.tsv", at / "brain.nii.gz",
            [at / "maps"], at / f"{method}.tsv", method=method, fold=0, how="difference", joined=["A", "B"],
            explained=None, statistic="mean_signed", normalise="none", smoothing_fwhm_mm=0.0, shares=[5, 20],
            modes=["removed", "kept"], draws=2, settings=settings, grouped=True, seed=3, device=("cpu", 1),
            partial=str(at / "partial" / method), code="c",
        )  # fmt: skip
    assert len(seen) == 4 + 8
    assert not list((at / "partial").glob("*"))
    expected = np.abs(volumes[[5, 7]].mean(axis=0) - volumes[[4, 6]].mean(axis=0))
    top = brain & (expected >= np.sort(expected[brain])[-50])
    for replaced in seen[0][0]:
        np.testing.assert_array_equal(replaced, top)
    for _, people, seed, families in seen:
        assert people["participant_id"].tolist() == ids
        assert seed == seed_for(3, "fold", 0)
        assert families.nunique() == 2
    assert not np.array_equal(seen[4][0][0], top)
    write_table(predicted(0, 3), at / "predictions.tsv")
    tabulate_retraining.run(
        [at / "lrp.tsv", at / "random.tsv"], [at / "predictions.tsv"], at / "folds.tsv", at / "table.tsv",
        task="classification", labels=["A", "B"],
    )  # fmt: skip
    table = read_table(at / "table.tsv")
    assert len(table) == 2 * 2 * 2 * 3
    accuracy = table[table["metric"] == "accuracy"]
    assert (accuracy["mean"].eq(1) & accuracy["whole"].eq(0.75) & accuracy["chance"].eq(0.5)).all()
    for file in ("lrp.tsv", "table.tsv"):
        assert not set(ids) & set((at / file).read_text().split())
