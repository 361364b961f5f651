"""Sheets as workbooks: instructions, texts beside answers, cells that keep what is typed, and no formulas."""

import re
import shutil
import subprocess
import zipfile
from io import BytesIO
from xml.etree import ElementTree

import fastexcel
import pytest

from dlbug_assets.labeling.sheets.formats import INSTRUCTIONS, LABELS, LIST_BUGS, RATE_BUGS
from dlbug_assets.labeling.sheets.writing import instructions
from dlbug_assets.labeling.sheets.writing.xlsx_format import to_xlsx
from support.example_sheets import adjudicators_sheet, raters_sheet
from support.filled_sheets import Loop, items_of
from support.libreoffice import type_into

CODEBOOK = [{"dimension": "effect", "category": "Crash", "definition": "It ends with an error.", "example": "=x"}]
PAGES = ["instructions", "labels", "codebook", "lists"]
DIMENSIONS = ("bug_type", "root_cause", "effect", "stage", "antipattern")
#: What fits beside each other into a window of 1366 pixels, of the 7 pixels of a character.
WINDOW = 1290


@pytest.fixture
def loop(make_study, taxonomy, tmp_path):
    study = make_study(checkpoints=(100,))
    return Loop(study, taxonomy, items_of(4, study), tmp_path)


def part(content, name):
    """Return a part of the workbook's XML."""
    with zipfile.ZipFile(BytesIO(content)) as parts:
        return parts.read(name).decode()


def page_of(content, name=LABELS):
    """Return the XML of a page."""
    return part(content, f"xl/worksheets/sheet{PAGES.index(name) + 1}.xml")


def table(content, name=LABELS):
    """Return the rows of a page, the header included."""
    return fastexcel.read_excel(content).load_sheet(name, header_row=None, dtypes="string").to_polars().rows()


def shown(content):
    """Return the columns that are not hidden, with their widths in characters, in order."""
    widths = {}
    for first, last, width, rest in re.findall(
        r'<col min="(\d+)" max="(\d+)" width="([\d.]+)"(.*?)/>', page_of(content)
    ):
        for number in range(int(first), int(last) + 1):
            widths[number] = None if "hidden" in rest else float(width)
    header = table(content)[0]
    return {name: widths[number] for number, name in enumerate(header, start=1) if widths[number] is not None}


def style_of(content, column, row):
    """Return (number format, colour of the background, whether it is locked) of a cell; rows are counted from 2."""
    header = table(content)[0]
    cell = f"{chr(ord('A') + header.index(column))}{row}"
    number = int(re.search(rf'<c r="{cell}" s="(\d+)"', page_of(content))[1])
    styles = ElementTree.fromstring(part(content, "xl/styles.xml"))  # noqa: S314 - our own
    namespace = {"x": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}
    style = styles.findall("x:cellXfs/x:xf", namespace)[number]
    colour = styles.findall("x:fills/x:fill", namespace)[int(style.get("fillId"))].find(".//x:fgColor", namespace)
    is_open = style.find("x:protection[@locked='0']", namespace) is not None
    return int(style.get("numFmtId")), None if colour is None else colour.get("rgb")[2:], not is_open


def test_equal_sheets_have_equal_bytes(study, taxonomy):
    sheet = raters_sheet(study, LIST_BUGS)
    assert to_xlsx(sheet, taxonomy, CODEBOOK) == to_xlsx(sheet, taxonomy, CODEBOOK)


def test_a_workbook_opens_with_the_instructions(study, taxonomy):
    content = to_xlsx(raters_sheet(study, LIST_BUGS), taxonomy, CODEBOOK)
    assert fastexcel.read_excel(content).sheet_names == PAGES
    assert "activeTab" not in part(content, "xl/workbook.xml")
    texts = [cell for row in table(content, INSTRUCTIONS) for cell in row if cell]
    assert texts[:2] == ["List the bugs of each item", "Sheet 100-ann, 2 rows"]
    assert any("dlbug labels import 100-ann.xlsx" in text for text in texts)
    assert texts[-8:-1:2] == ["bug_index", "is_bug", "place", "comment"]


@pytest.mark.parametrize("pass_name", [LIST_BUGS, RATE_BUGS])
@pytest.mark.parametrize("who", ["rater", "adjudicator"])
def test_the_instructions_fit_on_a_screen(study, pass_name, who):
    question = "bugs" if pass_name == LIST_BUGS else "bug_type"
    sheets = {
        "rater": raters_sheet(study, pass_name),
        "adjudicator": adjudicators_sheet(study, pass_name, [{question: ("x", "y")}]),
    }
    steps, columns = instructions.steps(sheets[who]), instructions.columns(sheets[who])
    assert len(steps) + len(columns) <= 14
    assert max(map(len, steps)) <= 240


def test_instructions_describe_what_answers_each_dimension(make_study, tmp_path):
    (tmp_path / "taxonomy.csv").write_text("dimension,code,name\nsymptom,H,Hang\ncauses,R,Race\n")
    study = make_study(
        taxonomy=tmp_path / "taxonomy.csv",
        dimensions=[
            {"name": "symptom", "required": True},
            {"name": "causes", "title": "All causes", "multiple": True},
            {"name": "trigger", "open": True},
        ],
    )
    described = dict(instructions.columns(raters_sheet(study, RATE_BUGS, not_asked=[(0, "symptom")])))
    assert described == {
        "symptom": "Symptom: one category",
        "causes": "All causes: one or more categories, with ; between them, or none if no category applies",
        "trigger": "Trigger: one category (others in your own words), or none if no category applies",
        "comment": "whatever may help later to understand your answer; can stay blank",
    }


def test_the_units_pass_shows_texts_and_its_answers_only(study, taxonomy):
    rows = [{"accepted_answer": "Use a sigmoid."}, {}]
    content = to_xlsx(raters_sheet(study, LIST_BUGS, rows), taxonomy, CODEBOOK)
    assert list(shown(content)) == [
        "item_id", "link", "bug_index", "title", "content", "accepted_answer", "is_bug", "place", "comment",
    ]  # fmt: skip
    assert set(table(content)[0]) - set(shown(content)) == {"rater", "batch", "pass", *DIMENSIONS}


def test_the_dimensions_pass_shows_texts_and_the_dimensions_that_it_asks(study, taxonomy):
    rows = [{"place": "line 7"}, {}]
    asked = raters_sheet(study, RATE_BUGS, rows, not_asked=[(0, "antipattern")])
    content = to_xlsx(asked, taxonomy, CODEBOOK)
    reading = ["item_id", "link", "bug_index", "place", "title", "content"]
    assert list(shown(content)) == [*reading, *DIMENSIONS, "comment"]
    # One of the two is not asked about the antipattern.
    assert style_of(content, "antipattern", 2) == (0, "E4E4E4", True)
    assert style_of(content, "antipattern", 3) == (49, "FFF9E5", False)
    nobody = raters_sheet(study, RATE_BUGS, rows, not_asked=[(0, "antipattern"), (1, "antipattern")])
    content = to_xlsx(nobody, taxonomy, CODEBOOK)
    assert list(shown(content)) == [*reading, *DIMENSIONS[:-1], "comment"]
    assert "antipattern" in table(content)[0]


@pytest.mark.parametrize("pass_name", [LIST_BUGS, RATE_BUGS])
def test_texts_and_answers_fit_into_a_window(study, taxonomy, pass_name):
    rows = [{"accepted_answer": "Use a sigmoid.", "place": "line 7"}, {"content": "x" * 30_000}]
    content = to_xlsx(raters_sheet(study, pass_name, rows), taxonomy, CODEBOOK)
    assert sum(7 * width for width in shown(content).values()) <= WINDOW
    assert min(width for name, width in shown(content).items() if name in DIMENSIONS or name == "content") >= 10
    assert shown(content)["content"] >= 34
    assert max(float(height) for height in re.findall(r'ht="([\d.]+)"', page_of(content))) <= 300


def test_texts_stay_in_view_beside_many_dimensions(make_study, tmp_path, taxonomy):
    names = [f"dimension_{number}" for number in range(12)]
    study = make_study(dimensions=[{"name": name, "open": True} for name in names])
    rows = [{"accepted_answer": "Use a sigmoid.", "place": "line 7"}]
    content = to_xlsx(raters_sheet(study, RATE_BUGS, rows), taxonomy, [])
    columns = list(shown(content))
    assert columns[7:] == [*names, "comment"]
    assert '<pane xSplit="7" ySplit="1"' in page_of(content)
    assert sum(7 * width for width in list(shown(content).values())[:7]) <= WINDOW * 2 / 3


def test_answers_beside_a_raters_own_earlier_ones(study, taxonomy):
    rows = [{"bug_type": "API Bug", "stage": "none", "comment": "=1"}]
    content = to_xlsx(raters_sheet(study, RATE_BUGS, rows), taxonomy, CODEBOOK)
    header, row, *_ = table(content)
    known = dict(zip(header, row, strict=True))
    assert [known[name] for name in (*DIMENSIONS, "comment")] == ["API Bug", None, None, "none", None, "=1"]


@pytest.mark.parametrize("count", [2, 3, 6])
def test_the_adjudicator_sees_all_answers_to_a_question_beside_the_cell_to_fill_in(study, taxonomy, count):
    letters = "ABCDEF"[:count]
    differing = ("Crash", *["Hang"] * (count - 1))
    answers = [
        {"bug_type": ("API Bug",) * count, "effect": ("Crash",) * count, "comment": (None,) * count},
        {"bug_type": ("API Bug",) * count, "effect": differing, "comment": ("why", *[None] * (count - 1))},
    ]
    others = [(row, name) for row in (0, 1) for name in DIMENSIONS if name != "effect"]
    sheet = adjudicators_sheet(study, RATE_BUGS, answers, decided=[*others, (0, "effect")])
    content = to_xlsx(sheet, taxonomy, CODEBOOK)
    # bug_type needs no decision in any row.
    assert list(shown(content))[5:] == ["effect", *(f"effect {letter}" for letter in letters), "comment", "comment A"]
    assert style_of(content, "effect", 2) == (0, "E4E4E4", True)
    assert style_of(content, "effect", 3) == (49, "FFF9E5", False)
    assert {style_of(content, f"effect {letter}", 2) for letter in letters} == {(0, None, True)}
    assert {style_of(content, f"effect {letter}", 3) for letter in letters} == {(0, "FFD9B3", True)}
    assert style_of(content, "comment A", 3) == (0, None, True)
    header, _, row = table(content)[:3]
    assert dict(zip(header, row, strict=True))["effect B"] == "Hang"


def test_the_adjudicator_sees_the_lists_of_bugs_side_by_side(study, taxonomy):
    answers = [{"bugs": ("1. line 3", "no bug", "1. line 3\n2. line 9"), "comment": (None, "unsure", None)}]
    content = to_xlsx(adjudicators_sheet(study, LIST_BUGS, answers), taxonomy, CODEBOOK)
    assert list(shown(content))[5:] == [
        "is_bug", "place", "bugs A", "bugs B", "bugs C", "comment", "comment B",
    ]  # fmt: skip
    assert {style_of(content, f"bugs {letter}", 2)[1] for letter in "ABC"} == {"FFD9B3"}


def test_dropdowns_offer_none_where_a_dimension_is_optional(study, taxonomy):
    content = to_xlsx(raters_sheet(study, RATE_BUGS), taxonomy, CODEBOOK)
    rule = (
        r'<dataValidation type="list"[^>]*sqref="([A-Z])2:\1(\d+)"><formula1>lists!\$([A-Z])\$2:\$\3\$(\d+)</formula1>'
    )
    header, lists = table(content)[0], table(content, "lists")
    offered = {}
    for cell, last, column, end in re.findall(rule, page_of(content)):
        assert last == "3"
        name = header[ord(cell) - ord("A")]
        offered[name] = tuple(row[ord(column) - ord("A")] for row in lists[1 : int(end)])
    assert offered == {
        name: (*taxonomy.names(name), *(["none"] if name in ("stage", "antipattern") else [])) for name in DIMENSIONS
    }


def test_other_cells_are_protected_and_cannot_be_sorted(study, taxonomy):
    content = to_xlsx(raters_sheet(study, RATE_BUGS), taxonomy, CODEBOOK)
    protection = re.search("<sheetProtection.*?/>", page_of(content))[0]
    # Of protected cells, a spreadsheet would sort the answers alone.
    assert "sort" not in protection
    assert 'formatColumns="0"' in protection
    assert 'autoFilter="0"' in protection
    assert style_of(content, "item_id", 2) == (0, None, True)
    assert "<autoFilter" in page_of(content)


def test_workbooks_contain_no_formulas(study, taxonomy):
    content = to_xlsx(raters_sheet(study, LIST_BUGS), taxonomy, CODEBOOK)
    for name in PAGES:
        assert "<f>" not in page_of(content, name)
    header, row, *_ = table(content)
    assert dict(zip(header, row, strict=True))["title"] == "=cmd|' /C calc'!A0"


def test_workbooks_contain_codebook_texts_and_links(study, taxonomy):
    links = [{}, {"link": "javascript:alert(1)"}, {"link": "https://" + "x" * 3000}]
    content = to_xlsx(raters_sheet(study, LIST_BUGS, links), taxonomy, CODEBOOK)
    assert table(content, "codebook")[1:] == [("effect", "Crash", "It ends with an error.", "=x")]
    header, *rows = table(content)
    assert [row[header.index("content")] for row in rows[:3]] == ["Text of 0", "Text of 1", "Text of 2"]
    assert [row[header.index("link")] for row in rows[:2]] == ["https://example.org/0?a=b&c=d", "javascript:alert(1)"]
    assert re.findall(r'<hyperlink ref="(\w+)"', page_of(content)) == ["B2"]


TYPED = ["3/4", "=loss", "1e5", "TRUE", "00123", "-5", "+1", "@x", "1.10", "50%", "12:30", "2020-01-02", "'quoted"]


@pytest.mark.slow
def test_what_is_typed_into_an_answer_comes_back_as_typed(study, taxonomy, tmp_path):
    path = tmp_path / "100-ann.xlsx"
    path.write_bytes(to_xlsx(raters_sheet(study, LIST_BUGS, [{}] * len(TYPED)), taxonomy, CODEBOOK))
    names = table(path.read_bytes())[0]
    place, is_bug, item_id, bug_index = (
        chr(ord("A") + names.index(n)) for n in ("place", "is_bug", "item_id", "bug_index")
    )
    further = len(TYPED) + 2
    cells = {f"{place}{row}": text for row, text in enumerate(TYPED, start=2)}
    cells |= {
        f"{is_bug}2": "TRUE",
        f"{is_bug}3": "false",
        f"{item_id}{further}": "SO-Keras-1",
        f"{bug_index}{further}": "2",
    }
    saved = type_into(path, LABELS, cells, tmp_path)
    header, *rows = table(saved)
    records = [dict(zip(header, row, strict=True)) for row in rows]
    assert [record["place"] for record in records[: len(TYPED)]] == TYPED
    assert [record["is_bug"] for record in records[:3]] == ["TRUE", "false", None]
    assert [records[further - 2][name] for name in ("item_id", "bug_index")] == ["SO-Keras-1", "2"]


@pytest.mark.slow
def test_a_workbook_saved_by_libreoffice_has_the_same_labels(loop, make_study, taxonomy, tmp_path):
    program = shutil.which("soffice")
    if program is None:
        pytest.skip("LibreOffice (package libreoffice-calc) is not installed")
    answers = [
        {"is_bug": True, "place": "=1+1", "comment": '  spaces, "quotes" and\nlines'},
        {"is_bug": False, "comment": "'apostrophe"},
        [{"is_bug": True, "place": "ähm: 漢字"}, {"is_bug": True, "place": "-2"}],
        None,
    ]
    rows = iter(answers)
    path = loop.submit(loop.due()["100-ann"], lambda _: next(rows))
    arguments = ["--headless", f"-env:UserInstallation=file://{tmp_path}/profile", "--convert-to",
                 "xlsx:Calc MS Excel 2007 XML", "--outdir", str(tmp_path / "saved"), str(path)]  # fmt: skip
    subprocess.run([program, *arguments], check=True, capture_output=True, timeout=120)
    saved = (tmp_path / "saved" / path.name).read_bytes()
    assert saved != path.read_bytes()
    loop.read()
    again = Loop(loop.study, taxonomy, loop.items, tmp_path / "again")
    again.drop(path.name, saved)
    again.read()
    assert again.current() == loop.current()
    assert len(loop.current()) == 4
    assert (again.rejected.rows(), loop.rejected.rows()) == ([], [])
    # Submitted after the first file, it changes nothing.
    loop.drop(path.name, saved)
    loop.read()
    assert loop.labels.height == 4
