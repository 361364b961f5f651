"""Extraction from a dump: the posts that are selected, how problems are recorded, and the files."""

import os
from datetime import date, datetime

import polars as pl
import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.stackoverflow.dump import extraction
from support.dump_extraction import LIBRARIES
from support.dumps import CREATED, HEAD, LINE, NEWER, OLDER, answer, question, row
from support.small_disks import mount, unmount

CREATED_AT = datetime(2017, 3, 1, 12, 34, 56, 789_000)

# Selection


def test_question_columns_and_utc_times(extract):
    extract(
        row(
            Id=5, PostTypeId=1, AcceptedAnswerId=6, CreationDate=CREATED, Score=7, ViewCount=8, Body="<p>é</p>\n",
            OwnerUserId=9, LastActivityDate="2018-01-02T03:04:05.060", Title='"Why" & how', Tags="|keras|python|",
            AnswerCount=1, ContentLicense="CC BY-SA 3.0",
        )
    )  # fmt: skip
    frame = extract.frame("questions")
    assert frame.schema == pl.Schema(extraction.DUMP_QUESTIONS)
    assert frame.rows() == [
        (5, '"Why" & how', "<p>é</p>\n", ["keras", "python"], 7, 8, 1, 6, CREATED_AT,
         datetime(2018, 1, 2, 3, 4, 5, 60_000), "9", "CC BY-SA 3.0", True),
    ]  # fmt: skip


def test_answer_columns_and_accepted_answer(extract):
    extract(
        question(5, AcceptedAnswerId=7),
        answer(6, 5, OwnerUserId=9, LastActivityDate="2018-01-02T03:04:05", ContentLicense="CC BY-SA 4.0"),
        answer(7, 5, Score=-2),
    )
    frame = extract.frame("answers")
    assert frame.schema == pl.Schema(extraction.DUMP_ANSWERS)
    assert frame.rows() == [
        (6, 5, 1, False, "re 5", CREATED_AT, datetime(2018, 1, 2, 3, 4, 5), "9", "CC BY-SA 4.0"),
        (7, 5, -2, True, "re 5", CREATED_AT, None, None, None),
    ]


def test_missing_optional_attributes_are_null_without_an_irregularity(extract):
    extract(question(5, Body=None), answer(6, 5, Body=None))
    assert extract.frame("questions").rows() == [
        (5, None, None, ["keras"], 7, None, None, None, CREATED_AT, None, None, None, True)
    ]
    assert extract.frame("answers").rows() == [(6, 5, 1, False, None, CREATED_AT, None, None, None)]
    assert extract.reading == extraction.DumpReading(
        rows=2,
        planted=0,
        irregular=0,
        left_out=0,
        questions={"Keras": 1, "Torch": 0},
        answers={"Keras": 1, "Torch": 0},
        tags_found={"Keras": ["keras"], "Torch": []},
        absent={"Keras": [], "Torch": []},
        notation="|a|b|",
        complete=True,
    )
    assert extract.irregularities() == []


def test_answers_before_their_question_are_selected_too(extract):
    extract(answer(4, 5), question(5), answer(6, 5), answer(7, 8), question(8, "python"), answer(9, 5))
    assert sorted(extract.answers()) == [4, 6, 9]


@pytest.mark.parametrize(
    "numbers", [(9, 5, 6, 7), (3, 5, 5, 7), (3, 5, 6, "x")], ids=["descending", "repeated", "unreadable"]
)
def test_ids_may_have_any_order(extract, numbers):
    first, parent, second, third = numbers
    rows = [answer(first, parent), question(parent, AcceptedAnswerId=9), answer(second, parent), answer(third, parent)]
    extract.from_content(HEAD + LINE.join([*rows, question(4)]))
    assert extract.questions() == [parent, 4]
    assert set(extract.answers()) == {first, second, third} - {"x"}
    assert len(extract.answers()) == len(set(extract.answers()))
    assert extract.reading.rows == 5


@pytest.mark.parametrize("notation", [NEWER, OLDER])
def test_only_whole_tags_match(extract, notation):
    extract(
        question(1, "keras-layer", notation=notation),
        question(2, "tf.keras", "python", notation=notation),
        question(3, "python", "keras", notation=notation),
        question(4, "torchvision", "libtorch", notation=notation),
        question(5, "pytorch", notation=notation),
        question(6, "torch", "lua", notation=notation),
    )
    assert extract.questions("Keras") == [3]
    assert extract.questions("Torch") == [5, 6]
    assert extract.reading.notation == notation


@pytest.mark.parametrize("notation", [NEWER, OLDER])
@pytest.mark.parametrize("tag", ["c++", "c#", "tensorflow2.0", "scikit-learn", ".net", "кирас"])
def test_tags_may_contain_punctuation_and_any_letters(extract, notation, tag):
    others = ("c", "tensorflow2-0", "tensorflow2x0", "scikit", "net", "c+", "cc+", "c##")
    extract.path.write_text(HEAD + question(1, tag, notation=notation) + question(2, *others, notation=notation))
    assert extract.read({"It": [tag]}).questions("It") == [1]


def test_numeric_references_in_tags_are_resolved(extract):
    rows = question(1, "c").replace("|c|", "|c&#43;&#x2B;|") + question(2, "c", Score="?").replace("|c|", "|c&#43;|")
    extract.from_content(HEAD + rows, libraries={"C++": ["c++"]})
    assert extract.frame("questions", "C++")["tags"].to_list() == [["c++"]]
    assert extract.reading.irregular == 0


def test_notation_of_tags_is_detected_per_row(extract):
    extract(question(1, "keras", "a"), question(2, "keras", "a", notation=OLDER))
    assert extract.frame("questions")["tags"].to_list() == [["keras", "a"], ["keras", "a"]]
    assert extract.reading.notation == "<a><b> and |a|b|"


def test_texts_that_look_like_tags_or_attributes_do_not_match(extract):
    texts = ["|keras|", "<keras>", "&lt;keras&gt;", ' Tags="|keras|"', ' ParentId="1"', '"/>', "<row ", "</posts>"]
    extract(
        question(1),
        *(question(number, "python", Body=text, Title=text) for number, text in enumerate(texts, start=10)),
        *(answer(number, 99, Body=text) for number, text in enumerate(texts, start=20)),
        *(row(Id=number, PostTypeId=5, Body=text) for number, text in enumerate(texts, start=30)),
    )
    assert (extract.questions(), extract.answers(), extract.reading.irregular) == ([1], [], 0)


def test_question_with_tags_of_two_libraries_belongs_to_both(extract):
    extract(question(1, "keras", "torch", AcceptedAnswerId=3), question(2, "torch"), answer(3, 1), answer(4, 2))
    assert (extract.questions("Keras"), extract.answers("Keras")) == ([1], [3])
    assert (extract.questions("Torch"), extract.answers("Torch")) == ([1, 2], [3, 4])
    assert extract.frame("answers", "Torch")["is_accepted"].to_list() == [True, False]


def test_bounds_of_score_and_dates_are_inclusive(extract):
    days = ["2016-12-31T23:59:59.999", "2017-01-01T00:00:00.000", "2017-12-31T23:59:59.999", "2018-01-01T00:00:00.000"]
    rows = [question(number, CreationDate=day) for number, day in enumerate(days)]
    rows += [question(10 + score, Score=score) for score in (-1, 5, 6, 7)]
    rows += [answer(100 + number, number, Score=-9, CreationDate="2020-01-01T00:00:00") for number in range(18)]
    extract.from_content(HEAD + LINE.join(rows), created_from=date(2017, 1, 1), created_until=date(2017, 12, 31))
    assert extract.questions() == [1, 2, 16, 17]
    assert extract.answers() == [101, 102, 116, 117]


def test_other_post_types_are_ignored_even_with_tags_or_a_parent(extract):
    extract(question(1), question(2, PostTypeId=5), answer(3, 1, PostTypeId=4), answer(4, 1))
    assert (extract.questions(), extract.answers(), extract.reading.irregular) == ([1], [4], 0)


def test_planted_posts_of_any_type_are_dropped_and_counted(extract):
    extract(
        question(1),
        question(1000000001),
        answer(1000000010, 1),
        answer(3, 1000000001),
        row(Id=1000000001, PostTypeId=5),
        question(2, OwnerUserId=1000000001),
    )
    assert extract.reading.planted == 3
    assert (extract.questions(), extract.answers(), extract.irregularities()) == ([1, 2], [], [])


def test_raw_whitespace_becomes_spaces_and_references_are_kept(extract):
    raw = question(1, Body="a\tb TWO c").replace("TWO", "\r\n").replace("\t", "\t")
    extract(raw, question(2, Body="a\nb\r\nc").replace("b&", "b&#9;&"))
    assert extract.frame("questions")["body_html"].to_list() == ["a b   c", "a\nb\t\r\nc"]


# Problems


def test_unreadable_field_is_null_and_recorded(extract):
    extract(
        question(1, ViewCount="many", AcceptedAnswerId="", AnswerCount="1.5", OwnerUserId="me", LastActivityDate="now"),
        answer(2, 1, Score="high", CreationDate="2017-02-30T00:00:00.000", OwnerUserId="9" * 30),
        answer(3, 1, Score=None, CreationDate=None),
    )
    assert extract.frame("questions").rows() == [
        (1, None, "body 1", ["keras"], 7, None, None, None, CREATED_AT, None, None, None, True)
    ]
    assert extract.frame("answers").rows() == [
        (2, 1, None, False, "re 1", None, None, None, None),
        (3, 1, None, False, "re 1", None, None, None, None),
    ]
    assert sorted(extract.irregularities()) == [
        (1, 1, "AcceptedAnswerId", "cannot be read", ""),
        (1, 1, "AnswerCount", "cannot be read", "1.5"),
        (1, 1, "LastActivityDate", "cannot be read", "now"),
        (1, 1, "OwnerUserId", "cannot be read", "me"),
        (1, 1, "ViewCount", "cannot be read", "many"),
        (2, 2, "CreationDate", "cannot be read", "2017-02-30T00:00:00.000"),
        (2, 2, "OwnerUserId", "cannot be read", "9" * 30),
        (2, 2, "Score", "cannot be read", "high"),
        (3, 3, "CreationDate", "is missing", None),
        (3, 3, "Score", "is missing", None),
    ]
    assert extract.reading.irregular == 10
    assert extract.irregularities("Torch") == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Id", None), ("Id", "x1"), ("Score", None), ("Score", "7.0"), ("CreationDate", None), ("PostTypeId", None),
        ("CreationDate", "2017-03-01"), ("CreationDate", "2017-03-01T12:34:56+02:00"), ("PostTypeId", "question"),
    ],
)  # fmt: skip
def test_question_without_a_required_field_is_left_out_and_recorded(extract, field, value):
    extract(question(1), question(2, **{field: value}), answer(3, 2))
    reason = "is missing" if value is None else "cannot be read"
    number = None if field == "Id" else 2
    assert extract.irregularities() == [(2, number, field, f"{reason}; the row is left out", value)]
    assert (extract.questions(), extract.answers(), extract.irregularities("Torch")) == ([1], [], [])


def test_answer_without_a_readable_parent_is_recorded_for_every_library(extract):
    extract(question(1), answer(2, None), answer(3, "one"), answer("four", 1), answer(5, 1, PostTypeId=None))
    lost = [
        (2, 2, "ParentId", "is missing; the row is left out", None),
        (3, 3, "ParentId", "cannot be read; the row is left out", "one"),
    ]
    assert extract.irregularities("Torch") == lost
    assert extract.irregularities("Keras") == [
        *lost,
        (4, None, "Id", "cannot be read; the row is left out", "four"),
        (5, 5, "PostTypeId", "is missing; the row is left out", None),
    ]
    assert (extract.answers(), extract.reading.irregular) == ([], 4)


def test_first_of_several_rows_with_the_same_id_is_kept(extract):
    extract(
        question(1, Title="first"), question(1, Title="again"),
        question(2, Score=0), question(2, "torch"),
        answer(3, 1, Body="first"), answer(3, 1, Body="again"),
    )  # fmt: skip
    repeated = "is that of an earlier row; the row is left out"
    assert extract.frame("questions")["title"].to_list() == ["first"]
    assert extract.frame("answers")["body_html"].to_list() == ["first"]
    assert extract.irregularities("Keras") == [(2, 1, "Id", repeated, "1"), (6, 3, "Id", repeated, "3")]
    assert (extract.questions("Torch"), extract.irregularities("Torch")) == ([], [(4, 2, "Id", repeated, "2")])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (b"&custom;", "undefined entity"),
        (b'" Body="again', "duplicate attribute"),
        (b"<!DOCTYPE x>", "not well-formed"),
    ],
)
def test_row_that_is_not_well_formed_is_recorded_for_every_library(extract, damage, message):
    damaged = question(2, Body="DAMAGE").encode().replace(b"DAMAGE", damage)
    lost = answer(4, 3, Body="DAMAGE").encode().replace(b"DAMAGE", damage)
    rows = [question(1).encode(), damaged, question(3).encode(), lost]
    extract.from_content(b"".join([HEAD.encode(), *rows, b"</posts>"]))
    assert (extract.questions(), extract.answers()) == ([1, 3], [])
    for library in LIBRARIES:
        recorded = extract.irregularities(library)
        assert [(*entry[:3], entry[4]) for entry in recorded] == [
            (2, 2, None, damaged.decode(errors="replace")),
            (4, 4, None, lost.decode(errors="replace")),
        ]
        assert all(entry[3].startswith(f"cannot be parsed ({message}") for entry in recorded)
        assert all(entry[3].endswith("; the row is left out") for entry in recorded)


@pytest.mark.parametrize("junk", [b"row", b"\xf0\x9f\x91\xa9 row", b"\xff row", b"\0row", b"</row>", b"<![CDATA["])
def test_row_is_read_whatever_follows_it(extract, junk):
    remains = answer(2, 1).encode().replace(b"<row", junk)
    extract.from_content(
        b"".join([HEAD.encode(), question(1).encode(), b"\n", remains, question(3).encode(), b"</posts>"])
    )
    assert (extract.questions(), extract.answers()) == ([1, 3], [])
    recorded = [(*entry[:4], entry[4][-5:]) for entry in extract.irregularities()]
    assert recorded[-1] == (1, 1, None, "is followed by something other than a row", '1" />')


@pytest.mark.parametrize(
    "forbidden", [b"&#0;", b"&#11;", b"&#xB;", b"&#xD800;", b"&#xFFFE;", b"&#x110000;", b"\x0b", b"\0", b"\xff"]
)
def test_forbidden_character_is_replaced_and_recorded(extract, forbidden):
    rows = LINE.join([question(1, Body="a BAD&\n"), answer(2, 1, Body="b BAD"), question(3, "python", Body="BAD")])
    extract.from_content((HEAD + rows + "</posts>").encode().replace(b"BAD", forbidden))
    assert extract.frame("questions")["body_html"].to_list() == ["a \ufffd&\n"]
    assert extract.frame("answers")["body_html"].to_list() == ["b \ufffd"]
    reason = "has characters that XML forbids; they are replaced by U+FFFD"
    shown = forbidden.decode(errors="replace")
    assert extract.irregularities() == [
        (1, 1, "Body", reason, f"a {shown}&amp;&#xA;"),
        (2, 2, "Body", reason, f"b {shown}"),
    ]
    assert (extract.reading.left_out, extract.irregularities("Torch")) == (0, [])


def test_entities_declared_in_the_file_are_not_expanded(extract):
    head = '<?xml version="1.0"?><!DOCTYPE posts [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><posts>'
    extract.from_content(head + question(1, Body="X").replace("X", "&b;") + question(2) + "</posts>")
    assert extract.questions() == [2]
    assert [entry[:3] for entry in extract.irregularities()] == [(1, 1, None)]


@pytest.mark.parametrize("tags", ["keras", "keras torch", "[keras]", "|keras", "<keras", "<a>b<keras>", "|a||keras|"])
def test_tags_in_an_unknown_notation_are_recorded_for_every_library(extract, tags):
    extract(question(1), question(2, Tags=tags))
    for library in LIBRARIES:
        assert extract.irregularities(library) == [(2, 2, "Tags", "cannot be read; the row is left out", tags)]


def test_missing_tags_are_not_an_irregularity(extract):
    extract(question(1, Tags=None), question(2, Tags=""))
    assert (extract.questions(), extract.reading.irregular, extract.reading.notation) == ([], 0, "none seen")


def test_recorded_content_is_cut_to_200_characters(extract):
    extract(question(1, ViewCount="😀" * 500), question(2, Body="é" * 500)[:-20], question(3))
    kept = extract.frame("irregularities")["content"].to_list()
    assert [len(content) for content in kept] == [200, 200]
    assert kept[0] == "😀" * 200


# Files


def test_each_file_holds_a_batch_and_only_its_owner_can_read_it(extract, monkeypatch):
    monkeypatch.setattr(extraction, "_BATCH_ROWS", 2)
    extract(*(question(number, ViewCount="?") for number in range(1, 6)), answer(9, 1))
    found = {path.name: pl.read_parquet(path).height for path in (extract.out / "Keras").iterdir()}
    assert found == {
        "questions-00001.parquet": 2, "questions-00002.parquet": 2, "questions-00003.parquet": 1,
        "answers-00001.parquet": 1,
        "irregularities-00001.parquet": 2, "irregularities-00002.parquet": 2, "irregularities-00003.parquet": 1,
    }  # fmt: skip
    assert {path.stat().st_mode & 0o777 for path in extract.out.rglob("*.parquet")} == {0o600}


def test_batch_of_long_texts_holds_fewer_rows(extract, monkeypatch):
    monkeypatch.setattr(extraction, "_BATCH_BYTES", 10_000)
    extract(*(question(number, Body="b" * 4_000) for number in range(1, 6)))
    paths = sorted((extract.out / "Keras").glob("questions-*.parquet"))
    assert [pl.read_parquet(path)["post_id"].to_list() for path in paths] == [[1, 2, 3], [4, 5]]


def test_library_without_posts_has_empty_files(extract):
    extract(question(1))
    found = {path.name: pl.read_parquet(path) for path in (extract.out / "Torch").iterdir()}
    schemas = {
        "questions-00001.parquet": extraction.DUMP_QUESTIONS,
        "answers-00001.parquet": extraction.DUMP_ANSWERS,
        "irregularities-00001.parquet": extraction.ROW_PROBLEMS,
    }
    assert {name: frame.schema for name, frame in found.items()} == {n: pl.Schema(s) for n, s in schemas.items()}
    assert {frame.height for frame in found.values()} == {0}


def test_unwritable_or_non_empty_folder_is_named(extract):
    extract(question(1))
    scope = {"min_score": 6, "created_from": None, "created_until": None}
    for folder, why in [(extract.out / "Keras", "File exists"), (extract.out / "none", "No such file or directory")]:
        with pytest.raises(DlbugError) as error:
            extraction.extract(extract.path, {"Keras": ["keras"]}, {"Keras": folder}, **scope)
        assert str(error.value) == (
            f"cannot write {folder}/questions-00001.parquet: {why}. "
            "Its folder must be empty and writable, with space on its disk."
        )


def test_full_disk_is_reported(extract):
    extract(question(1))
    # Texts that cannot be compressed, more than fit.
    many = LINE.join(question(number, Body=os.urandom(3_000).hex()) for number in range(2, 300))
    extract.path.write_text(f"{HEAD}{many}</posts>")
    disk = extract.folder / "disk"
    mount(disk, "size=400k")
    try:
        with pytest.raises(DlbugError) as error:
            extraction.extract(
                extract.path, {"A": ["keras"]}, {"A": disk}, min_score=6, created_from=None, created_until=None
            )
    finally:
        unmount(disk)
    assert str(error.value) == (
        f"cannot write {disk}/questions-00001.parquet: No space left on device. "
        "Its folder must be empty and writable, with space on its disk."
    )
