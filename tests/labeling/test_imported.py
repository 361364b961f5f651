"""Final labels that exist already: of items of the queue, in files that a map describes."""

import json
from datetime import UTC, datetime

import polars as pl
import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.labeling.imported.archive import final_versions, receive_final
from dlbug_assets.labeling.imported.history import read_imported
from dlbug_assets.labeling.imported.items_by_link import ItemsByLink, UnknownItemError
from dlbug_assets.labeling.imported.label_map import load_map
from dlbug_assets.labeling.imported.map_template import map_template
from dlbug_assets.labeling.imported.tables import imported_bugs, imported_units
from dlbug_assets.labeling.items import ITEMS
from dlbug_assets.layout import PROJECT
from dlbug_assets.protocol.taxonomy import load_taxonomy
from support.clocks import ManualClock
from support.filled_sheets import labelling_study
from support.released_studies import DIMENSIONS, TAXONOMY, json_lines, ods
from support.small_disks import mount, unmount
from support.workbooks import workbook

WHEN = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
SHA, OTHER = "a1b2c3d" + 33 * "0", "a1b2c3e" + 33 * "0"
QUESTION = "https://stackoverflow.com/questions"
#: Library, post, commit and checkpoint of the items.
QUEUE = (
    ("Alpha", 1, None, 5), ("Alpha", 2, None, 100), ("Alpha", 3, None, 100), ("Beta", 3, None, 100),
    ("Beta", None, SHA, 5), ("Beta", None, OTHER, 100),
)  # fmt: skip
HEADER = ("Link", "Library", "Symptom", "Cause", "Inputs", "Remark")
MAP = """[columns]
link = "Link"
library = "Library"
symptom = "Symptom"
cause = "Cause"
inputs = "Inputs"
remark = "Remark"
"""
CRASH = (f"{QUESTION}/1", "", "Crash", "Typo", "file;port", "at night")
HANG = (f"{QUESTION}/2", "", "Hang", "", "", "")


def queue():
    rows = [
        {
            "item_id": f"GH-{library}-{sha}" if sha else f"SO-{library}-{post}",
            "source": "GitHub" if sha else "Stack Overflow",
            "library": library,
            "title": "Title",
            "link": f"https://github.com/owner/name/commit/{sha}" if sha else f"{QUESTION}/{post}/a-title",
            "round": 1,
            "position": position,
            "checkpoint": checkpoint,
            "created_at": datetime(2017, 3, 1),
            "year": 2017,
            "repository": "owner/name" if sha else None,
            "commit_sha": sha,
            "post_id": post,
        }
        for position, (library, post, sha, checkpoint) in enumerate(QUEUE, start=1)
    ]
    return pl.DataFrame(rows, schema=ITEMS)


class Imports:
    """Files with final labels of a small study, imported one after the other."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "taxonomy.csv").write_text(TAXONOMY, encoding="utf-8")
        libraries = [{"name": name, "tags": [name], "repositories": f"topic:{name}"} for name in ("Alpha", "Beta")]
        self.study = labelling_study(taxonomy=folder / "taxonomy.csv", dimensions=DIMENSIONS, libraries=libraries)
        self.items = queue()
        self.clock = ManualClock(WHEN)

    def add(self, content, name="bugs.csv", described=MAP):
        """Import a file: its rows without header, or its content; return all that was imported so far."""
        path, described_in = self.folder / name, self.folder / "map.toml"
        if not isinstance(content, bytes | str):
            content = csv(*content)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        described_in.write_text(described, encoding="utf-8")
        receive_final(path, described_in, self.folder / "final", self.clock)
        return self.read()

    def read(self):
        return read_imported(self.folder / "final", self.items, self.study, load_taxonomy(self.study))


@pytest.fixture
def imports(tmp_path):
    return Imports(tmp_path)


def csv(*rows, header=HEADER):
    return "".join(",".join(row) + "\n" for row in (header, *rows))


def refused(imported):
    return imported.rejected.select("file", "line", "reason").rows()


def receipts(imported):
    names = ("rows", "taken", "changed", "unchanged", "blank", "withdrawn", "refused")
    return [tuple(row[name] for name in names) for row in imported.receipts.to_dicts()]


def bugs(imported):
    return imported.labels.select("item_id", "bug_index", "symptom").rows()


def test_final_labels_become_bugs_and_agreed_labels(imports):
    imported = imports.add([CRASH, HANG])
    assert imported.labels.drop("received_at").row(0, named=True) == {
        "item_id": "SO-Alpha-1", "bug_index": 1, "symptom": "Crash", "cause": "Typo", "inputs": ["file", "port"],
        "remark": "at night", "symptom_as_written": "Crash", "cause_as_written": "Typo",
        "inputs_as_written": ["file", "port"], "remark_as_written": "at night", "place": None, "comment": None,
        "file": "final/bugs.csv", "sheet": None, "line": 2,
    }  # fmt: skip
    assert imported_units(imported.labels).rows() == [
        ("SO-Alpha-1", 1, None, "imported", None), ("SO-Alpha-2", 1, None, "imported", None)
    ]  # fmt: skip
    agreed = imported_bugs(imported.labels, imports.items, imports.study)
    assert agreed.select("bug_id", "source", "library", "symptom", "inputs", "decided_by", "provenance").rows() == [
        ("SO-Alpha-1#1", "Stack Overflow", "Alpha", "Crash", ["file", "port"], "imported", "final/bugs.csv, row 2"),
        ("SO-Alpha-2#1", "Stack Overflow", "Alpha", "Hang", None, "imported", "final/bugs.csv, row 3"),
    ]
    assert receipts(imported) == [(2, 2, 0, 0, 0, 0, 0)]
    assert imported.receipts.select("file", "version", "received_at", "rater", "pass", "note").rows() == [
        ("final/bugs.csv", 1, WHEN.replace(tzinfo=None), None, "final", None)
    ]


@pytest.mark.parametrize(
    ("name", "content", "extra"),
    [
        ("bugs.tsv", csv(CRASH, HANG).replace(",", "\t"), ""),
        ("bugs.xlsx", workbook({"Bugs": [HEADER, CRASH, HANG]}), ""),
        ("bugs.ods", ods({"Notes": [["nothing"]], "Bugs": [HEADER, CRASH, HANG]}), 'sheet = "Bugs"\n'),
        ("bugs.jsonl", json_lines([CRASH, HANG]).replace('"Library": "https', '"Link": "https').replace(
            '"Link": null', '"Library": null'), ""),
        ("bugs.json", "[" + ",".join(json_lines([CRASH, HANG]).replace('"Library": "https', '"Link": "https').replace(
            '"Link": null', '"Library": null').splitlines()) + "]", 'rows = "$[*]"\n'),
    ],
)  # fmt: skip
def test_every_format_is_read_alike(imports, name, content, extra):
    imported = imports.add(content, name, extra + MAP)
    assert imported.labels.select("item_id", "symptom", "cause", "inputs", "remark").rows() == [
        ("SO-Alpha-1", "Crash", "Typo", ["file", "port"], "at night"), ("SO-Alpha-2", "Hang", None, None, None)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("link", "item"),
    [
        (f"{QUESTION}/1", "SO-Alpha-1"),
        ("http://www.stackoverflow.com/questions/1/", "SO-Alpha-1"),
        ("stackoverflow.com/q/1", "SO-Alpha-1"),
        ("https://stackoverflow.com/q/1/4711", "SO-Alpha-1"),
        (f"{QUESTION}/1/another-title?rq=1#comment5", "SO-Alpha-1"),
        ("1", "SO-Alpha-1"),
        ("#1", "SO-Alpha-1"),
        (f"https://github.com/owner/name/commit/{SHA}", f"GH-Beta-{SHA}"),
        (f"https://github.com/fork/name/commit/{SHA[:7].upper()}/", f"GH-Beta-{SHA}"),
        (f"https://github.com/owner/name/pull/5/commits/{OTHER}", f"GH-Beta-{OTHER}"),
        (f"https://github.com/owner/name/commit/{OTHER}#diff-0", f"GH-Beta-{OTHER}"),
        (SHA[:12], f"GH-Beta-{SHA}"),
    ],
)
def test_an_item_is_found_by_each_form_of_its_link(link, item):
    assert ItemsByLink(queue()).find(None, link, None) == item


@pytest.mark.parametrize(
    ("item_id", "link", "library", "problem"),
    [
        (None, None, None, "neither item_id nor link tells which item the row is about"),
        ("SO-Alpha-9", None, None, "item_id: 'SO-Alpha-9' is not in the queue"),
        (None, f"{QUESTION}/9", None, f"link: '{QUESTION}/9' is of no item in the queue"),
        (None, "example.org/questions/1", None, "link: 'example.org/questions/1' is of no item in the queue"),
        (None, "https://[", None, "link: 'https://[' is of no item in the queue"),
        (None, "a1b2c3", None, "link: 'a1b2c3' is of no item in the queue"),
        ("SO-Alpha-1", f"{QUESTION}/2", None, f"link: '{QUESTION}/2' is not the link of SO-Alpha-1"),
        (None, "3", None, "library: the link is an item of each of Alpha and Beta: map library to tell which is meant"),
        (None, "1", "Beta", "library: it is Beta, but the item is of Alpha"),
    ],
)  # fmt: skip
def test_an_item_that_is_not_found_is_refused_with_the_reason(item_id, link, library, problem):
    with pytest.raises(UnknownItemError) as error:
        ItemsByLink(queue()).find(item_id, link, library)
    assert str(error.value) == problem


def test_the_library_tells_items_of_a_link_apart(imports):
    imported = imports.add([("3", "alpha", "Crash", "", "", ""), ("3", "Beta", "Hang", "", "", "")])
    assert bugs(imported) == [("SO-Alpha-3", 1, "Crash"), ("SO-Beta-3", 1, "Hang")]


def test_rows_of_an_item_are_its_bugs_in_the_order_of_the_file(imports):
    imported = imports.add([CRASH, HANG, ("1", "", "Hang", "", "", ""), ("1", "", "Oops", "", "", ""),
                            ("1", "", "Hang", "Race", "", "")])  # fmt: skip
    assert bugs(imported) == [
        ("SO-Alpha-1", 1, "Crash"), ("SO-Alpha-2", 1, "Hang"), ("SO-Alpha-1", 2, "Hang"), ("SO-Alpha-1", 4, "Hang")
    ]  # fmt: skip


def test_rows_that_cannot_be_taken_are_refused_one_by_one(imports):
    rows = [
        CRASH,
        ("9", "", "Crash", "", "", ""),
        ("2", "", "Krash", "", "", ""),
        ("2", "", "", "Typo", "", ""),
        ("2", "", "Crash;Hang", "Race", "keyboard", ""),
        ("", "", "Hang", "", "", ""),
        ("3", "Gamma", "Hang", "", "", ""),
        CRASH,
        ("2", "", "", "", "", ""),
        (f"GH-Beta-{SHA}", "", "Hang", "none", "NONE", "none"),
        (SHA, "", "Hang", "none", "NONE", "none"),
    ]
    imported = imports.add(rows)
    assert refused(imported) == [
        ("final/bugs.csv", 3, "link: '9' is of no item in the queue"),
        ("final/bugs.csv", 4, "symptom: unknown category 'Krash' (did you mean 'Crash'?), or map it"),
        ("final/bugs.csv", 5, "symptom: missing; it is required of every bug"),
        ("final/bugs.csv", 6, "symptom: unknown category 'Crash;Hang' (did you mean 'Crash'?), or map it; "
                              "inputs: unknown category 'keyboard'; use one of file, port, user name, or map it"),
        ("final/bugs.csv", 7, "neither item_id nor link tells which item the row is about"),
        ("final/bugs.csv", 8, "library: unknown 'Gamma'"),
        ("final/bugs.csv", 9, "it repeats row 2; delete it or, if it is another bug, tell them apart by place"),
        ("final/bugs.csv", 11, f"link: 'GH-Beta-{SHA}' is of no item in the queue"),
    ]  # fmt: skip
    assert bugs(imported) == [("SO-Alpha-1", 1, "Crash"), (f"GH-Beta-{SHA}", 1, "Hang")]
    assert imported.labels.row(1, named=True)["cause"] is None
    assert receipts(imported) == [(11, 2, 0, 0, 1, 0, 8)]
    assert imported.rejected["content"][0] == '{"link": "9", "symptom": "Crash", "item_id": null}'


def test_a_row_without_a_bug_makes_its_item_final_without_bugs(imports):
    described = MAP + 'is_bug = {column = "Bug", map = {yes = "true", "?" = "maybe"}}\nplace = "Where"\n'
    header = (*HEADER, "Bug", "Where")
    rows = [
        ("1", "", "", "", "", "", "No", ""),
        ("2", "", "Crash", "", "", "", "yes", "line 3"),
        ("2", "", "Crash", "", "", "", "", "line 4"),
        (SHA, "", "Crash", "", "", "", "no", ""),
        (SHA, "", "", "", "", "", "?", ""),
        (OTHER, "", "", "", "", "", "0", ""),
        (OTHER, "", "Hang", "", "", "", "1", ""),
    ]
    imported = imports.add(csv(*rows, header=header), described=described)
    assert imported.labels.select("item_id", "bug_index", "symptom", "place").rows() == [
        ("SO-Alpha-1", 0, None, None), ("SO-Alpha-2", 1, "Crash", "line 3"), ("SO-Alpha-2", 2, "Crash", "line 4")
    ]  # fmt: skip
    assert imported_units(imported.labels)["item_id"].to_list() == 2 * ["SO-Alpha-2"]
    assert [(line, reason) for _, line, reason in refused(imported)] == [
        (5, "is_bug: it is false, but symptom has a label; delete one of them"),
        (6, "is_bug: 'maybe' is neither true nor false; map what it means"),
        (7, "is_bug: row 8 says that the item has a bug, this row that it has none; keep one"),
        (8, "is_bug: row 7 says that it has none, this row that the item has a bug; keep one"),
    ]


def test_rows_that_say_the_same_without_a_bug_are_one(imports):
    described = MAP + 'is_bug = "Bug"\n'
    rows = [("1", "", "", "", "", "", "no"), ("1", "", "", "", "", "", "false")]
    imported = imports.add(csv(*rows, header=(*HEADER, "Bug")), described=described)
    assert receipts(imported) == [(2, 1, 0, 0, 0, 0, 1)]


def test_a_newer_version_of_a_file_replaces_the_former_one(imports):
    imports.add([CRASH, HANG, ("9", "", "Crash", "", "", "")])
    imported = imports.add([("1", "", "Hang", "", "", ""), (SHA, "", "Hang", "", "", "")])
    assert bugs(imported) == [("SO-Alpha-1", 1, "Hang"), (f"GH-Beta-{SHA}", 1, "Hang")]
    assert receipts(imported) == [(3, 2, 0, 0, 0, 0, 1), (2, 1, 1, 0, 0, 1, 0)]
    assert imported.receipts["version"].to_list() == [1, 2]
    assert refused(imported) == []


def test_the_same_file_with_the_same_map_is_imported_once(imports):
    imports.add([CRASH])
    assert receipts(imports.add([CRASH])) == [(1, 1, 0, 0, 0, 0, 0)]
    assert len(final_versions(imports.folder / "final")) == 1
    changed = imports.add([CRASH], described=MAP.replace('remark = "Remark"\n', ""))
    assert receipts(changed)[1] == (1, 0, 1, 0, 0, 0, 0)
    assert changed.labels["remark"].to_list() == [None]


def test_labels_of_an_item_are_those_of_the_file_that_was_imported_last(imports):
    imports.add([CRASH, HANG, (SHA, "", "Oops", "", "", "")])
    imported = imports.add([("1", "", "Hang", "", "", ""), (SHA, "", "Hang", "", "", ""), HANG], "corrections.csv")
    assert imported.labels.select("item_id", "symptom", "file").rows() == [
        ("SO-Alpha-1", "Hang", "final/corrections.csv"),
        (f"GH-Beta-{SHA}", "Hang", "final/corrections.csv"),
        ("SO-Alpha-2", "Hang", "final/corrections.csv"),
    ]
    assert receipts(imported)[1] == (3, 1, 1, 1, 0, 0, 0)
    assert imported.receipts["note"].to_list() == [None, "it replaces labels of final/bugs.csv"]
    # The row that was refused is answered by another file.
    assert refused(imported) == []
    # A file that no longer has an item leaves it to the one that still has.
    imported = imports.add([(SHA, "", "Hang", "", "", "")], "corrections.csv")
    assert imported.labels.select("item_id", "symptom", "file").rows()[0] == ("SO-Alpha-1", "Crash", "final/bugs.csv")
    assert receipts(imported)[2] == (1, 0, 0, 1, 0, 0, 0)


def test_a_version_of_which_no_row_can_be_taken_replaces_nothing(imports):
    imports.add([CRASH, HANG])
    imported = imports.add([("9", "", "Crash", "", "", "")])
    assert bugs(imported) == [("SO-Alpha-1", 1, "Crash"), ("SO-Alpha-2", 1, "Hang")]
    assert receipts(imported)[1] == (1, 0, 0, 0, 0, 0, 1)
    assert imported.receipts["note"][1] == "no row of it could be taken, so the labels of the former version stay"
    imported = imports.add(b"\xff\xfe\x00")
    assert [(line, reason[:19]) for _, line, reason in refused(imported)] == [(0, "bugs.csv: it is not")]
    assert receipts(imported)[2] == (1, 0, 0, 0, 0, 0, 1)
    assert bugs(imported) == [("SO-Alpha-1", 1, "Crash"), ("SO-Alpha-2", 1, "Hang")]
    # A file without rows takes all of them back.
    imported = imports.add([])
    assert bugs(imported) == []
    assert receipts(imported)[3] == (0, 0, 0, 0, 0, 2, 0)


def test_a_map_that_a_changed_study_no_longer_fits_refuses_its_file(imports):
    imports.add([CRASH])
    imports.study = imports.study.model_copy(
        update={"dimensions": tuple(each for each in imports.study.dimensions if each.name != "remark")}
    )
    assert refused(imports.read()) == [
        ("final/bugs.csv", 0, "map.toml: columns.remark: unknown; it can be item_id, link, library, is_bug, place, "
                              "comment, symptom, cause, inputs")
    ]  # fmt: skip


def test_e_mail_addresses_are_redacted(imports):
    imported = imports.add([("1", "", "Crash", "", "", "ask ann@example.org"), ("9", "", "x@example.org", "", "", "")])
    assert imported.labels["remark"].to_list() == ["ask <e-mail>"]
    assert imported.labels["remark_as_written"].to_list() == ["ask <e-mail>"]
    assert "example" not in imported.rejected["content"][0] + imported.rejected["reason"][0]


def test_columns_of_raters_become_their_answers(imports):
    described = (
        MAP + '[raters.ann]\nsymptom = "Ann"\ninputs = "Ann in"\n[raters.bob]\nis_bug = "Bug"\nsymptom = "Bob"\n'
    )
    rows = [
        (*CRASH, "Crash", "port;file", "true", "Hang"),
        ("2", "", "Crash", "", "", "", "", "", "no", ""),
        ("3", "Beta", "Crash", "", "", "", "Hang", "", "false", ""),
        ("3", "Beta", "Hang", "", "", "", "Hang", "", "true", "Hang"),
    ]
    imported = imports.add(csv(*rows, header=(*HEADER, "Ann", "Ann in", "Bug", "Bob")), described=described)
    names = ("item_id", "rater", "batch", "pass", "bug_index", "is_bug", "symptom", "inputs", "line")
    assert imported.rater_rows.select(names).rows() == [
        ("SO-Alpha-1", "ann", 5, "units", 1, True, None, None, 2),
        ("SO-Alpha-1", "ann", 5, "dimensions", 1, True, "Crash", "port; file", 2),
        ("SO-Alpha-1", "bob", 5, "units", 1, True, None, None, 2),
        ("SO-Alpha-1", "bob", 5, "dimensions", 1, True, "Hang", None, 2),
        ("SO-Alpha-2", "bob", 100, "units", 0, False, None, None, 3),
        ("SO-Beta-3", "ann", 100, "units", 1, True, None, None, 4),
        ("SO-Beta-3", "ann", 100, "dimensions", 1, True, "Hang", None, 4),
        ("SO-Beta-3", "ann", 100, "units", 2, True, None, None, 5),
        ("SO-Beta-3", "ann", 100, "dimensions", 2, True, "Hang", None, 5),
        ("SO-Beta-3", "bob", 100, "units", 2, True, None, None, 5),
        ("SO-Beta-3", "bob", 100, "dimensions", 2, True, "Hang", None, 5),
    ]


@pytest.mark.parametrize(
    ("described", "problem"),
    [
        ("[columns", "not valid TOML"),
        ("[columns]\nsymptom = 'Symptom'\n", "columns.link: missing; give link or item_id"),
        ("[columns]\nlink = 'Link'\n", "columns.symptom: missing; symptom is required of every bug"),
        (f"{MAP}sympton = 'x'\n", "columns.sympton: unknown (did you mean 'symptom'?); it can be item_id, link"),
        (f"{MAP}place = {{strip = 'x'}}\n", "columns.place: give one of column, value, file and template"),
        (f"{MAP}place = {{column = 'x', strip = '('}}\n", "columns.place.strip: not a regular expression"),
        (f"{MAP}place = {{column = 'x', from = 'dates'}}\n", "columns.place: from is for the releases of a study"),
        (f"{MAP}place = {{column = 'x', separator = '/'}}\n", "columns.place: separator is for a dimension with"),
        (f"{MAP}place = {{template = 'line {{x}}'}}\n", "columns.place: template is for link"),
        (f"url = 'https://example.org/bugs.csv'\n{MAP}", "unknown key url; known are sheet, rows, where, encoding"),
        (f"rows = '$[*]'\n{MAP}", "rows is for files of the kind json, but these are csv"),
        (f"{MAP}[raters.anne]\nsymptom = 'x'\n", "raters.anne: not a rater of the study (did you mean 'ann'?)"),
        (f"{MAP}[raters.ann]\nplace = 'x'\n", "raters.ann.place: unknown; it can be is_bug, symptom"),
        (f"{MAP}[raters.ann]\ncause = 'x'\n", "raters.ann.symptom: missing; symptom is required of every bug"),
    ],
)  # fmt: skip
def test_a_map_that_does_not_fit_is_refused_with_its_key(imports, described, problem):
    path = imports.folder / "map.toml"
    path.write_text(described, encoding="utf-8")
    with pytest.raises(DlbugError) as error:
        load_map(path, imports.folder / "bugs.csv", imports.study)
    assert str(error.value).startswith(f"{path}: {problem}")


def test_a_missing_column_is_named_with_the_nearest(imports):
    imported = imports.add(csv(CRASH, header=("Link", "Library", "Symptoms", "Cause", "Inputs", "Remark")))
    assert refused(imported) == [
        ("final/bugs.csv", 0, "bugs.csv: it has no column 'Symptom', which columns.symptom of map.toml names (did you "
                              "mean 'Symptoms'?). Found: 'Link', 'Library', 'Symptoms', 'Cause', 'Inputs', 'Remark'")
    ]  # fmt: skip


def test_a_map_to_start_from_has_the_columns_of_the_file(imports):
    path = imports.folder / "bugs.csv"
    header = ("URL", "Framework", "symptom", "Symptom (ann)", "Inputs of bob", 'Odd "name"')
    path.write_text(csv(("1", "Alpha", "Crash", "Hang", "file", ""), header=header), encoding="utf-8")
    text = map_template(path, imports.study)
    assert (
        text
        == """# Columns of bugs.csv, with some values:
#   URL: 1
#   Framework: Alpha
#   symptom: Crash
#   Symptom (ann): Hang
#   Inputs of bob: file
#   Odd "name":\N{SPACE}

[columns]
# item_id = ""  # as in labeling.items
link = "URL"  # an address, the number of a question, or the hash of a commit
library = "Framework"  # tells the items of a link apart
# is_bug = ""  # true or false; an item without bugs has a row with false
# place = ""  # where the bug is
# comment = ""  # any text
symptom = "symptom"  # required
# cause = ""  # optional
# inputs = ""  # optional, several separated by ';'
# remark = ""  # optional

[raters.ann]
symptom = "Symptom (ann)"  # required
# cause = ""  # optional
# inputs = ""  # optional, several separated by ';'
# remark = ""  # optional

# [raters.bob]  # if the file has the rater's own labels
# symptom = ""  # required
"""
    )
    (imports.folder / "map.toml").write_text(text, encoding="utf-8")
    assert set(load_map(imports.folder / "map.toml", path, imports.study).columns) == {"link", "library", "symptom"}


def test_a_map_to_start_from_names_the_sheet_and_the_rows(imports):
    path = imports.folder / "bugs.xlsx"
    path.write_bytes(workbook({"Notes": [("Topic", "Text"), ("a", "b")], "Bugs": [HEADER, CRASH]}))
    assert 'sheet = "Bugs"\n[columns]\n' in map_template(path, imports.study)
    path = imports.folder / "bugs.json"
    path.write_text(json.dumps({"bugs": [{"item_id": "SO-Alpha-1", "symptom": "Crash"}]}), encoding="utf-8")
    text = map_template(path, imports.study)
    assert text.startswith(
        "# Columns of bugs.json, rows '$[\"bugs\"][*]', with some values:\n#   item_id: SO-Alpha-1\n"
    )
    assert imports.add(path.read_bytes(), "bugs.json", text).labels["item_id"].to_list() == ["SO-Alpha-1"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("bugs.zip", "bugs.zip has none of the suffixes .csv, .tsv"),
        ("bugs.ods", "it cannot be read as a workbook"),
        ("none.csv", "none.csv: it cannot be read: No such file"),
    ],
)
def test_a_file_of_which_no_map_can_be_made_is_refused(imports, name, reason):
    path = imports.folder / name
    if name.startswith("bugs"):
        path.write_bytes(b"PK\3\4")
    with pytest.raises(DlbugError, match=reason):
        map_template(path, imports.study)


def test_the_map_of_the_docs_is_one(tmp_path):
    label_map = load_map(PROJECT / "docs" / "map.toml", tmp_path / "bugs.csv", labelling_study())
    assert set(label_map.columns) == {"link", "is_bug", "place", "comment", "bug_type", "root_cause", "effect", "stage"}
    assert set(label_map.raters) == {"ann", "bob"}


def test_versions_are_in_the_order_of_arrival_even_if_the_clock_is_set_back(imports):
    imports.add([CRASH])
    imports.clock.advance(days=-1)
    (imports.folder / "final" / ".unfinished-20260101T000000000000-0").mkdir()
    imported = imports.add([HANG])
    assert bugs(imported) == [("SO-Alpha-2", 1, "Hang")]
    first, second = final_versions(imports.folder / "final")
    assert second.received_at > first.received_at
    assert sorted(path.name for path in second.folder.iterdir()) == ["bugs.csv", "map.toml"]


def test_a_full_disk_leaves_no_part_of_a_version(imports):
    archive = imports.folder / "final"
    mount(archive, "size=16k")
    try:
        with pytest.raises(DlbugError, match=r"cannot import .*bugs\.csv: No space left on device"):
            imports.add([CRASH] * 1000)
        assert final_versions(archive) == []
        assert bugs(imports.add([CRASH])) == [("SO-Alpha-1", 1, "Crash")]
    finally:
        unmount(archive)


def test_a_version_that_lacks_its_file_is_reported(imports):
    imports.add([CRASH])
    (version,) = final_versions(imports.folder / "final")
    version.path.unlink()
    with pytest.raises(DlbugError, match="has no file with labels: restore it from a backup"):
        imports.read()
