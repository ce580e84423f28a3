import pandas as pd
import pytest

from voxplain.base.errors import InputError
from voxplain.base.names import RESERVED_LABELS
from voxplain.population.groups import TERTILES, members_of


def people_of(targets):
    return pd.DataFrame({"participant_id": [f"p{n:02d}" for n in range(len(targets))], "target": targets})


def test_a_class_and_everybody():
    people = people_of(["F", "M", "F"])
    assert list(members_of("F", people)) == ["p00", "p02"]
    assert list(members_of("joint", people)) == ["p00", "p01", "p02"]
    with pytest.raises(InputError, match="'X'"):
        members_of("X", people)


def test_thirds_by_the_number():
    people = people_of([50.0, 20.0, 30.0, 70.0, 60.0, 40.0, 80.0])
    groups = [sorted(people.set_index("participant_id").loc[members_of(third, people), "target"]) for third in TERTILES]
    assert groups == [[20, 30, 40], [50, 60], [70, 80]]


def test_equal_numbers_go_by_id_whatever_the_order():
    people = people_of([30.0] * 5 + [40.0])
    shuffled = people.sample(frac=1, random_state=1)
    assert [list(members_of(third, shuffled)) for third in TERTILES] == [["p00", "p01"], ["p02", "p03"], ["p04", "p05"]]


def test_fewer_people_than_thirds():
    with pytest.raises(InputError, match="highest-third"):
        members_of("highest-third", people_of([1.0, 2.0]))


def test_no_class_may_be_named_like_a_third():
    assert set(TERTILES) < RESERVED_LABELS
