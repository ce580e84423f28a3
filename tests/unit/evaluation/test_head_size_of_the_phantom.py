"""What morphometry says about the phantom, whose design is known: head size, and the parcels whose volume differs."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from voxplain.baselines.importance import importances, summarise_importances
from voxplain.baselines.nested import fit_fold
from voxplain.cohort.folds import assign_folds
from voxplain.cohort.phantom import PhantomSettings, design
from voxplain.cohort.phantom.families import INTRACRANIAL_ML
from voxplain.evaluation.single_number import predict_from
from voxplain.models.metrics import fold_metrics

LABELS = ["F", "M"]


def folds_of(people, count):
    table = people.rename(columns={"Gender": "target", "Family_ID": "group"})
    return assign_folds(table, table["participant_id"], count, "classification", 42)


def test_head_size_alone_is_worth_what_the_design_implies():
    people = design(PhantomSettings(people=2000, seed=42))
    folds = folds_of(people, 10)
    sizes = people.set_index("participant_id")["head_size"].reindex(folds["participant_id"]) ** 3
    tables = predict_from(sizes, folds, "classification", LABELS)
    found = pd.DataFrame([fold_metrics(table, "classification", LABELS) for table in tables]).mean()
    (low, low_sd), (high, high_sd) = INTRACRANIAL_ML["F"], INTRACRANIAL_ML["M"]

    def wrong(threshold):
        return (norm.sf(threshold, low, low_sd) + norm.cdf(threshold, high, high_sd)) / 2

    implied = 1 - minimize_scalar(wrong, bounds=(low, high), method="bounded").fun
    assert implied == pytest.approx(0.788, abs=0.001)
    # 2,000 people: the standard error is 0.009, and families make it a little larger.
    assert found["accuracy"] == pytest.approx(implied, abs=0.03)
    assert found["auc"] == pytest.approx(norm.cdf((high - low) / np.hypot(low_sd, high_sd)), abs=0.03)


@pytest.mark.slow
def test_planted_volumes_top_the_importances():
    from voxplain.cohort.phantom.effects import effects
    from voxplain.cohort.phantom.people import Person

    settings = PhantomSettings(people=128, seed=42)
    people = design(settings)
    rows = people.set_index("participant_id", drop=False)
    measures = {person: Person(person, rows.loc[person], settings).measures() for person in rows.index}
    features = pd.DataFrame.from_dict(measures, orient="index")
    folds = folds_of(people, 4).set_index("participant_id")
    planted = effects(settings).regions
    changed = planted.loc[planted["volume_effect"] > 0, "name"]
    assert len(changed) == 4
    for model, kind in (("logistic", "coefficient"), ("xgboost", "gain")):
        hyperparameters = {"C": 0.1} if model == "logistic" else {"max_depth": 2, "n_estimators": 100}
        parts = []
        for fold in range(4):
            tested = folds.index[folds["fold"] == fold]
            train = folds.index.difference(tested)
            fit = fit_fold(
                features, folds["target"], train, tested, model, "classification", LABELS, hyperparameters, 5, 42
            )
            parts.append(
                importances(fit, features.loc[tested], folds["target"][tested], "classification", LABELS, 5, 1)
            )
        table = summarise_importances({model: parts})
        own = table[table["kind"] == kind].set_index("feature")["rank"]
        ranks = own[[f"FS_{name.replace(' ', '_')}_Vol" for name in changed]]
        assert ranks.max() <= 10, ranks  # of 151
        assert own.idxmin() in ranks.index
