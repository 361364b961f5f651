"""Columns of releases: constants, patterns, joins, several values, unknown labels, and what is set aside."""

import json
from datetime import datetime

import pytest

from dlbug_assets import releases
from dlbug_assets.errors import DlbugError
from support.released_studies import COLUMNS, HEADER, ROWS, TAXONOMY, csv_text, read, study_of

REJECT = 'Or set on_unknown = "reject" under [[releases]] to leave such rows out.'


def released(tmp_path, rows, header=HEADER, columns=(), **release):
    (tmp_path / "bugs.csv").write_text(csv_text(rows, header), encoding="utf-8")
    return read(study_of(tmp_path, {"file": "bugs.csv", "columns": {**COLUMNS, **dict(columns)}, **release}))


def rows_of(tmp_path, rows, header=HEADER, columns=(), **release):
    return released(tmp_path, rows, header, columns, **release).rows


def error_of(tmp_path, rows, header=HEADER, columns=(), **release) -> str:
    with pytest.raises(DlbugError) as caught:
        released(tmp_path, rows, header, columns, **release)
    return str(caught.value)


def row(**cells) -> tuple[str, ...]:
    """Return a valid row, with some cells replaced."""
    return tuple(cells.get(name, cell) for name, cell in zip(HEADER, ROWS[0], strict=True))


def test_constants_and_the_name_of_the_file_are_values(tmp_path):
    (tmp_path / "beta_bugs.csv").write_text(csv_text(), encoding="utf-8")
    columns = {**COLUMNS, "library": {"file": True, "extract": "^([a-z]+)_"}, "source": {"value": "Forum"}}
    rows = read(study_of(tmp_path, {"file": "beta_bugs.csv", "columns": columns})).rows
    assert rows.select("library", "source").rows() == [("Beta", "Forum")] * 2


def test_the_only_source_need_not_be_named(tmp_path):
    assert rows_of(tmp_path, ROWS)["source"].to_list() == ["Release"] * 2


def test_sources_are_mapped_or_listed(tmp_path):
    header = (*HEADER, "Component")
    rows = [(*ROWS[0], "Code"), (*ROWS[1], "Configuration")]
    mapped = {"source": {"column": "Component", "map": {"Code": "Unit", "Configuration": "Program"}}}
    assert rows_of(tmp_path, rows, header, mapped)["source"].to_list() == ["Unit", "Program"]
    study = study_of(tmp_path, {"file": "bugs.csv", "columns": {**COLUMNS, **mapped}})
    assert study.source_names == ("Unit", "Program")
    listed = {"columns": {**COLUMNS, "source": "Component"}, "file": "bugs.csv"}
    sources = {"labels": "release", "names": ["Code", "Configuration"]}
    assert read(study_of(tmp_path, listed, sources=sources)).rows["source"].to_list() == ["Code", "Configuration"]
    with pytest.raises(DlbugError) as caught:
        read(study_of(tmp_path, listed, sources={"labels": "release", "names": ["Code", "Text"]}))
    assert str(caught.value) == (
        "bugs.csv, row 3: unknown source 'Configuration'; the study has Code, Text. Map the source in "
        f"releases.columns.source of {tmp_path / 'study.toml'}, or add it to sources.names. {REJECT}"
    )


def test_an_unknown_library_is_an_error_with_the_nearest(tmp_path):
    assert error_of(tmp_path, [row(Library="Alpa"), row(Library="")]) == (
        "bugs.csv, row 2: unknown library 'Alpa' (did you mean 'Alpha'?); bugs.csv, row 3: library is empty. Add the "
        f"library to [[libraries]] of {tmp_path / 'study.toml'}, or map it in releases.columns.library. Fix the cell. "
        f"{REJECT}"
    )


def test_texts_are_extracted_stripped_and_mapped_in_this_order(tmp_path):
    rows = [row(Symptom="[1] Hang! (H)"), row(Symptom="[2] Boom (C)")]
    column = {"column": "Symptom", "extract": r"\] (.*)", "strip": r"!? \([A-Z]+\)$", "map": {"Boom": "Crash"}}
    found = rows_of(tmp_path, rows, columns={"symptom": column})
    assert found.select("symptom", "symptom_as_written").rows() == [
        (["Hang"], ["[1] Hang! (H)"]),
        (["Crash"], ["[2] Boom (C)"]),
    ]


def test_several_groups_are_joined(tmp_path):
    columns = {"key": {"column": "Link", "extract": "^https://(example).*/([0-9]+)$"}}
    assert rows_of(tmp_path, ROWS, columns=columns)["key"].to_list() == ["example1", "example2"]


def test_a_text_that_does_not_match_is_an_error(tmp_path):
    columns = {"key": {"column": "Link", "extract": "([0-9]+)$"}}
    assert error_of(tmp_path, [*ROWS, row(Link="https://example.org/")], columns=columns).startswith(
        "bugs.csv, row 4: key 'https://example.org/' does not match ([0-9]+)$. "
    )


def test_the_first_column_that_is_filled_counts(tmp_path):
    columns = {"symptom": ["Remark", "Symptom"]}
    rows = [row(Remark="Hang"), row(Remark=""), row(Remark=" ")]
    assert rows_of(tmp_path, rows, columns=columns | {"remark": "Cause"})["symptom"].to_list() == [
        ["Hang"], ["Crash"], ["Crash"],
    ]  # fmt: skip


def test_links_are_made_of_keys_and_columns(tmp_path):
    columns = {
        "key": {"column": "Link", "extract": "([0-9]+)$"},
        "link": {"template": "https://stackoverflow.com/questions/{key}?by={Library}"},
    }
    rows = rows_of(tmp_path, [*ROWS, row(Library="Alpha")], columns=columns)
    assert rows.select("link", "post_id").rows()[0] == ("https://stackoverflow.com/questions/1?by=Alpha", 1)


@pytest.mark.parametrize(
    ("link", "expected", "item"),
    [
        ("https://stackoverflow.com/questions/7/how-to", (7, None, None), "SO-Alpha-7"),
        ("https://stackoverflow.com/q/7", (7, None, None), "SO-Alpha-7"),
        ("https://stackoverflow.com/a/7", (None, None, None), "Alpha-https://stackoverflow.com/a/7"),
        ("https://github.com/o/n/issues/3", (None, None, None), "Alpha-https://github.com/o/n/issues/3"),
        ("https://github.com/o/n/pull/3#issuecomment-1", (None, None, None), None),
        (f"https://github.com/o/n/commit/{'a' * 40}", (None, "o/n", "a" * 40), f"GH-Alpha-{'a' * 40}"),
        (f"https://github.com/o/n/pull/3/commits/{'a' * 40}", (None, "o/n", "a" * 40), f"GH-Alpha-{'a' * 40}"),
        (f"https://github.com/o/n/commit/{'a' * 39}", (None, None, None), None),
        ("https://issues.example.org/browse/X-1", (None, None, None), "Alpha-https://issues.example.org/browse/X-1"),
    ],
)
def test_posts_repositories_and_commits_are_recognised_by_links(tmp_path, link, expected, item):
    found = released(tmp_path, [row(Link=link)])
    assert found.rows.select("post_id", "repository", "commit_sha").row(0) == expected
    assert releases.items(found)["item_id"].to_list() == [item or f"Alpha-{link}"]


def test_keys_tell_items_apart_where_there_are_both(tmp_path):
    found = released(tmp_path, [row(), row(Remark="B-2"), row()], columns={"key": "Remark", "remark": "Cause"})
    assert releases.items(found)["item_id"].to_list() == ["Alpha-at night", "Alpha-B-2"]
    assert releases.units(found)["bug_index"].to_list() == [1, 1, 2]


def test_a_row_without_key_and_link_is_an_error(tmp_path):
    assert error_of(tmp_path, [row(Link="")]).startswith("bugs.csv, row 2: it has neither key nor link. ")


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2020-02-29", datetime(2020, 2, 29)),
        ("2020-02-29 10:20:30", datetime(2020, 2, 29, 10, 20, 30)),
        ("2020-02-29T10:20:30.5+02:00", datetime(2020, 2, 29, 8, 20, 30, 500_000)),
        ("2020-02-29T10:20:30Z", datetime(2020, 2, 29, 10, 20, 30)),
        ("", None),
    ],
)
def test_times_are_in_utc(tmp_path, written, moment):
    columns = {"created_at": "Remark", "remark": "Cause"}
    assert rows_of(tmp_path, [row(Remark=written)], columns=columns)["created_at"].to_list() == [moment]


@pytest.mark.parametrize("written", ["29.2.2020", "2021-02-29", "9999-12-31T23:00:00-02:00", "yesterday"])
def test_a_text_that_is_not_a_time_is_an_error(tmp_path, written):
    columns = {"created_at": "Remark", "remark": "Cause"}
    assert error_of(tmp_path, [row(Remark=written)], columns=columns).startswith(
        f"bugs.csv, row 2: created_at '{written}' is not a time such as 2020-01-31 or 2020-01-31T12:00:00Z. "
    )


def test_several_categories_are_split_and_each_counts_once(tmp_path):
    rows = rows_of(tmp_path, [row(Inputs=" Port; file ;PORT;; user  name"), row(Inputs=";")])
    assert rows.select("inputs", "inputs_as_written").rows() == [
        (["port", "file", "user name"], ["Port", "file", "user  name"]),
        (None, None),
    ]
    columns = {"inputs": {"column": "Inputs", "separator": "+"}}
    assert rows_of(tmp_path, [row(Inputs="file+port")], columns=columns)["inputs"].to_list() == [["file", "port"]]


def test_open_dimensions_take_labels_as_they_are(tmp_path):
    rows = rows_of(tmp_path, [row(Remark="  at   noon "), row(Remark="At noon")])
    assert rows["remark"].to_list() == [["at noon"], ["At noon"]]
    assert rows["remark_as_written"].to_list() == [["  at   noon "], ["At noon"]]


def test_spellings_and_mappings_lead_to_categories(tmp_path):
    mappings = "dimension,written,category,reason\ncause,Deadlock,Race,a kind of race\n"
    (tmp_path / "bugs.csv").write_text(
        csv_text([row(Symptom="ABSTURZ", Cause="data  race"), row(Cause="Deadlock")]), encoding="utf-8"
    )
    rows = read(study_of(tmp_path, {"file": "bugs.csv"}, mappings=mappings)).rows
    assert rows.select("symptom", "symptom_as_written", "cause", "mapped").rows() == [
        (["Crash"], ["ABSTURZ"], ["Race"], None),
        (["Crash"], ["Crash"], ["Race"], "cause"),
    ]


def test_swapped_columns_are_recognised_by_their_values(tmp_path):
    found = released(tmp_path, [row(), row(Symptom="Race", Cause="Hang"), row(Symptom="", Cause="Crash")])
    assert found.rows.select("symptom", "cause", "symptom_as_written", "swapped").rows() == [
        (["Crash"], ["Typo"], ["Crash"], False),
        (["Hang"], ["Race"], ["Hang"], True),
        (["Crash"], None, ["Crash"], True),
    ]


def test_labels_of_many_dimensions_are_arranged_where_only_one_order_fits(tmp_path):
    names = [f"d{number}" for number in range(6)]
    taxonomy = "dimension,name\n" + "".join(f"{name},yes\n{name},no\n{name},{name} only\n" for name in names)
    columns = {"library": "Library", "key": "Key", **{name: name for name in names}}
    dimensions = [{"name": name} for name in names]

    def arranged(*cells: str):
        (tmp_path / "bugs.csv").write_text(csv_text([("Alpha", "1", *cells)], ("Library", "Key", *names)))
        study = study_of(tmp_path, {"file": "bugs.csv", "columns": columns}, dimensions=dimensions, taxonomy=taxonomy)
        found = read(study).rows
        return found["swapped"].item(), found.select(names).row(0)

    as_is = ["yes", "no", "yes", "yes", "no", "d5 only"]
    assert arranged(*as_is) == (False, tuple([cell] for cell in as_is))
    moved = (["d0 only"], ["d1 only"], ["d2 only"], ["yes"], ["d4 only"], ["d5 only"])
    assert arranged("d1 only", "d2 only", "d0 only", "yes", "d5 only", "d4 only") == (True, moved)
    with pytest.raises(DlbugError, match="in the wrong column, and more than one order fits, or none: d0 'd1 only'"):
        arranged("d1 only", *as_is[1:])


def test_an_unknown_label_is_an_error_with_its_place_and_the_nearest(tmp_path):
    message = error_of(tmp_path, [row(), row(Symptom="Crush", Inputs="file;prot"), row(Cause="Moon")])
    assert message == (
        "bugs.csv, row 3: unknown symptom 'Crush' (did you mean 'Crash'?); bugs.csv, row 3: unknown inputs 'prot' (did "
        "you mean 'port'?); bugs.csv, row 4: unknown cause 'Moon'. Fix the cell, add the category or its other "
        f"spelling (aliases) to {tmp_path / 'taxonomy.csv'}, or say in mappings.csv what it counts as. {REJECT}"
    )


def test_a_problem_of_several_rows_is_listed_once_with_the_first(tmp_path):
    message = error_of(tmp_path, [row(), *[row(Symptom="Moon")] * 13, row(Symptom="Crush")])
    assert message.startswith(
        "bugs.csv, row 3 and 12 more: unknown symptom 'Moon'; bugs.csv, row 16: unknown symptom 'Crush' (did you mean "
        "'Crash'?). Fix the cell, "
    )


def test_at_most_ten_problems_are_listed(tmp_path):
    message = error_of(tmp_path, [row(Symptom=f"Moon {number}") for number in range(13)])
    assert message.count("unknown symptom 'Moon ") == 10
    assert "; and 3 more problems. " in message


def test_an_unknown_label_is_shown_as_it_was_read(tmp_path):
    column = {"column": "Symptom", "strip": r" \([A-Z]+\)$"}
    message = error_of(tmp_path, [row(Symptom="Crush (CR)")], columns={"symptom": column})
    assert message.startswith(
        "bugs.csv, row 2: unknown symptom 'Crush (CR)', read as 'Crush' (did you mean 'Crash'?). "
    )


def test_a_category_with_what_strip_removes_is_an_error_of_the_taxonomy(tmp_path):
    (tmp_path / "bugs.csv").write_text(csv_text([row(Symptom="Hang (H)")] * 2), encoding="utf-8")
    columns = {**COLUMNS, "symptom": {"column": "Symptom", "strip": r" \([A-Z]+\)$"}}
    taxonomy = TAXONOMY.replace("Hang", "Hang (H)")
    with pytest.raises(DlbugError) as caught:
        read(study_of(tmp_path, {"file": "bugs.csv", "columns": columns}, taxonomy=taxonomy))
    assert str(caught.value).startswith(
        "bugs.csv, row 2 and 1 more: unknown symptom 'Hang (H)', read as 'Hang': the taxonomy's 'Hang (H)' contains "
        "what strip, extract or map changes, so name it as it is read. "
    )


def test_rejected_rows_are_set_aside_with_their_reason(tmp_path):
    rows = [row(), row(Symptom="Moon", Remark="ask jane@example.org"), row(Link="")]
    found = released(tmp_path, rows, on_unknown="reject")
    assert found.rows["row"].to_list() == [2]
    rejected = found.rejected
    assert rejected.select("file", "line", "entry", "reason").rows() == [
        ("bugs.csv", 3, 1, "unknown symptom 'Moon'"),
        ("bugs.csv", 4, 1, "it has neither key nor link"),
    ]
    assert json.loads(rejected["content"][0]) == {
        "library": ["Alpha"], "link": ["https://example.org/1"], "symptom": ["Moon"], "cause": ["Typo"],
        "inputs": ["file", "port"], "remark": ["ask <e-mail>"],
    }  # fmt: skip
    assert releases.data_quality(found, study_of(tmp_path, {"file": "bugs.csv"}))["rows_set_aside"] == 2


def join(tmp_path, dates: str, columns=(), **column):
    (tmp_path / "bugs.csv").write_text(csv_text(), encoding="utf-8")
    (tmp_path / "dates.csv").write_text(dates, encoding="utf-8")
    created_at = {"column": "Created", "from": "dates", **column}
    bugs = {"file": "bugs.csv", "columns": {**COLUMNS, "created_at": created_at, **dict(columns)}}
    return read(study_of(tmp_path, bugs, {"name": "dates", "file": "dates.csv", "columns": {"key": "URL"}}))


def test_columns_of_another_release_are_joined_by_key(tmp_path):
    found = join(tmp_path, "URL,Created\nhttps://example.org/2,2020-01-02\nhttps://example.org/3,2020-01-03\n")
    assert found.rows["created_at"].to_list() == [None, datetime(2020, 1, 2)]
    assert found.unmatched == 1


def test_keys_are_joined_in_any_case_only_if_asked_for(tmp_path):
    dates = "URL,Created\nHTTPS://example.org/1,2020-01-01\nhttps://example.org/2,2020-01-02\n"
    assert join(tmp_path, dates).unmatched == 1
    assert join(tmp_path, dates, ignore_case=True).unmatched == 0


def test_a_key_that_two_rows_have_is_an_error_with_both(tmp_path):
    dates = "URL,Created\nhttps://example.org/1,2020-01-01\nHTTPS://example.org/1,2020-01-02\n"
    assert join(tmp_path, dates).unmatched == 1
    with pytest.raises(DlbugError) as caught:
        join(tmp_path, dates, ignore_case=True)
    assert str(caught.value) == (
        "dates.csv, row 3: the key 'HTTPS://example.org/1' is also that of dates.csv, row 2, but other releases find "
        "one row by it. Delete one of them."
    )


def test_a_release_without_any_of_the_keys_is_an_error(tmp_path):
    with pytest.raises(DlbugError) as caught:
        join(tmp_path, "URL,Created\n1,2020-01-01\n")
    assert str(caught.value) == (
        "bugs.csv: created_at: no row of the release 'dates' has a key such as 'https://example.org/1'. Set key to the "
        "column that both have."
    )


def test_a_column_that_a_joined_release_lacks_is_an_error_with_the_key_that_names_it(tmp_path):
    with pytest.raises(DlbugError) as caught:
        join(tmp_path, "URL,Creation\nhttps://example.org/1,2020-01-01\n")
    assert str(caught.value) == (
        f"dates.csv: it has no column 'Created', which releases.0.columns.created_at of {tmp_path / 'study.toml'} "
        "names (did you mean 'Creation'?). Found: 'URL', 'Creation'"
    )


def test_a_joined_row_without_key_is_an_error(tmp_path):
    with pytest.raises(DlbugError, match=r"dates\.csv, row 3: it needs one key, by which other releases find the row"):
        join(tmp_path, "URL,Created\nhttps://example.org/1,2020-01-01\n,2020-01-02\n")


def test_a_single_dimension_does_not_take_several_labels(tmp_path):
    rows = [{"Library": "Alpha", "Link": "x", "Symptom": ["Crash", "Hang"]}]
    (tmp_path / "bugs.json").write_text(json.dumps(rows), encoding="utf-8")
    columns = {"library": "Library", "key": "Link", "symptom": "Symptom"}
    with pytest.raises(DlbugError, match=r"bugs\.json, row 1: symptom has 2 values, but takes one\. "):
        read(study_of(tmp_path, {"file": "bugs.json", "rows": "$[*]", "columns": columns}))


def test_categories_that_share_a_spelling_are_an_error_of_the_taxonomy(tmp_path):
    (tmp_path / "bugs.csv").write_text(csv_text(), encoding="utf-8")
    with pytest.raises(DlbugError, match="'crashes' is a spelling of 'Crash' already"):
        read(study_of(tmp_path, {"file": "bugs.csv"}, taxonomy=f"{TAXONOMY}symptom,Boom,crashes\n"))
