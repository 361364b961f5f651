"""Printed numbers: which column of a file is what, and what is not a number of the study."""

import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import STUDIES
from dlbug_assets.protocol.published_cells import published_cells
from dlbug_assets.protocol.study import load_study
from dlbug_assets.protocol.taxonomy import load_taxonomy

STUDY = """
[study]
name = "tides"
title = "Bugs of tide tables"
seed = 1

[[dimensions]]
name = "fault"
required = true

[[dimensions]]
name = "harm"

[[dimensions]]
name = "trick"
open = true

[[libraries]]
name = "Ebb"

[[libraries]]
name = "Flow"

[sources]
labels = "release"
names = ["Ships", "Ports"]

[[releases]]
path = "bugs.csv"
columns = {library = "Table", source = "Where", link = "URL", fault = "Fault"}
"""
TAXONOMY = "dimension,name,aliases\nfault,Off by one,OB1\nfault,Wrong moon,\nharm,Stranded,\nlibrary,Flow,Flood\n"
ENTRY = '[[published]]\nfile = "table1.csv"\n'


@pytest.fixture
def cells(tmp_path):
    """Return a function that reads the printed numbers of a study: entries of its TOML file, files by name."""

    def read(entries: str, **files: str):
        (tmp_path / "published").mkdir(exist_ok=True)
        (tmp_path / "study.toml").write_text(f"{STUDY}\n{entries}", encoding="utf-8")
        (tmp_path / "taxonomy.csv").write_text(TAXONOMY, encoding="utf-8")
        for name, text in files.items():
            (tmp_path / "published" / f"{name}.csv").write_text(text, encoding="utf-8")
        study = load_study(tmp_path)
        return published_cells(study, load_taxonomy(study))

    return read


@pytest.fixture
def problem(cells, tmp_path):
    """Return a function that reads printed numbers as ``cells`` does and returns the message of the error."""

    def read(entries: str, **files: str) -> str:
        with pytest.raises(DlbugError) as caught:
            cells(entries, **files)
        return str(caught.value).removeprefix(f"{tmp_path}/").removeprefix("published/")

    return read


def _row(cell, *names):
    return tuple(cell[name] for name in names)


def test_columns_are_found_by_the_names_of_the_keys(cells):
    rows = cells(
        ENTRY,
        table1="dimension,category,library,source,percent,bugs\n"
        "fault,Off by one,Ebb,Ships,12.5,3\nfault,Wrong moon,,,7,\n",
    )

    assert rows == [
        {"position": 1, "reference": "table1", "dimension": "fault", "category": "Off by one", "library": "Ebb",
         "source": "Ships", "within_dimension": None, "within_category": None, "library_b": None, "year": None,
         "unit": "percent", "value": 12.5, "bugs": 3, "decimals": 1, "halves": "away", "denominator": "labelled",
         "reading": "printed"},
        {"position": 2, "reference": "table1", "dimension": "fault", "category": "Wrong moon", "library": "All",
         "source": "both", "within_dimension": None, "within_category": None, "library_b": None, "year": None,
         "unit": "percent", "value": 7.0, "bugs": None, "decimals": 1, "halves": "away", "denominator": "labelled",
         "reading": "printed"},
    ]  # fmt: skip


def test_columns_may_be_renamed_mapped_or_one_value(cells):
    rows = cells(
        ENTRY + 'reference = "where"\n'
        'dimension = {value = "fault"}\n'
        'category = {column = "Cause", map = {"moon" = "Wrong moon"}}\n'
        'library = "Table of"\n'
        'value = "%"\n'
        'of = "all"\n'
        'halves = "even"\n'
        "decimals = 2\n"
        'reading = "approximate"\n',
        table1="where,Cause,Table of,%\nFigure 2,moon,Flood,5.0\nFigure 3,ob1,Ebb,6\n",
    )

    assert [_row(cell, "reference", "dimension", "category", "library", "value") for cell in rows] == [
        ("Figure 2", "fault", "Wrong moon", "Flow", 5.0),
        ("Figure 3", "fault", "Off by one", "Ebb", 6.0),  # aliases of the taxonomy are spellings, too
    ]
    assert _row(rows[0], "decimals", "denominator", "halves", "reading") == (2, "all", "even", "approximate")


def test_a_number_may_be_printed_in_two_units(cells):
    same = 'dimension = {value = "fault"}\n'
    rows = cells(
        f'{ENTRY}{same}value = "labelled"\n{ENTRY}{same}value = "all"\nof = "all"\n{ENTRY}{same}unit = "bugs"\n',
        table1="category,labelled,all,bugs\nWrong moon,20,10,2\n",
    )

    assert [_row(cell, "value", "unit", "denominator") for cell in rows] == [
        (20.0, "percent", "labelled"), (10.0, "percent", "all"), (2.0, "bugs", "labelled")
    ]  # fmt: skip


def test_numbers_of_every_unit_are_read(cells):
    entries = {
        "bugs": 'unit = "bugs"\n',
        "sizes": 'unit = "items"\n',
        "p": 'unit = "p"\ndimension = {value = "fault"}\n',
        "pairs": 'unit = "correlation"\ndimension = {value = "harm"}\n',
        "within": 'within_dimension = {value = "harm"}\nwithin_category = {value = "Stranded"}\n'
                  'dimension = {value = "fault"}\n',
        "years": 'dimension = {value = "trick"}\n',
    }  # fmt: skip
    rows = cells(
        "\n".join(f'[[published]]\nfile = "{name}.csv"\n{keys}' for name, keys in entries.items()),
        bugs="library,bugs\nEbb,40\n",
        sizes="source,items\nPorts,70\n",
        p="category,p\nOff by one,0.0421\n",
        pairs="library,library_b,correlation\nFlow,Ebb,-0.5\n",
        within="category,percent\nWrong moon,100\n",
        years="category,year,percent\nNobody knew this category,2020,3.25\n",
    )

    about = ("unit", "dimension", "category", "library", "source", "library_b", "within_category", "year", "value")
    assert [_row(cell, *about) for cell in rows] == [
        ("bugs", None, None, "Ebb", "both", None, None, None, 40.0),
        ("items", None, None, "All", "Ports", None, None, None, 70.0),
        ("p", "fault", "Off by one", "All", "both", None, None, None, 0.0421),
        ("correlation", "harm", None, "Flow", "both", "Ebb", None, None, -0.5),
        ("percent", "fault", "Wrong moon", "All", "both", None, "Stranded", None, 100.0),
        ("percent", "trick", "Nobody knew this category", "All", "both", None, None, 2020, 3.25),
    ]
    assert [cell["decimals"] for cell in rows] == [0, 0, 4, 1, 0, 2]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("flaw,Off by one,Ebb,Ships,1", "unknown dimension 'flaw'; known are fault, harm, trick"),
        ("fault,Of by one,Ebb,Ships,1", "unknown category of fault 'Of by one' (did you mean 'Off by one'?); known are "
         "Off by one, Wrong moon"),
        ("fault,Off by one,Eb,Ships,1", "unknown library 'Eb' (did you mean 'Ebb'?); known are Flow, Ebb"),
        ("fault,Off by one,Ebb,ship,1", "unknown source 'ship' (did you mean 'Ships'?); known are Ships, Ports"),
        ("fault,,Ebb,Ships,1", "category: missing; a number in the unit percent needs it"),
        ("fault,Off by one,Ebb,Ships,", "value: '' is not a number such as 12.5"),
        ("fault,Off by one,Ebb,Ships,many", "value: 'many' is not a number such as 12.5"),
        ("fault,Off by one,Ebb,Ships,1e2", "value: '1e2' is not a number such as 12.5"),
        ("fault,Off by one,Ebb,Ships,100.1", "value: 100.1 is not between 0 and 100"),
        ("fault,Off by one,Ebb,Ships,-1", "value: -1 is not between 0 and 100"),
        ("fault,Off by one,Ebb,Ships,1,2", "6 cells, but the file has 5 columns: quote cells with commas"),
    ],
)  # fmt: skip
def test_a_number_of_something_that_does_not_exist_is_an_error(problem, row, message):
    assert (
        problem(ENTRY, table1=f"dimension,category,library,source,percent\n{row}\n") == f"table1.csv, line 2: {message}"
    )


@pytest.mark.parametrize(
    ("keys", "text", "message"),
    [
        ('unit = "p"\nlibrary = {value = "Ebb"}\n', "dimension,category,p\nfault,OB1,0.5",
         "table1.csv, line 2: library: 'Ebb': a number in the unit p has none: leave it out"),
        ('unit = "p"\n', "dimension,category,p\nfault,OB1,1.5",
         "table1.csv, line 2: value: 1.5 is not between 0 and 1"),
        ('unit = "bugs"\n', "dimension,bugs\nfault,1", "table1.csv, line 2: dimension without category: state both"),
        ('unit = "bugs"\n', "library,bugs\nEbb,1.5", "table1.csv, line 2: value: '1.5' is not a whole number"),
        ('unit = "items"\n', "year,items\n2020,1",
         "table1.csv, line 2: year: '2020': a number in the unit items has none: leave it out"),
        ('unit = "correlation"\n', "dimension,library,correlation\nfault,Ebb,1",
         "table1.csv, line 2: library_b: missing; a number in the unit correlation needs it"),
        ("", "dimension,category,within_dimension,percent\nfault,OB1,harm,1",
         "table1.csv, line 2: within_dimension without within_category: state both"),
        ("", "dimension,category,within_dimension,within_category,percent\nfault,OB1,fault,Wrong moon,1",
         "table1.csv, line 2: within_dimension is 'fault', too: use two dimensions"),
        ("", "dimension,category,within_dimension,within_category,year,percent\nfault,OB1,harm,Stranded,2020,1",
         "table1.csv, line 2: year and within_dimension: a number can be of a year or inside a category, not both"),
        ("", "dimension,category,year,percent\nfault,OB1,20,1",
         "table1.csv, line 2: year: 20 is not between 1900 and 2200"),
        ("", "dimension,category,percent,bugs\nfault,OB1,1,few",
         "table1.csv, line 2: bugs: 'few' is not a whole number"),
        ("", "dimension,category,percent\nfault,OB1,1\nfault,Off by one,2",
         "table1.csv, line 3: the number is also in table1.csv, line 2: remove one of them"),
        ("decimals = 1\n", "dimension,category,percent\nfault,OB1,1.25",
         "table1.csv: values with 2 decimals, but published.0.decimals is smaller"),
        ('category = "Cause"\n', "dimension,cause,percent\nfault,OB1,1",
         "table1.csv: no column 'Cause', which is to be the category (did you mean 'cause'?); the file has dimension, "
         "cause, percent"),
        ("", "dimension,category,share\nfault,OB1,1",
         "table1.csv: no column 'percent', which is to be the value; the file has dimension, category, share"),
        ("", "", "table1.csv: no column 'percent', which is to be the value; the file has no rows"),
    ],
)  # fmt: skip
def test_what_is_not_a_printed_number_is_an_error(problem, keys, text, message):
    assert problem(ENTRY + keys, table1=text) == message


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ('unit = "permille"', "published.0.unit: write one of 'percent', 'bugs', 'items', 'p' or 'correlation', not "
         "'permille'"),
        ('category = {}', "published.0.category: use the name of a column, or {value = '..'} for all rows"),
        ('category = {value = "a", column = "b"}',
         "published.0.category: use the name of a column, or {value = '..'} for all rows"),
        ('category = {value = "a", map = {b = "c"}}',
         "published.0.category: map replaces texts of a column: name it, as in {column = '..', map = {..}}"),
        ('unit = "bugs"\nbugs = "n"',
         "published.0: bugs are printed beside a percent, but unit is 'bugs': leave bugs out"),
        ('unit = "p"\nof = "all"', "published.0: of is for unit = 'percent', not 'p': leave it out"),
        ("decimals = 16", "published.0.decimals: write 15 or less, not 16"),
    ],
)  # fmt: skip
def test_entries_are_validated(problem, keys, message):
    assert problem(f"{ENTRY}{keys}\n") == f"study.toml: {message}"


def test_an_unknown_key_is_an_error_that_suggests_a_known_one(problem):
    assert "published.0.categroy: unknown key (did you mean 'category'?)" in problem(f'{ENTRY}categroy = "x"\n')


def test_a_file_of_too_many_numbers_is_an_error(problem):
    numbers = "".join(f"{number},1\n" for number in range(100_001))
    entry = ENTRY + 'dimension = {value = "trick"}\ncategory = "name"\nunit = "bugs"\n'

    assert problem(entry, table1=f"name,bugs\n{numbers}") == (
        "table1.csv: with this file, there are more than 100000 printed numbers: leave some out"
    )


@pytest.mark.parametrize("name", ["../table1.csv", "/table1.csv", "a\\\\table1.csv", "table1.txt"])
def test_files_are_in_the_folder_of_printed_numbers(problem, name):
    assert "published.0.file: use the name of a CSV file in published/" in problem(f'[[published]]\nfile = "{name}"\n')


def test_a_missing_file_is_named(problem):
    assert "published/table1.csv: No such file or directory" in problem(ENTRY)


def test_a_lone_file_has_no_folder_of_printed_numbers(tmp_path):
    path = tmp_path / "tides.toml"
    path.write_text(f"{STUDY}\n{ENTRY}", encoding="utf-8")
    study = load_study(path)

    with pytest.raises(DlbugError, match=r"published\.0\.file: there is no folder published/ beside study\.toml"):
        published_cells(study, load_taxonomy(load_study("islam2019")))


def _following(tmp_path, more=""):
    study = """
[study]
name = "later"
title = "Later"
seed = 1
follows = "islam2019"

[[libraries]]
name = "JAX"

[sources]
labels = "release"

[[releases]]
path = "bugs.csv"
columns = {library = "Library", link = "URL", bug_type = "Type", root_cause = "Cause", effect = "Effect"}
"""
    (tmp_path / "study.toml").write_text(f"{study}\n{more}", encoding="utf-8")
    study = load_study(tmp_path)
    return study, published_cells(study, load_taxonomy(study))


def test_a_study_has_the_printed_numbers_of_the_one_that_it_follows(tmp_path):
    original = load_study("islam2019")
    study, rows = _following(tmp_path)

    assert study.published == original.published
    assert study.files.published == STUDIES / "islam2019" / "published"
    assert rows == published_cells(original, load_taxonomy(original))


def test_printed_numbers_that_are_taken_over_may_be_of_other_categories(tmp_path):
    own = "dimension,name\n" + "".join(
        f"{dimension},Another one\n" for dimension in ("bug_type", "root_cause", "effect", "stage", "antipattern")
    )
    (tmp_path / "taxonomy.csv").write_text(own, encoding="utf-8")

    _, rows = _following(tmp_path)

    assert {"Data Bug", "Crash"} <= {row["category"] for row in rows}


def test_a_study_that_follows_another_may_have_printed_numbers_of_its_own(tmp_path):
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / "t.csv").write_text("category,percent\nAPI Bug,9\n", encoding="utf-8")
    entry = '[[published]]\nfile = "t.csv"\ndimension = {value = "bug_type"}\n'

    _, rows = _following(tmp_path, entry)

    assert [(row["category"], row["value"]) for row in rows] == [("API Bug", 9.0)]
    (tmp_path / "published" / "t.csv").write_text("category,percent\nAPI Bugs,9\n", encoding="utf-8")
    with pytest.raises(DlbugError, match=r"t\.csv, line 2: unknown category of bug_type 'API Bugs' \(did you mean"):
        _following(tmp_path, entry)


def test_a_study_that_follows_none_has_no_printed_numbers(tmp_path):
    without = STUDY[: STUDY.index("[[dimensions]]")] + STUDY[STUDY.index("[[libraries]]") :]
    labels = 'fault = "Fault"', 'bug_type = "Type", root_cause = "Cause", effect = "Effect"'
    (tmp_path / "study.toml").write_text(without.replace(*labels), encoding="utf-8")

    study = load_study(tmp_path)

    assert study.dimension_names[0] == "bug_type"  # it has the default taxonomy
    assert (study.published, study.files.published) == ((), None)
