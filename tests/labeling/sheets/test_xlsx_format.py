"""Sheets as workbooks: answer cells, drop-down lists, protected cells, and no formulas."""

import re
import shutil
import subprocess
import zipfile
from io import BytesIO

import fastexcel
import pytest

from dlbug_assets.labeling.sheets.xlsx_format import to_xlsx
from support.filled_sheets import Loop, items_of

CODEBOOK = [{"dimension": "effect", "category": "Crash", "definition": "It ends with an error.", "example": "=x"}]
LOGIC = {"bug_type": "Structural Logic Bug", "root_cause": "Structure Inefficiency", "effect": "Crash"}


@pytest.fixture
def loop(make_study, taxonomy, tmp_path):
    study = make_study(checkpoints=(100,))
    return Loop(study, taxonomy, items_of(4, study), tmp_path)


def part(content, name):
    """Return a part of the workbook's XML."""
    with zipfile.ZipFile(BytesIO(content)) as parts:
        return parts.read(name).decode()


def test_equal_sheets_have_equal_bytes(loop, taxonomy):
    sheet = loop.due()["100-ann"]
    assert to_xlsx(sheet, taxonomy, CODEBOOK) == to_xlsx(sheet, taxonomy, CODEBOOK)


def test_categories_have_dropdowns_and_other_cells_are_protected(loop, taxonomy):
    for rater in ("ann", "bob"):
        loop.submit(loop.due()[f"100-{rater}"], lambda _: {"is_bug": True})
    loop.read()
    page = part(to_xlsx(loop.due()["100-ann-dimensions"], taxonomy, CODEBOOK), "xl/worksheets/sheet1.xml")
    assert "<sheetProtection" in page
    offered = dict(
        re.findall(r'<dataValidation type="list"[^>]* sqref="([A-Z]+)2:[A-Z]+\d+"><formula1>(.*?)</formula1>', page)
    )
    assert len(offered) == 5
    assert all(re.fullmatch(r"lists!\$[A-E]\$2:\$[A-E]\$\d+", source) for source in offered.values())
    assert '<pane xSplit="5" ySplit="1"' in page  # the header and the title stay in view
    assert "<autoFilter" in page


def test_workbooks_contain_no_formulas(loop, taxonomy):
    content = to_xlsx(loop.due()["100-ann"], taxonomy, CODEBOOK)
    for name in ("xl/worksheets/sheet1.xml", "xl/worksheets/sheet2.xml"):
        assert "<f>" not in part(content, name)
    frame = fastexcel.read_excel(content).load_sheet("labels", dtypes="string").to_polars()
    assert frame["title"][0].startswith("=cmd|")


def test_workbooks_contain_codebook_and_texts(loop, taxonomy):
    content = to_xlsx(loop.due()["100-ann"], taxonomy, CODEBOOK)
    book = fastexcel.read_excel(content)
    assert book.load_sheet("codebook", dtypes="string").to_polars().rows() == [
        ("effect", "Crash", "It ends with an error.", "=x")
    ]
    frame = book.load_sheet("labels", dtypes="string").to_polars()
    assert frame["content"][:4].to_list() == [f"Text of SO-Keras-{number}" for number in range(4)]
    assert frame["link"][0] == "https://example.org/0?a=b&c=d"


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
