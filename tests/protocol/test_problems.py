"""Messages about values of a wrong type are in the words of people who write TOML."""

import copy
import datetime as dt
import re

import pytest
from pydantic import ValidationError

from dlbug_assets.protocol.claims import Claims
from dlbug_assets.protocol.files.problems import explanation
from dlbug_assets.protocol.files.toml import read_toml_file
from dlbug_assets.protocol.study import Study, load_study, shipped_studies

DIMENSIONS = read_toml_file(shipped_studies()["islam2019"], "")["dimensions"]
WRONG = (-1, 2.5, float("nan"), "x", "", True, dt.date(2020, 1, 1), [], [1], {}, {"a": 1}, [{"a": 1}])
#: Words of pydantic and of Python.
INTERNAL = re.compile(r"Input |should have|tuple|instance of|dictionary|boolean|integer|datetime\.|\b(None|True)\b")


def places(content, place=()):
    """Yield the places of a file's values: of the first two entries of each list."""
    entries = content.items() if isinstance(content, dict) else enumerate(content[:2])
    for key, value in entries:
        yield (*place, key)
        if isinstance(value, dict | list):
            yield from places(value, (*place, key))


def changed(content, place, value):
    found = copy.deepcopy(content)
    inner = found
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return found


def messages(content, model):
    """Yield the message about each wrong value at each place that the model refuses.

    Kinds of claims are checked before the model.
    """
    for place in places(content):
        if place[0] == "claims" and (len(place) == 2 or place[-1] == "kind"):
            continue
        for value in WRONG:
            wrong = changed(content, place, value)
            try:
                model.model_validate(wrong)
            except ValidationError as error:
                yield explanation(error, wrong, model)


@pytest.mark.parametrize("name", shipped_studies())
def test_no_wrong_value_of_a_study_is_reported_in_words_of_python(name):
    path = shipped_studies()[name]
    # A study that takes its dimensions over has none in its file.
    content = {"dimensions": DIMENSIONS} | read_toml_file(path, "")
    found = list(messages(content, Study))
    assert len(found) > 100
    assert [message for message in found if INTERNAL.search(message)] == []


def test_no_wrong_value_of_claims_is_reported_in_words_of_python():
    path = load_study("islam2019").files.claims
    assert path
    content = read_toml_file(path, "")
    content["claims"] = list({claim["kind"]: claim for claim in content["claims"]}.values())
    found = [message for start in range(len(content["claims"]))
             for message in messages({"claims": content["claims"][start : start + 1]}, Claims)]  # fmt: skip
    assert len(found) > 100
    assert [message for message in found if INTERNAL.search(message)] == []


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        (("study", "keywords"), "bugs", "study.keywords: write a list, keywords = [..], not 'bugs'"),
        (("study", "title"), 3, "study.title: write a text in quotes, not 3"),
        (("study", "seed"), True, "study.seed: write a whole number, not true"),
        (("study", "seed"), "1", "study.seed: write a whole number, not '1'"),
        (("study",), [], "study: write a table, [study], not an empty list"),
        (("libraries",), "Keras", "libraries: write tables [[libraries]], not 'Keras'"),
        (("libraries", 0), "Keras", "libraries.0: write a table, [[libraries]], not 'Keras'"),
        (
            ("selection", "created_until"),
            "2017",
            "selection.created_until: write a date such as 2017-12-31, not '2017'",
        ),
        (("selection", "require_code"), 3, "selection.require_code: write true or false, not 3"),
        (("sources", "labels"), "file", "sources.labels: write one of 'sample', 'files' or 'release', not 'file'"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_wrong_value_is_reported_with_what_to_write(place, value, expected):
    content = {"dimensions": DIMENSIONS} | read_toml_file(shipped_studies()["sample"], "")
    with pytest.raises(ValidationError) as error:
        Study.model_validate(wrong := changed(content, place, value))
    assert expected in explanation(error.value, wrong, Study).split("; ")
