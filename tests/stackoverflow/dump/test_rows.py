"""Rows of a dump: where they begin and end, files that are not dumps, and archives."""

import gzip
import logging
import math
import re
import shutil
import subprocess
import tracemalloc
import zipfile
from itertools import chain, repeat
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from dlbug_assets.errors import DlbugError
from dlbug_assets.stackoverflow.dump import extraction, rows, unpacking
from dlbug_assets.stackoverflow.dump.prolog import skip_prolog
from support.dump_extraction import KINDS, LIBRARIES
from support.dumps import CREATED, HEAD, LINE, OLDER, answer, question

ADVICE = "Name the Posts.xml of Stack Overflow's data dump, or the .7z, .zip or .gz that contains it."

CUT = "is cut, or longer than any post; the row is left out"

SEVEN_ZIP = next((found for name in ("7zz", "7z", "7za", "7zr") if (found := shutil.which(name))), "")
needs_7z = pytest.mark.skipif(not SEVEN_ZIP, reason="no 7z program is installed here")


@pytest.mark.parametrize("line", ["\n  ", "\r\n", ""])
def test_truncated_row_is_recorded_and_the_next_one_is_read(extract, line):
    cut = question(2, Body="b" * 300)[:-150]
    extract.from_content(HEAD + line.join([question(1), cut, question(3), '<row Id="4', question(5), "</posts>"]))
    assert extract.questions() == [1, 3, 5]
    for library in LIBRARIES:
        assert extract.irregularities(library) == [
            (2, 2, None, CUT, cut[:200]),
            (4, None, None, CUT, ('<row Id="4' + line)),
        ]
    assert (extract.reading.rows, extract.reading.irregular, extract.reading.complete) == (5, 2, True)


def test_row_without_its_beginning_is_recorded_with_the_row_before_it(extract):
    extract(question(1), question(2), 'eation="2017" Body="x', question(3))
    assert extract.questions() == [1, 2, 3]
    assert extract.irregularities() == [
        (2, 2, None, "is followed by something other than a row", 'eation="2017" Body="x')
    ]


@pytest.mark.parametrize("chunk", range(300, 311))
def test_row_longer_than_any_post_is_recorded_and_the_next_one_is_read(extract, monkeypatch, chunk):
    monkeypatch.setattr(rows, "LONGEST_ROW", 1000)
    monkeypatch.setattr(unpacking, "_CHUNK", chunk)
    extract(question(1), question(2, Body="b" * 9_000), question(3), question(4, Body="b" * 5_000))
    assert extract.questions() == [1, 3]
    assert [entry[:4] for entry in extract.irregularities()] == [
        (2, 2, None, CUT),
        (4, 4, None, CUT),
    ]
    assert extract.reading.complete


@pytest.mark.parametrize(
    ("end", "cut"),
    [
        ("", []),
        ("\n", []),
        (
            LINE + question(3)[:50],
            [(3, 3, None, CUT, question(3)[:50])],
        ),
        ("\n  <ro", [(2, 2, None, "is followed by something other than a row", "<ro")]),
        ("\n</pos", [(2, 2, None, "is followed by something other than a row", "</pos")]),
    ],
)
def test_truncated_file_is_read_up_to_the_break(extract, end, cut):
    extract.from_content(HEAD + LINE.join([question(1), answer(2, 1)]) + end)
    assert (extract.questions(), extract.answers(), extract.reading.complete) == ([1], [2], False)
    assert extract.irregularities() == cut


@pytest.mark.slow
def test_whole_rows_are_read_wherever_the_file_is_truncated(extract):
    content = HEAD + LINE.join([question(1), answer(2, 1), question(3)]) + "\n</posts>\n"
    for end in range(content.index("<row ") + 5, len(content) + 1, 3):
        extract.from_content(content[:end])
        assert len(extract.questions() + extract.answers()) == content[:end].count("/>")
        assert extract.reading.rows == content[:end].count("<row")
        assert extract.reading.complete == ("</posts>" in content[:end])


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("line", ["\n", "\r\n", "\n\n\t", ""])
def test_line_ends_and_byte_order_mark_do_not_matter(extract, mark, line):
    parts = ['<?xml version="1.0" encoding="utf-8"?>', "<posts>", question(1), answer(2, 1), question(3), "</posts>"]
    extract.from_content(mark + line.join(parts).encode())
    assert (extract.questions(), extract.answers()) == ([1, 3], [2])
    assert (extract.reading.rows, extract.reading.irregular, extract.reading.complete) == (3, 0, True)


@pytest.mark.parametrize("chunk", [*range(1, 12), 97, 4096])
def test_chunk_boundaries_do_not_matter(extract, monkeypatch, chunk):
    monkeypatch.setattr(unpacking, "_CHUNK", chunk)
    extract(question(1, Body="日本 😀"), answer(2, 1), question(3)[:-30], question(4, notation=OLDER))
    assert extract.frame("questions")["body_html"].to_list() == ["日本 😀", "body 4"]
    assert (extract.answers(), extract.reading.irregular, extract.reading.complete) == ([2], 1, True)


def test_progress_is_logged_at_intervals(extract, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(unpacking, "_CHUNK", 500_000)
    monkeypatch.setattr(rows, "_LOG_EVERY", 1_000_000)
    extract.from_content(HEAD + question(1, Body="b" * 2_400_000))
    assert caplog.messages == [
        "Posts.xml: 0.0 GB read",
        "Posts.xml: 0.0 GB read",
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty, or an archive without a Posts.xml"),
        (b"hello", "is not a Posts.xml: it does not begin with <posts>"),
        (b'<?xml version="1.0"?><users><row Id="1" /></users>', "is not a Posts.xml: it does not begin with <posts>"),
        ("<posts><row /></posts>".encode("utf-16"), "is not a Posts.xml: it does not begin with <posts>"),
        (b"<!-- no end", "is not a Posts.xml: it does not begin with <posts>"),
        (b"<postscript><row /></postscript>", "is not a Posts.xml: it does not begin with <posts>"),
        (b"<posts></posts>", "has no rows"),
    ],
)
def test_file_that_is_not_a_dump_is_rejected(extract, content, reason):
    extract.path.write_bytes(content)
    assert extract.error() == f"{extract.path} {reason}. {ADVICE}"


@pytest.mark.parametrize(
    "prolog",
    [
        f"<?xml version='1.0'?><!-- {'terms of use ' * 100_000} --><posts>",
        f"<?xml version='1.0'?>{' ' * 500_000}<posts>",
        f"<!-- <posts>{LINE}{question(7)} --><posts><!-- another -->",
        "<!--><row --><?note <posts> <row ?><posts>",
        '<!DOCTYPE posts [<!ELEMENT row EMPTY> <!-- a]b -->]><posts xmlns:xsi="http://www.w3.org/2001/XMLSchema">',
        "<posts xmlns='urn:posts'\n>",
    ],
    ids=["comment", "blanks", "row in a comment", "row in an instruction", "document type", "namespace"],
)
@pytest.mark.parametrize("chunk", [7, 1 << 18])
def test_anything_may_precede_the_rows(extract, monkeypatch, prolog, chunk):
    monkeypatch.setattr(unpacking, "_CHUNK", chunk)
    extract.from_content(prolog + LINE.join([question(1), answer(2, 1), question(3)]) + "</posts>")
    assert (extract.questions(), extract.answers(), extract.irregularities()) == ([1, 3], [2], [])
    assert (extract.reading.rows, extract.reading.complete) == (3, True)


def test_long_comment_is_not_kept_in_memory():
    comment = chain([b"<!--"], repeat(b"x" * 1_000_000, 300), [b"--", b"><pos", b"ts>", b"rest"])
    tracemalloc.start()
    assert skip_prolog(comment) == (300_000_014, b"rest")
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


ROWS = [question(1, Body="it's"), question(2, "python"), question(3), answer(4, 3), answer(5, 2), answer(6, 1)]


@pytest.mark.parametrize(
    "written",
    [
        lambda row: row.replace("<row ", "<row\n  "),
        lambda row: row.replace('" ', '"\n\t'),
        lambda row: row.replace('="', ' = "'),
        lambda row: row.replace("it's", "it&apos;s").replace('"', "'"),
        lambda row: re.sub(r'Body="(body[^"]*)"', r"""Body='|"keras"| Tags="|torch|" \1'""", row),
        lambda row: re.sub(r'Tags="([^"]*)"', r"Tags='\1'", row),
    ],
    ids=["name alone", "an attribute per line", "blanks around =", "single quotes", "quotes in a body", "quoted tags"],
)
@pytest.mark.parametrize("chunk", [900, 1 << 18])
def test_layout_of_attributes_does_not_matter(extract, monkeypatch, written, chunk):
    monkeypatch.setattr(unpacking, "_CHUNK", chunk)
    other = [written(row) for row in ROWS]
    assert other != ROWS
    others = map(written, [question(8), question(9, "lua")])
    standard = [answer(number, 3) for number in range(20, 60)]
    extract.from_content(HEAD + LINE.join([*standard, *other, question(7), *standard[:9], *others, question(10)]))
    assert (extract.questions(), sorted(extract.answers())) == ([1, 3, 7, 8, 10], [4, 6, *range(20, 60)])
    assert extract.reading.rows == 40 + len(ROWS) + 9 + 4


@pytest.mark.parametrize("element", ["<Row Id='9' />", "<rows Id='9' />", "<post Id='9'></post>", "<!-- no row -->"])
def test_element_that_is_not_a_row_is_recorded(extract, element):
    extract(question(1), question(2, "python"), element, question(3))
    assert extract.questions() == [1, 3]
    assert extract.reading.irregular == 1
    assert [entry[4] for entry in extract.irregularities()] == [element]


def test_concatenated_dumps_are_rejected(extract):
    extract.path.write_text(2 * (HEAD + question(1) + "</posts>\n"))
    assert extract.error() == f"{extract.path} contains several dumps. Name Stack Overflow's Posts.xml alone."


def test_missing_file_is_named(extract):
    assert extract.error() == f"{extract.path} does not exist. {ADVICE}"


@pytest.mark.parametrize("name", ["Posts.xml", "posts.7z"])
def test_folder_is_rejected(extract, name):
    extract.path = extract.folder / name
    extract.path.mkdir()
    assert extract.error() == f"{extract.path} is not a file. {ADVICE}"


def test_unreadable_file_is_named(extract):
    extract.path = Path("/proc/self/mem")  # nobody can read its beginning
    if not extract.path.exists():
        pytest.skip("there is no /proc here")
    assert extract.error() == f"cannot read {extract.path}: Input/output error. {ADVICE}"


# Archives


@pytest.fixture
def packed(extract):
    """Return a function that packs files, as content by name, into an archive to be read instead of Posts.xml."""

    def pack(files: dict[str, str], *options: str, name: str = "posts.7z") -> Path:
        work = extract.folder / "packing"
        for file, content in files.items():
            (work / file).parent.mkdir(parents=True, exist_ok=True)
            (work / file).write_text(content)
        extract.path = extract.folder / name
        command = [SEVEN_ZIP, "a", "-bd", *options, "--", str(extract.path), *files]
        subprocess.run(command, cwd=work, check=True, stdout=subprocess.DEVNULL)
        return extract.path

    return pack


@pytest.fixture
def processes(monkeypatch):
    """Return the processes that are started for unpacking, as they are added."""
    started = []

    class Recorded(subprocess.Popen):
        def __init__(self, command: list[str], **options) -> None:
            super().__init__(command, **options)
            if command[0] == "/bin/sh":
                started.append(self)

    monkeypatch.setattr(unpacking.subprocess, "Popen", Recorded)
    return started


SMALL = HEAD + LINE.join([question(1, AcceptedAnswerId=3), answer(2, 1), answer(3, 1), question(4)[:-9]]) + "\n</posts>"


@needs_7z
@pytest.mark.parametrize("inside", ["Posts.xml", "stackoverflow.com/dump of 2024/Posts.xml"])
@pytest.mark.parametrize("name", ["posts.7z", "-so.7Z", "@posts [*?] é.7z"])
def test_archive_yields_the_same_rows_as_the_file_in_it(extract, packed, processes, inside, name):
    plain = extract.from_content(SMALL).reading
    frames = [extract.frame(kind) for kind in KINDS]
    packed({inside: SMALL, "OtherPosts.xml": "no", "Posts.xml.txt": "no", "Users.xml": "no"}, name=name)
    assert extract.read().reading == plain
    for kind, frame in zip(KINDS, frames, strict=True):
        assert_frame_equal(extract.frame(kind), frame)
    assert [process.returncode for process in processes] == [0]
    assert list(extract.folder.rglob("Posts.xml")) == [
        extract.folder / "Posts.xml",
        extract.folder / "packing" / inside,
    ]


@needs_7z
@pytest.mark.parametrize("inside", ["posts.xml", "POSTS.XML", "site/pOsTs.XmL"])
@pytest.mark.parametrize("name", ["posts.7z", "posts.zip", "posts.ZIP"])
def test_letter_case_of_names_does_not_matter(extract, packed, inside, name):
    packed({inside: SMALL, "Users.xml": "no"}, name=name)
    assert (extract.read().questions(), extract.answers()) == ([1], [2, 3])


@needs_7z
@pytest.mark.parametrize("name", ["Posts.xml.gz", "anything.GZ"])
def test_gz_contains_one_file_of_any_name(extract, name):
    extract.path = extract.folder / name
    extract.path.write_bytes(gzip.compress(SMALL.encode()))
    assert (extract.read().questions(), extract.answers()) == ([1], [2, 3])


@needs_7z
@pytest.mark.parametrize("name", ["posts.zip", "posts.gz"])
def test_truncated_archive_of_any_kind_is_rejected(extract, name):
    content = HEAD + LINE.join(question(n, Body=str(math.sqrt(n))) for n in range(1, 5000)) + "</posts>"
    extract.path = extract.folder / name
    if name.endswith(".gz"):
        extract.path.write_bytes(gzip.compress(content.encode()))
    else:
        with zipfile.ZipFile(extract.path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("Posts.xml", content)
    extract.path.write_bytes(extract.path.read_bytes()[:40_000])
    error = extract.error()
    assert error.startswith(f"{extract.path} cannot be unpacked: ")
    assert error.endswith(". Download it again.")


def test_a_short_row_does_not_stand_in_for_a_row_in_another_layout(extract, monkeypatch):
    monkeypatch.setattr(unpacking, "_CHUNK", 1900)
    written = f'<row PostTypeId="2" Id="20" ParentId="1" Score="1" CreationDate="{CREATED}" Body="re 1" />'
    short = '<row Id="30" PostTypeId="4" />'
    first = question(1, Body="b" * 2000)  # the chunk in which the rows begin is not searched as a whole
    extract(first, question(2), written, short, question(39, "lua"), answer(40, 2), answer(41, 1), question(44))
    assert extract.questions() == [1, 2, 44]
    assert extract.answers() == [20, 40, 41]


@needs_7z
@pytest.mark.parametrize("budget", [32 << 20, 300])
def test_answers_in_an_archive_may_precede_their_questions(extract, packed, processes, monkeypatch, budget):
    monkeypatch.setattr(rows, "_EARLY_ANSWER_BYTES", budget)
    content = [
        answer(1, 8),
        answer(2, 9),
        answer(3, 8),
        answer(4, None),
        question(8),
        question(9, "torch"),
        answer(10, 8),
    ]
    extract.from_content(HEAD + LINE.join(content) + "</posts>")
    plain = extract.reading
    frames = {(kind, library): extract.frame(kind, library) for kind in KINDS for library in LIBRARIES}
    packed({"Posts.xml": extract.path.read_text()})
    assert extract.read().reading == plain
    for (kind, library), frame in frames.items():
        assert_frame_equal(extract.frame(kind, library), frame, check_row_order=False)
    assert (extract.answers(), extract.answers("Torch")) == ([10, 1, 3], [2])
    assert len(processes) == (1 if budget > 300 else 2)


@needs_7z
@pytest.mark.parametrize("chunk", [11, 150, 1 << 18])
def test_unordered_archive_is_unpacked_twice(extract, packed, processes, monkeypatch, chunk):
    monkeypatch.setattr(unpacking, "_CHUNK", chunk)
    packed({"Posts.xml": HEAD + LINE.join([answer(9, 5), question(8), answer(7, 5), question(5), answer(6, 8)])})
    assert (extract.read().questions(), extract.answers()) == ([8, 5], [6, 9, 7])
    assert len(processes) == 2


@pytest.fixture
def pretended(extract, monkeypatch):
    """Return a function that puts a shell script in place of 7-Zip and names an archive for it."""

    def pretend(script: str) -> None:
        program = extract.folder / "7zz"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{extract.folder}:/usr/bin:/bin")
        extract.path = extract.folder / "posts.7z"
        extract.path.write_bytes(b"7z")

    return pretend


def test_program_that_writes_nothing_is_ended(extract, pretended, processes, monkeypatch):
    monkeypatch.setattr(unpacking, "_SILENCE", 0.3)
    pretended("printf '<posts>'; exec sleep 60")
    assert extract.error() == (
        f"{extract.path} cannot be unpacked: 7zz has written nothing for 0.3 seconds. "
        "Unpack it yourself and name the Posts.xml."
    )
    assert [process.returncode for process in processes] == [-9]


def test_program_runs_under_limits_of_memory_and_processor_time(extract, pretended):
    pretended("echo data $(ulimit -d) time $(ulimit -t) >&2; exit 8")
    assert extract.error() == (
        f"{extract.path} cannot be unpacked: data 2097152 time 86400. Unpack it yourself and name the Posts.xml."
    )


@needs_7z
def test_relative_path_that_looks_like_an_option_is_a_path(extract, packed, monkeypatch):
    packed({"Posts.xml": SMALL}, name="-x.7z")
    monkeypatch.chdir(extract.folder)
    extract.path = Path("-x.7z")
    assert extract.read().questions() == [1]


@needs_7z
def test_archive_name_that_looks_like_a_pattern_is_literal(extract, packed):
    packed({"Posts.xml": HEAD + question(2) + "</posts>"}, name="posts 1.7z")
    packed({"Posts.xml": HEAD + question(1) + "</posts>"}, name="posts 2.7z").rename(extract.folder / "posts ?.7z")
    extract.path = extract.folder / "posts ?.7z"
    assert extract.read().questions() == [1]


@needs_7z
def test_archive_with_a_path_outside_of_itself_writes_nothing_anywhere(extract, packed):
    work = extract.folder / "packing" / "deep" / "er"
    work.mkdir(parents=True)
    (extract.folder / "packing" / "Posts.xml").write_text(SMALL)
    extract.path = extract.folder / "posts.7z"
    climbing = [SEVEN_ZIP, "a", "-bd", "-spf", str(extract.path), "../../Posts.xml"]
    subprocess.run(climbing, cwd=work, check=True, stdout=subprocess.DEVNULL)
    listed = subprocess.run([SEVEN_ZIP, "l", "-slt", str(extract.path)], check=True, capture_output=True, text=True)
    assert "Path = ../../Posts.xml" in listed.stdout
    shutil.rmtree(extract.folder / "packing")
    before = set(extract.folder.parent.rglob("*"))
    assert extract.read().questions() == [1]
    added = set(extract.folder.parent.rglob("*")) - before
    assert {path.suffix for path in added if path.is_file()} == {".parquet"}
    assert all(path.is_relative_to(extract.out) for path in added)


@needs_7z
def test_archive_without_posts_is_rejected(extract, packed):
    packed({"Users.xml": "<users></users>", "MyPosts.xml": SMALL})
    assert extract.error() == f"{extract.path} is empty, or an archive without a Posts.xml. {ADVICE}"


@needs_7z
def test_archive_with_the_posts_of_several_sites_is_rejected(extract, packed):
    packed({"a/Posts.xml": HEAD + question(1) + "</posts>", "b/Posts.xml": HEAD + question(1) + "</posts>"})
    assert extract.error() == f"{extract.path} contains several dumps. Name Stack Overflow's Posts.xml alone."


@needs_7z
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["-psecret"], "ERROR: Data Error in encrypted file. Wrong password? : Posts.xml"),
        (["-psecret", "-mhe=on"], "Cannot open encrypted archive. Wrong password?"),
    ],
)
def test_encrypted_archive_is_rejected_without_a_password_prompt(extract, packed, processes, options, reason):
    packed({"Posts.xml": SMALL}, *options)
    error = extract.error()
    assert error.startswith(f"{extract.path} cannot be unpacked: {reason}")
    assert error.endswith(". Unpack it yourself and name the Posts.xml.")
    assert [process.returncode for process in processes] == [2]


@needs_7z
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda content: content[: len(content) // 2], "Unexpected end of archive"),
        (lambda _: b"this is not an archive", "Is not archive"),
        (lambda _: b"", "Cannot open the file as archive"),
        (lambda content: content[:5000] + bytes(100) + content[5100:], "ERROR: Data Error : Posts.xml"),
    ],
)
def test_damaged_archive_is_rejected_with_the_message_of_7z(extract, packed, processes, damage, reason):
    # Numbers that hardly repeat, so that the archive is long and the damage is in the data.
    content = HEAD + LINE.join(question(n, Body=str(math.sqrt(n))) for n in range(1, 5000)) + "</posts>"
    path = packed({"Posts.xml": content})
    path.write_bytes(damage(path.read_bytes()))
    error = extract.error()
    assert error.startswith(f"{path} cannot be unpacked: ")
    assert reason in error
    assert error.endswith(". Download it again.")
    assert [process.returncode for process in processes] == [2]


@needs_7z
def test_no_process_is_left_if_reading_fails_midway(extract, packed, processes, monkeypatch):
    monkeypatch.setattr(unpacking, "_CHUNK", 1000)
    monkeypatch.setattr(extraction, "_BATCH_ROWS", 20)
    # More than a pipe holds: 7z is still writing when the reader gives up.
    packed({"Posts.xml": HEAD + LINE.join(question(number, Body="b" * 1000) for number in range(1, 2000)) + "</posts>"})
    folder = extract.folder / "none"
    with pytest.raises(DlbugError) as error:
        extraction.extract(
            extract.path, {"A": ["keras"]}, {"A": folder}, min_score=6, created_from=None, created_until=None
        )
    # Checked while the error, and with it the frames of the reader, is still referenced.
    assert [process.returncode for process in processes] == [-9]
    assert str(error.value).startswith(f"cannot write {folder}")


def test_missing_unpacking_program_is_reported_with_advice(extract, monkeypatch):
    extract.path = extract.folder / "posts.7z"
    extract.path.write_bytes(b"7z")
    monkeypatch.setenv("PATH", str(extract.folder))
    assert extract.error() == (
        f"{extract.path} needs a program to unpack it: install the package 7zip, or unpack it yourself."
    )


@needs_7z
@pytest.mark.parametrize("name", ["7zz", "7z", "7za", "7zr"])
def test_any_of_the_unpacking_programs_is_used(extract, packed, monkeypatch, name):
    packed({"Posts.xml": SMALL})
    (extract.folder / name).symlink_to(SEVEN_ZIP)
    monkeypatch.setenv("PATH", str(extract.folder))
    assert extract.read().questions() == [1]
