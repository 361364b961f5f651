"""[[releases]]: what a study states about files of others; each mistake is named with its key."""

import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.protocol.releases import Release
from dlbug_assets.protocol.study import load_study
from support.released_studies import COLUMNS, study_of

SHA256 = "a" * 64
URL = "https://data.example.org/bugs.csv"


def error_of(tmp_path, release, *others, **sections) -> str:
    """Return the error of a study with a release, without the path of its file."""
    with pytest.raises(DlbugError) as caught:
        study_of(tmp_path, release, *others, **sections)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'study.toml'}: ")
    return message.removeprefix(f"{tmp_path / 'study.toml'}: ")


@pytest.mark.parametrize(
    ("release", "names"),
    [
        ({"url": URL, "sha256": SHA256}, ("bugs.csv",)),
        ({"url": f"{URL}?download=1", "sha256": [SHA256]}, ("bugs.csv",)),
        ({"url": "https://example.org/files/17", "sha256": SHA256, "file": "bugs.csv"}, ("bugs.csv",)),
        ({"url": "https://example.org/a/", "sha256": SHA256, "files": ["1.csv", "b/2.csv"]}, ("1.csv", "b/2.csv")),
        ({"path": "data/bugs.csv"}, ("bugs.csv",)),
        ({"path": "data", "files": ["1.csv", "2.csv"]}, ("1.csv", "2.csv")),
        ({"file": "bugs.csv"}, ("bugs.csv",)),
    ],
)
def test_files_have_names_by_which_they_are_found(tmp_path, release, names):
    assert study_of(tmp_path, release).releases[0].file_names == names


def test_paths_are_relative_to_the_study(tmp_path):
    for described, path in (
        ({"path": "data/bugs.csv"}, tmp_path / "data" / "bugs.csv"),
        ({"path": "data", "file": "bugs.csv"}, tmp_path / "data" / "bugs.csv"),
        ({"file": "bugs.csv"}, tmp_path / "bugs.csv"),
    ):
        (release,) = study_of(tmp_path, described).releases
        assert [release.path_of(file) for file in release.file_names] == [path]


def test_addresses_of_several_files_are_below_that_of_the_release():
    release = Release(url="https://e.org/a/", sha256=SHA256, files=["1.csv"], columns=COLUMNS)
    assert release.address_of("1.csv") == "https://e.org/a/1.csv"
    assert Release(url=URL, sha256=SHA256, columns=COLUMNS).address_of("bugs.csv") == URL


def test_a_release_can_be_written_and_read_again(tmp_path):
    columns = {**COLUMNS, "created_at": {"column": "Created", "from": "dates", "ignore_case": True}}
    dates = {"name": "dates", "file": "dates.tsv", "separator": "\t", "columns": {"key": "ID"}}
    study = study_of(tmp_path, {"file": "bugs.csv", "columns": columns}, dates)
    written = study.model_dump(mode="json", exclude_unset=True)
    assert written["releases"][0]["columns"]["created_at"]["from"] == "dates"
    assert type(study).model_validate(written).releases == study.releases


@pytest.mark.parametrize(
    ("release", "message"),
    [
        ({}, "releases.0: give url, or path or file relative to the study"),
        ({"url": URL}, "releases.0: sha256: missing; what is downloaded is checked by it"),
        ({"url": URL, "sha256": "abc"}, "releases.0.sha256: write a text that matches ^[0-9a-f]{64}$, not 'abc'"),
        ({"url": "ftp://x.org/a.csv", "sha256": SHA256}, "releases.0.url: 'ftp://x.org/a.csv' is not an address such"),
        ({"url": "https://me:pw@x.org/a.csv", "sha256": SHA256}, "without an account"),
        ({"url": "https://x.org/a", "sha256": SHA256, "files": ["1.csv"]}, "url: end it with / if files are below it"),
        ({"url": URL, "path": "x", "sha256": SHA256}, "releases.0: give url or path, not both"),
        ({"file": "a.csv", "files": ["b.csv"]}, "releases.0: give file or files, not both"),
        ({"file": "../a.csv"}, "releases.0.file: '../a.csv': use a name within the folder or zip, without .."),
        ({"file": "/etc/passwd"}, "releases.0.file: '/etc/passwd': use a name within"),
        ({"file": "bugs.pdf"}, "releases.0: 'bugs.pdf' has none of the suffixes .csv, .tsv, .txt, .xlsx, .ods, .json"),
        ({"file": "a.zip"}, "releases.0: member: missing; 'a.zip' is a zip, so name what to read"),
        ({"file": "a.csv", "member": "b.csv"}, "releases.0: members and folder are for a zip, but the file is 'a.csv'"),
        ({"file": "a.json"}, "releases.0: rows: missing; give the JSONPath of the rows, such as '$[*]' for a list"),
        ({"file": "a.json", "rows": "$["}, "releases.0.rows: '$[' is not a JSONPath such as '$.bugs[*]': "),
        ({"file": "a.csv", "rows": "$[*]"}, "releases.0: rows is for files of the kind json, but these are csv"),
        ({"file": "a.csv", "sheet": "A"}, "releases.0: sheet is for files of the kind workbook, but these are csv"),
        ({"file": "a.csv", "encoding": "utf-9"}, "releases.0.encoding: 'utf-9' is not an encoding of text such as"),
        ({"file": "a.csv", "encoding": "hex"}, "releases.0.encoding: 'hex' is not an encoding of text such as"),
        ({"file": "a.csv", "separator": ",,"}, "releases.0.separator: write a text of 1 character or less, not ',,'"),
        ({"file": "a.csv", "variable": "GITHUB_TOKEN"}, "releases.0.variable: write a text that matches ^DLBUG_"),
        ({"file": "a.csv", "on_unknown": "skip"}, "releases.0.on_unknown: write one of 'stop' or 'reject', not 'skip'"),
        ({"file": "a.csv", "colums": {}}, "releases.0.colums: unknown key"),
    ],
)  # fmt: skip
def test_a_release_that_cannot_be_is_an_error_with_its_key(tmp_path, release, message):
    assert message in error_of(tmp_path, release)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"symptm": "Symptom"},
            "releases.0.columns.symptm: unknown (did you mean 'symptom'?); it can be library, source, key, link, "
            "title, created_at, rater, symptom, cause, inputs, remark",
        ),
        ({"symptom": None}, "releases.0.columns.symptom: missing; symptom is required of every bug"),
        ({"link": None}, "releases.0.columns.link: missing; give link, key or both: they tell the items apart"),
        ({"library": None}, "releases.0.columns.library: missing; give a column, or a constant such as"),
        (
            {"source": "Component"},
            "releases.0.columns.source: give a map from what the file calls each source to its name, or list them in "
            "sources.names",
        ),
        (
            {"created_at": {"column": "Created", "from": "date"}},
            "releases.0.columns.created_at: from: 'date' is not the name of a release to join (did you mean 'dates'?)",
        ),
        ({"cause": {"template": "{Cause}"}}, "releases.0.columns.cause: template is for link"),
        ({"link": {"template": "https://x.org"}}, "releases.0.columns.link.template: 'https://x.org' names no column"),
        ({"cause": {"column": "Cause", "separator": ";"}}, "releases.0.columns.cause: separator is for a dimension"),
        ({"cause": {"column": "Cause", "value": "Typo"}}, "releases.0.columns.cause: give one of column, value, file"),
        ({"cause": {}}, "releases.0.columns.cause: give one of column, value, file and template"),
        ({"cause": {"value": "Typo", "from": "dates"}}, "releases.0.columns.cause: from names the release that has"),
        ({"cause": {"column": "C", "ignore_case": True}}, "releases.0.columns.cause: ignore_case is for the keys of"),
        ({"key": {"column": "Link", "extract": "x"}}, "releases.0.columns.key.extract: 'x' has no group in brackets"),
        ({"key": {"column": "Link", "strip": "("}}, "releases.0.columns.key.strip: not a regular expression that"),
        ({"key": {"column": "Link", "strp": "x"}}, "releases.0.columns.key.strp: unknown key"),
    ],
)  # fmt: skip
def test_a_column_that_does_not_fit_is_an_error_with_its_key(tmp_path, changes, message):
    columns = {name: column for name, column in {**COLUMNS, **changes}.items() if column is not None}
    dates = {"name": "dates", "file": "dates.csv", "columns": {"key": "ID"}}
    assert message in error_of(tmp_path, {"file": "bugs.csv", "columns": columns}, dates)


def test_a_release_that_others_join_has_only_a_key(tmp_path):
    dates = {"name": "dates", "file": "dates.csv", "columns": {"key": "ID", "symptom": "Symptom"}}
    assert "releases.1.columns.symptom: unknown; it can be key" in error_of(tmp_path, {"file": "bugs.csv"}, dates)
    message = error_of(tmp_path, {"file": "bugs.csv"}, dates | {"columns": {"symptom": "Symptom"}})
    assert "releases.1.columns.symptom: unknown; it can be key" in message


def test_releases_with_one_name_or_only_names_are_errors(tmp_path):
    dates = {"name": "dates", "file": "dates.csv", "columns": {"key": "ID"}}
    assert "releases.2.name: another release has the name 'dates'" in error_of(
        tmp_path, {"file": "bugs.csv"}, dates, dates
    )
    assert "releases: each has a name, by which others join it, but there are no others" in error_of(tmp_path, dates)


def test_released_labels_and_releases_need_each_other(tmp_path):
    message = "releases: describe the files of a release where labels = 'release', and only there"
    with pytest.raises(DlbugError, match=message):
        study_of(tmp_path)
    labeling = {"raters": ["ann", "bob"], "adjudicator": "eve"}
    sources = {"posts": "api", "labels": "files"}
    libraries = [{"name": "Alpha", "tags": "alpha"}]
    assert message in error_of(tmp_path, {"file": "bugs.csv"}, sources=sources, labeling=labeling, libraries=libraries)


def test_several_sources_must_be_told_apart(tmp_path):
    sources = {"labels": "release", "names": ["Code", "Configuration"]}
    assert (
        "releases.0.columns.source: missing; give a column, or a constant, to tell Code, Configuration apart"
        in error_of(tmp_path, {"file": "bugs.csv"}, sources=sources)
    )


@pytest.mark.parametrize(
    ("name", "sources"),
    [
        ("chaliasos2021", ("Issue tracker",)),
        ("drosos2024", ("Configuration unit", "IaC program")),
        ("islam2019", ("Stack Overflow", "GitHub")),
    ],
)
def test_shipped_studies_name_their_sources(name, sources):
    assert load_study(name).source_names == sources
