"""One fold of a model on morphometry: nothing of the people tested may reach the training."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from voxplain.base.errors import InputError
from voxplain.baselines.estimators import MODELS
from voxplain.baselines.features import read_features
from voxplain.baselines.nested import fit_fold, inner_splits

EVERY = [(model, task) for task, models in MODELS.items() for model in models]
SETTINGS = {
    "xgboost": {"n_estimators": 5, "max_depth": [1, 3]},
    "knn": {"n_neighbors": [3, 9]},
    "logistic": {"C": [0.01, 1], "max_iter": 10000},
    "ridge": {"alpha": [1, 100]},
    "svr": {"C": [0.1, 1], "gamma": "scale", "epsilon": 0.1},
}


class Sample:
    """60 people with 6 features of very different size, the first two of which tell something; 15 are tested."""

    def __init__(self, task, classes=2, people=60):
        rng = np.random.default_rng(7)
        ids = [f"p{number:03d}" for number in rng.permutation(people)]
        x = rng.normal(size=(people, 6))
        y = x[:, 0] + x[:, 1] + 0.5 * rng.normal(size=people)
        x = x * [1, 1000, 1e-3, 1, 5, 1] + [0, 1e6, 0, 3, 0, 0]
        x[rng.random(x.shape) < 0.05] = np.nan
        self.task, self.labels = task, [f"c{code}" for code in range(classes)] if task == "classification" else []
        self.features = pd.DataFrame(x, index=ids, columns=[f"f{n}" for n in range(6)])
        answers = y * 10 + 40 if not self.labels else [f"c{rank * classes // people}" for rank in y.argsort().argsort()]
        self.targets = pd.Series(answers, index=ids)
        self.train, self.test = ids[: people * 3 // 4], ids[people * 3 // 4 :]

    def fit(self, model, features=None, targets=None, train=None, test=None, settings=None, **more):
        return fit_fold(
            self.features if features is None else features,
            self.targets if targets is None else targets,
            self.train if train is None else train,
            self.test if test is None else test,
            model,
            self.task,
            self.labels,
            settings or SETTINGS[model],
            inner_folds=2,
            seed=42,
            **more,
        )


def learned(fit):
    """Everything numeric that the training left in the steps."""
    steps = fit.estimator.named_steps
    parts = [steps["impute"].statistics_, steps["scale"].mean_, steps["scale"].scale_]
    if "residualise" in steps:
        parts += [steps["residualise"].slopes_.ravel(), steps["residualise"].means_]
    model = getattr(steps["model"], "regressor_", steps["model"])
    for name in ("coef_", "intercept_", "dual_coef_", "_fit_X"):
        if model.__class__.__name__ != "SVR" or name != "coef_":
            parts.append(np.ravel(getattr(model, name, [])))
    if hasattr(model, "get_booster"):
        parts.append(np.frombuffer(bytes(model.get_booster().save_raw("json")), dtype=np.uint8))
    return np.concatenate([np.ravel(part).astype(float) for part in parts])


@pytest.mark.parametrize("residualise", [False, True])
@pytest.mark.parametrize(("model", "task"), EVERY)
def test_people_tested_teach_nothing(model, task, residualise):
    sample = Sample(task)
    tiv = pd.Series(np.random.default_rng(3).normal(1.5e6, 1e5, 60), index=sample.features.index)
    sizes = tiv if residualise else None
    honest = sample.fit(model, tiv=sizes)
    features, targets, other = sample.features.copy(), sample.targets.copy(), tiv.copy()
    features.loc[sample.test] = 1e9
    targets.loc[sample.test] = targets.loc[sample.test].to_numpy()[::-1]
    other.loc[sample.test] *= 3
    spoiled = sample.fit(model, features, targets, tiv=other if residualise else None)
    np.testing.assert_array_equal(learned(spoiled), learned(honest))
    pd.testing.assert_frame_equal(spoiled.settings, honest.settings)
    # What is learned does depend on the training people: the comparison above can fail.
    features.loc[sample.train[0]] += 1
    assert not np.array_equal(learned(sample.fit(model, features, tiv=sizes)), learned(honest))
    # One person tested does not change the prediction of another, nor do the targets of the people tested.
    alone = sample.fit(model, targets=targets, test=sample.test[3:4], tiv=sizes)
    pd.testing.assert_frame_equal(
        alone.predictions, honest.predictions.iloc[3:4].reset_index(drop=True), check_exact=False, rtol=1e-9
    )


def test_imputing_and_scaling_learn_from_the_training_people():
    sample = Sample("classification")
    fit = sample.fit("logistic")
    known = sample.features.loc[sample.train]
    medians = known.median()
    np.testing.assert_allclose(fit.estimator["impute"].statistics_, medians)
    np.testing.assert_allclose(fit.estimator["scale"].mean_, known.fillna(medians).mean())
    assert not np.allclose(medians, sample.features.median(), rtol=1e-6)


@pytest.mark.parametrize(("model", "task"), EVERY)
def test_order_of_people_does_not_matter(model, task):
    sample = Sample(task)
    honest = sample.fit(model)
    shuffled = np.random.default_rng(5).permutation(sample.features.index)
    again = sample.fit(
        model, sample.features.loc[shuffled], sample.targets.loc[sorted(shuffled)], train=sample.train[::-1]
    )
    pd.testing.assert_frame_equal(again.predictions, honest.predictions, check_exact=True)
    pd.testing.assert_frame_equal(again.settings, honest.settings)


@pytest.mark.parametrize("model", MODELS["classification"])
def test_shuffled_labels_are_predicted_by_chance(model):
    """Out of 400 people, with more features than help, what is right must lie within the binomial 99.9 % interval."""
    rng = np.random.default_rng(11)
    ids = [f"p{n:03d}" for n in range(400)]
    truth = np.array(["F", "M"])[np.arange(400) % 2]
    features = pd.DataFrame(rng.normal(size=(400, 30)) + (truth == "M")[:, None] * 0.6, index=ids)

    def right(targets):
        count = 0
        for number in range(2):
            test = ids[number * 200 : number * 200 + 200]
            train = [person for person in ids if person not in set(test)]
            settings = SETTINGS[model]
            fit = fit_fold(features, targets, train, test, model, "classification", ["F", "M"], settings, 3, 1)
            count += np.sum(fit.predictions["prediction"].to_numpy() == targets.loc[test].to_numpy())
        return count

    low, high = binom.interval(0.999, 400, 0.5)
    assert low <= right(pd.Series(rng.permutation(truth), index=ids)) <= high
    assert right(pd.Series(truth, index=ids)) > high


def test_number_of_the_row_changes_nothing(tmp_path):
    """People are sorted by class: the row's number tells the class, and would be found if it were a feature."""
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"participant_id": [f"s{n + 1:02d}" for n in range(60)], "volume": rng.normal(size=60)})
    numbered = frame.assign(row=np.arange(60), number=np.arange(60) + 1, order=rng.permutation(60) + 500)
    people = frame[["participant_id"]].assign(target=["F"] * 30 + ["M"] * 30)
    cohort = {"source": "table", "target": "sex", "task": "classification", "table": {}}
    predictions = {}
    for name, table in (("with", numbered), ("without", frame)):
        table.to_csv(tmp_path / f"{name}.tsv", sep="\t", index=False)
        features, _ = read_features([tmp_path / f"{name}.tsv"], people, cohort, {})
        predictions[name] = fit_everything(features, people)
    pd.testing.assert_frame_equal(predictions["with"], predictions["without"])
    leaking = fit_everything(numbered.drop(columns="order"), people)
    assert np.mean(leaking["prediction"] == leaking["target"]) == 1
    assert np.mean(predictions["with"]["prediction"] == leaking["target"]) < 0.8


def fit_everything(features, people):
    table = features.set_index("participant_id")
    targets = people.set_index("participant_id")["target"]
    test, settings = list(table.index[::4]), {"max_depth": 2, "n_estimators": 20}
    train = [person for person in table.index if person not in test]
    fit = fit_fold(table, targets, train, test, "xgboost", "classification", ["F", "M"], settings, 3, 1)
    return fit.predictions.assign(target=targets.loc[test].to_numpy())


@pytest.mark.parametrize("model", MODELS["classification"])
def test_three_classes(model):
    sample = Sample("classification", classes=3, people=120)
    fit = sample.fit(model)
    assert list(fit.predictions.columns) == ["prediction", "score", "p_c0", "p_c1", "p_c2"]
    chances = fit.predictions.filter(like="p_").to_numpy()
    np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-6)
    assert np.mean(fit.predictions["prediction"].to_numpy() == sample.targets.loc[sample.test].to_numpy()) >= 0.5


def test_score_is_the_logit_of_the_second_class():
    sample = Sample("classification")
    predictions = sample.fit("logistic").predictions
    np.testing.assert_allclose(predictions["score"], np.log(predictions["p_c1"] / predictions["p_c0"]))
    assert (predictions["prediction"] == np.where(predictions["score"] > 0, "c1", "c0")).all()


def test_settings_are_those_used():
    """All 45 neighbours among 90 people know less than the nearest 9; the order of the grid does not decide."""
    sample = Sample("classification", people=120)
    for grid in ([45, 9], [9, 45]):
        fit = sample.fit("knn", settings={"p": 1, "n_neighbors": grid})
        assert fit.settings["setting"].tolist() == ["n_train", "p", "n_neighbors"]
        assert fit.settings["value"].tolist() == ["90", "1", "9"]
        assert (fit.estimator["model"].n_neighbors, fit.estimator["model"].p) == (9, 1)
    assert sample.fit("logistic", settings={"C": 1.3}).settings["value"].tolist() == ["90", "1.3"]


def test_head_size_that_drives_everything_is_taken_out():
    """The classes differ in head size alone, and every feature follows head size, up to its own noise."""
    rng = np.random.default_rng(4)
    ids = [f"p{n:03d}" for n in range(200)]
    sex = np.array(["F", "M"])[np.arange(200) % 2]
    tiv = pd.Series(1.4e6 + 1.5e5 * (sex == "M") + rng.normal(0, 5e4, 200), index=ids)
    features = pd.DataFrame(
        {f"f{n}": tiv / 1000 * (n + 1) + rng.normal(0, 20 * (n + 1), 200) for n in range(5)} | {"size": tiv * 2}
    )
    targets = pd.Series(sex, index=ids)
    accuracy = {}
    for name, sizes in (("raw", None), ("residualised", tiv)):
        fit = fit_fold(
            features,
            targets,
            ids[:150],
            ids[150:],
            "logistic",
            "classification",
            ["F", "M"],
            {"C": 1},
            3,
            1,
            tiv=sizes,
        )
        accuracy[name] = np.mean(fit.predictions["prediction"].to_numpy() == sex[150:])
    assert accuracy["raw"] > 0.85
    assert accuracy["residualised"] < 0.7


def test_head_size_must_be_known():
    sample = Sample("classification")
    tiv = pd.Series(1.5e6, index=sample.features.index).drop(sample.test[0])
    with pytest.raises(InputError, match=rf"not known for 1 people\n  - {sample.test[0]}"):
        sample.fit("logistic", tiv=tiv)


def test_families_stay_together_in_the_inner_folds():
    ids = [f"p{n:02d}" for n in range(40)]
    targets = pd.Series(np.array(["F", "M"])[np.arange(40) // 2 % 2], index=ids)
    groups = pd.Series([f"{n // 4}" for n in range(36)] + [np.nan] * 4, index=ids)
    for train, check in inner_splits(ids, targets, "classification", 4, 1, groups):
        assert not set(groups.iloc[train].dropna()) & set(groups.iloc[check].dropna())
        assert sorted([*train, *check]) == list(range(40))
    torn = inner_splits(ids, targets, "classification", 4, 1)
    assert any(set(groups.iloc[train].dropna()) & set(groups.iloc[check].dropna()) for train, check in torn)


def test_families_reach_the_search():
    """Twins share their answer and their features: unless families stay together, one neighbour looks best."""
    rng = np.random.default_rng(0)
    ids = [f"p{n:03d}" for n in range(80)]
    code = np.arange(40) % 2
    features = pd.DataFrame(np.repeat(rng.normal(size=(40, 5)) + 0.4 * code[:, None], 2, axis=0), index=ids)
    targets = pd.Series(np.repeat(np.array(["F", "M"])[code], 2), index=ids)
    groups = pd.Series(np.repeat(np.arange(40).astype(str), 2), index=ids)
    settings = {"n_neighbors": [1, 25]}
    more = ("knn", "classification", ["F", "M"], settings, 5, 1)
    assert fit_fold(features, targets, ids, [], *more).settings["value"].tolist() == ["80", "1"]
    assert fit_fold(features, targets, ids, [], *more, groups=groups).settings["value"].tolist() == ["80", "25"]


def test_fewer_inner_folds_for_few_people():
    ids = [f"p{n}" for n in range(9)]
    targets = pd.Series(["F"] * 6 + ["M"] * 3, index=ids)
    assert len(inner_splits(ids, targets, "classification", 5, 1)) == 3
    assert len(inner_splits(ids, pd.Series(range(9), index=ids, dtype=float), "regression", 5, 1)) == 5
    with pytest.raises(InputError, match=r"7 training people cannot be divided(.|\n)*F: 6 people(.|\n)*M: 1 people"):
        inner_splits(ids[:7], targets, "classification", 5, 1)


def test_neighbours_that_are_not_there():
    sample = Sample("classification", people=20)  # 15 to train on, 7 within the inner folds
    assert sample.fit("knn", settings={"n_neighbors": [3, 11, 99]}).settings["value"].iloc[1] == "3"
    with pytest.raises(InputError, match="16 neighbours were asked for, but there are only 15"):
        sample.fit("knn", settings={"n_neighbors": 16})
    with pytest.raises(InputError, match="8 neighbours were asked for, but there are only 7"):
        sample.fit("knn", settings={"n_neighbors": [8, 12]})


def test_nobody_to_test():
    predictions = Sample("classification").fit("logistic", test=[]).predictions
    assert list(predictions.columns) == ["prediction", "score", "p_c0", "p_c1"]
    assert predictions.empty
    assert Sample("regression").fit("ridge", test=[]).predictions.empty


def test_impossible_training_sets():
    sample = Sample("classification")
    with pytest.raises(InputError, match=rf"1 people would be both trained on and tested\n  - {sample.test[0]}"):
        sample.fit("logistic", train=[*sample.train, sample.test[0]])
    only = [person for person in sample.train if sample.targets[person] == "c0"]
    with pytest.raises(InputError, match=r"none of the \d+ training people belongs to these classes\n  - c1"):
        sample.fit("logistic", train=only)
    with pytest.raises(InputError, match="nobody to train on"):
        sample.fit("logistic", train=[])
