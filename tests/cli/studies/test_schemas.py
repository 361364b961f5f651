"""The JSON Schemas by which editors check the files of a study agree with what is accepted."""

import json
import tomllib

import jsonschema
import pytest

from dlbug_assets.cli.studies.schemas import SCHEMAS, schema
from dlbug_assets.layout import PROJECT, STUDIES

FILES = [*STUDIES.glob("*/*.toml"), PROJECT / "docs" / "study.toml"]


def problems(name, text):
    # Editors, as JSON, have dates as texts.
    content = json.loads(json.dumps(tomllib.loads(text), default=str))
    return {error.json_path for error in jsonschema.Draft202012Validator(json.loads(schema(name))).iter_errors(content)}


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_every_shipped_file_is_valid(file):
    assert problems(file.stem, file.read_text(encoding="utf-8")) == set()


@pytest.mark.parametrize("name", SCHEMAS)
def test_they_are_json_schemas(name):
    jsonschema.Draft202012Validator.check_schema(json.loads(schema(name)))


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("seed = 2019", "sead = 2019", "$.study"),
        ('posts = "sample"', 'posts = "rss"', "$.sources.posts"),
        ('tags = ["keras"]', "tags = 3", "$.libraries[1].tags"),
        ("seed = 2019", "seed = -1", "$.study.seed"),
    ],
)
def test_a_mistake_in_a_study_is_found(old, new, place):
    text = (STUDIES / "sample" / "study.toml").read_text(encoding="utf-8")
    assert place in problems("study", text.replace(old, new))


def test_a_claim_of_an_unknown_kind_or_with_an_unknown_key_is_found():
    claim = '[[claims]]\nfinding = 1\ntext = "x"\ndimension = "effect"\ncategory = "Crash"\n'
    assert problems("claims", f'{claim}kind = "leads"\n') == set()
    assert problems("claims", f'{claim}kind = "leeds"\n') == {"$.claims[0]"}
    assert problems("claims", f'{claim}kind = "leads"\nabove = 3\n') == {"$.claims[0]"}
