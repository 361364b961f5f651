"""Final labels that exist already, by the dlbug command: a map to start from, the receipt, and what comes of it."""

import pytest

from dlbug_assets.layout import Home
from support.commands import command, query
from support.handmade import QUEUE, Handmade

MAP = """[columns]
link = "URL"
bug_type = "Type"
root_cause = "Root cause"
effect = "Effect"
"""


@pytest.fixture
def handmade(tmp_path):
    study = Handmade(tmp_path)
    study.dlbug("run", "--select", QUEUE)
    return study


def test_final_labels_are_imported_with_a_map(handmade, tmp_path):
    first, second = handmade.query(
        "select item_id, link from labeling.items where checkpoint = 50 order by item_id limit 2"
    ).rows()
    file = tmp_path / "bugs.csv"
    rows = [f"{link.replace('https:', 'http:')}/,Data Bug,{cause},Crash" for (_, link), cause in
            ((first, "Unaligned Tensor"), (second, "API Misuses"))]  # fmt: skip
    file.write_text("\n".join(["URL,Type,Root cause,Effect", *rows]), encoding="utf-8")

    def dlbug(*arguments):
        return command(handmade.root, "labels", "import", "--study", str(handmade.path), *arguments)

    started = dlbug("--final", str(file))
    assert started.returncode == 2
    assert 'link = "URL"' in started.stdout
    described = tmp_path / "map.toml"
    assert '# bug_type = ""  # required' in started.stdout
    assert "add --map map.toml" in started.stderr
    described.write_text(MAP, encoding="utf-8")

    done = dlbug("--final", str(file), "--map", str(described))
    assert done.returncode == 1
    receipt = done.stdout.splitlines()[:2]
    assert receipt[0] == "final/bugs.csv: final; 2 rows: 1 taken, 1 refused"
    assert receipt[1].startswith(
        f"  line 3, {second[0]}: root_cause: unknown category 'API Misuses' (did you mean 'API"
    )
    assert "1 row or file was refused" in done.stderr
    labels = "select item_id, bug_type, decided_by, provenance from labeling.labels"
    expected = [(first[0], "Data Bug", "imported", "final/bugs.csv, row 2")]
    assert handmade.query(labels).rows() == expected
    assert handmade.query("select sum(bugs) from analysis.label_counts where source = 'both'").item() > 0

    handmade.dlbug("labels", "export", "--format", "csv")
    sheet = (handmade.outbox / "50-ann.csv").read_text(encoding="utf-8")
    assert first[0] not in sheet
    assert second[0] in sheet

    file.write_text(file.read_text(encoding="utf-8").replace("API Misuses", "API Misuse"), encoding="utf-8")
    corrected = dlbug("--final", str(file), "--map", str(described))
    assert corrected.returncode == 0
    assert "final/bugs.csv: version 2, final; 2 rows: 1 taken, 1 unchanged" in corrected.stdout
    assert query(Home(handmade.root, "handmade"), "from labeling.rejected_labels").is_empty()
    assert handmade.query("select count(*) from labeling.labels").item() == 2


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--final", "{file}", "sheet.csv"], "name sheets, or use --final"),
        (["--map", "{map}"], "name sheets, or use --final"),
        (["--final", "{file}", "--map", "{map}"], "columns.bug_type: missing; bug_type is required of every bug"),
    ],
)
def test_what_cannot_be_imported_is_refused_at_once(tmp_path, arguments, problem):
    study = Handmade(tmp_path)
    for name in ("file", "map"):
        (tmp_path / name).write_text("[columns]\nlink = 'URL'\n", encoding="utf-8")
    (tmp_path / "file").rename(tmp_path / "file.csv")
    paths = {"file": str(tmp_path / "file.csv"), "map": str(tmp_path / "map")}
    (tmp_path / "sheet.csv").write_text("", encoding="utf-8")
    given = [argument.format(**paths) for argument in arguments]
    done = command(study.root, "labels", "import", "--study", str(study.path), *given, cwd=tmp_path)
    assert done.returncode != 0
    assert problem in done.stderr
