"""Reading the data dump: which posts are taken, and what becomes of everything that is not as it should be."""

import io
import logging
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import date, datetime
from pathlib import Path
from typing import ClassVar
from unittest import mock
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from dlbug_assets.errors import DlbugError
from dlbug_assets.stackoverflow.dump import extraction, parallel_rows
from dlbug_assets.stackoverflow.dump import rows as dump_rows
from support.small_disks import mount, unmount

LIBRARIES = {"Keras": ["keras"], "Torch": ["torch", "pytorch"]}
NEWER, OLDER = "|a|b|", "<a><b>"
LINE = "\n  "
HEAD = '<?xml version="1.0" encoding="utf-8"?>\n<posts>\n  '
WHEN = "2017-03-01T12:34:56.789"
ASKED = datetime(2017, 3, 1, 12, 34, 56, 789_000)
NAME_IT = "Name the Posts.xml of Stack Overflow's data dump, or the .7z that contains it."

SEVEN_ZIP = next((found for name in ("7zz", "7z", "7za", "7zr") if (found := shutil.which(name))), None)
needs_7z = pytest.mark.skipif(SEVEN_ZIP is None, reason="no 7z program is installed here")


def row(**attributes) -> str:
    """A row as the dump has it; attributes that are None are left out."""
    written = {name: str(value) for name, value in attributes.items() if value is not None}
    references = {'"': "&quot;", "\n": "&#xA;", "\r": "&#xD;"}
    return "<row " + "".join(f'{name}="{escape(value, references)}" ' for name, value in written.items()) + "/>"


def tagged(tags: Iterable[str], notation: str = NEWER) -> str:
    return f"|{'|'.join(tags)}|" if notation == NEWER else "".join(f"<{tag}>" for tag in tags)


def question(number: int, *tags: str, notation: str = NEWER, **attributes) -> str:
    base = {"Id": number, "PostTypeId": 1, "CreationDate": WHEN, "Score": 7, "Body": f"body {number}"}
    return row(**base | {"Tags": tagged(tags or ["keras"], notation)} | attributes)


def answer(number: int, parent: int, **attributes) -> str:
    base = {"Id": number, "PostTypeId": 2, "ParentId": parent, "CreationDate": WHEN, "Score": 1, "Body": f"re {parent}"}
    return row(**base | attributes)


class Extract:
    """Writes a dump, reads it, and has what came of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "Posts.xml"

    def __call__(self, *rows: str) -> "Extract":
        return self.of(HEAD + LINE.join(rows) + "\n</posts>\n")

    def of(self, content: str | bytes, **options) -> "Extract":
        self.path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return self.read(**options)

    def read(self, libraries=LIBRARIES, **options) -> "Extract":
        scope = {"min_score": 6, "created_from": None, "created_until": None} | options
        self.out = Path(tempfile.mkdtemp(dir=self.folder))
        folders = {name: self.out / name for name in libraries}
        for folder in folders.values():
            folder.mkdir()
        self.reading = extraction.extract(self.path, libraries, folders, **scope)
        return self

    def frame(self, kind: str, library: str = "Keras") -> pl.DataFrame:
        return pl.concat(pl.read_parquet(path) for path in sorted((self.out / library).glob(f"{kind}-*.parquet")))

    def questions(self, library: str = "Keras") -> list[int]:
        return self.frame("questions", library)["post_id"].to_list()

    def answers(self, library: str = "Keras") -> list[int]:
        return self.frame("answers", library)["answer_id"].to_list()

    def irregularities(self, library: str = "Keras") -> list[tuple]:
        return self.frame("irregularities", library).rows()


class Helper(parallel_rows._Helper):
    """A helper without a process of its own, so that thousands of them take no time."""

    def __init__(self, path: Path, parts: Iterable[tuple[int, int]], tags: Iterable[str]) -> None:
        self._findings, self._summaries = tempfile.TemporaryFile(), io.BytesIO()  # noqa: SIM115 - closed in the end
        self._begin = self._end = 0
        self._process = mock.Mock()
        with suppress(DlbugError):
            parallel_rows.scan(path, parts, tags, self._findings, self._summaries)
        self._summaries.seek(0)


@contextmanager
def in_parts(size: int, most: int = 9, helper: type = Helper) -> Iterator[None]:
    """While this lasts, a file is cut into parts of so many bytes."""
    patched = {"_WORTH_A_PROCESS": size, "_MOST_PROCESSES": most, "_Helper": helper}
    with mock.patch.multiple(parallel_rows, **patched), mock.patch.object(os, "cpu_count", lambda: most):
        yield


@pytest.fixture(params=[None, 60], ids=["whole", "in parts"])
def extract(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Extract]:
    with in_parts(request.param) if request.param else nullcontext():
        yield Extract(tmp_path)


# What is taken


def test_a_question_has_all_its_attributes_and_times_are_utc(extract):
    extract(
        row(
            Id=5, PostTypeId=1, AcceptedAnswerId=6, CreationDate=WHEN, Score=7, ViewCount=8, Body="<p>é</p>\n",
            OwnerUserId=9, LastActivityDate="2018-01-02T03:04:05.060", Title='"Why" & how', Tags="|keras|python|",
            AnswerCount=1, ContentLicense="CC BY-SA 3.0",
        )
    )  # fmt: skip
    frame = extract.frame("questions")
    assert frame.schema == pl.Schema(extraction.DUMP_QUESTIONS)
    assert frame.rows() == [
        (5, '"Why" & how', "<p>é</p>\n", ["keras", "python"], 7, 8, 1, 6, ASKED,
         datetime(2018, 1, 2, 3, 4, 5, 60_000), "9", "CC BY-SA 3.0"),
    ]  # fmt: skip


def test_an_answer_knows_its_question_and_whether_it_is_the_accepted_one(extract):
    extract(
        question(5, AcceptedAnswerId=7),
        answer(6, 5, OwnerUserId=9, LastActivityDate="2018-01-02T03:04:05", ContentLicense="CC BY-SA 4.0"),
        answer(7, 5, Score=-2),
    )
    frame = extract.frame("answers")
    assert frame.schema == pl.Schema(extraction.DUMP_ANSWERS)
    assert frame.rows() == [
        (6, 5, 1, False, "re 5", ASKED, datetime(2018, 1, 2, 3, 4, 5), "9", "CC BY-SA 4.0"),
        (7, 5, -2, True, "re 5", ASKED, None, None, None),
    ]


def test_what_may_be_missing_is_null_without_a_complaint(extract):
    extract(question(5, Body=None), answer(6, 5, Body=None))
    assert extract.frame("questions").rows() == [
        (5, None, None, ["keras"], 7, None, None, None, ASKED, None, None, None)
    ]
    assert extract.frame("answers").rows() == [(6, 5, 1, False, None, ASKED, None, None, None)]
    assert extract.reading == extraction.DumpReading(
        rows=2,
        planted=0,
        irregular=0,
        questions={"Keras": 1, "Torch": 0},
        answers={"Keras": 1, "Torch": 0},
        notation="|a|b|",
        complete=True,
    )
    assert extract.irregularities() == []


def test_all_answers_of_a_question_are_taken_also_those_that_stand_before_it(extract):
    extract(answer(4, 5), question(5), answer(6, 5), answer(7, 8), question(8, "python"), answer(9, 5))
    assert extract.answers() == [6, 9, 4]


@pytest.mark.parametrize("numbers", [(9, 5, 6, 7), (3, 5, 5, 7), (3, 5, 6, "x")], ids=["falling", "twice", "unread"])
def test_where_numbers_do_not_ascend_answers_before_their_question_are_taken_too(extract, caplog, numbers):
    caplog.set_level(logging.INFO)
    first, asked, second, third = numbers
    rows = [answer(first, asked), question(asked, AcceptedAnswerId=9), answer(second, asked), answer(third, asked)]
    extract.of(HEAD + LINE.join([*rows, question(4)]))
    assert sorted(extract.answers()) == sorted({number for number in (first, second, third) if number != "x"})
    assert caplog.messages == ["Posts.xml: reading again for answers that precede their questions"]
    assert extract.reading.rows == 5


def test_answers_before_their_question_that_do_not_fit_into_memory_are_read_again(extract, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    rows = [answer(4, 8), answer(5, 9), answer(6, None), question(8), question(9, "torch"), answer(10, 8)]
    once = extract(*rows).reading
    found = [sorted(extract.answers(library)) for library in LIBRARIES]
    monkeypatch.setattr(extraction, "_EARLY_ANSWER_BYTES", 150)
    assert caplog.messages == []
    again = extract.read().reading
    assert [sorted(extract.answers(library)) for library in LIBRARIES] == found == [[4, 10], [5]]
    assert again == once
    assert caplog.messages == ["Posts.xml: reading again for answers that precede their questions"]


@pytest.mark.parametrize("notation", [NEWER, OLDER])
def test_a_tag_counts_as_a_whole(extract, notation):
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
def test_tags_may_have_signs_dots_and_letters_of_any_kind(extract, notation, tag):
    others = ("c", "tensorflow2-0", "tensorflow2x0", "scikit", "net", "c+", "cc+", "c##")
    extract.path.write_text(HEAD + question(1, tag, notation=notation) + question(2, *others, notation=notation))
    assert extract.read({"It": [tag]}).questions("It") == [1]


def test_tags_written_with_numeric_references_are_what_they_stand_for(extract):
    rows = question(1, "c").replace("|c|", "|c&#43;&#x2B;|") + question(2, "c", Score="?").replace("|c|", "|c&#43;|")
    extract.of(HEAD + rows, libraries={"C++": ["c++"]})
    assert extract.frame("questions", "C++")["tags"].to_list() == [["c++"]]
    assert extract.reading.irregular == 0


def test_both_notations_in_one_file_are_told_apart_row_by_row(extract):
    extract(question(1, "keras", "a"), question(2, "keras", "a", notation=OLDER))
    assert extract.frame("questions")["tags"].to_list() == [["keras", "a"], ["keras", "a"]]
    assert extract.reading.notation == "<a><b> and |a|b|"


def test_texts_that_look_like_tags_or_attributes_are_texts(extract):
    texts = ["|keras|", "<keras>", "&lt;keras&gt;", ' Tags="|keras|"', ' ParentId="1"', '"/>', "<row ", "</posts>"]
    extract(
        question(1),
        *(question(number, "python", Body=text, Title=text) for number, text in enumerate(texts, start=10)),
        *(answer(number, 99, Body=text) for number, text in enumerate(texts, start=20)),
        *(row(Id=number, PostTypeId=5, Body=text) for number, text in enumerate(texts, start=30)),
    )
    assert (extract.questions(), extract.answers(), extract.reading.irregular) == ([1], [], 0)


def test_a_question_with_tags_of_two_libraries_goes_to_both_with_its_answers(extract):
    extract(question(1, "keras", "torch", AcceptedAnswerId=3), question(2, "torch"), answer(3, 1), answer(4, 2))
    assert (extract.questions("Keras"), extract.answers("Keras")) == ([1], [3])
    assert (extract.questions("Torch"), extract.answers("Torch")) == ([1, 2], [3, 4])
    assert extract.frame("answers", "Torch")["is_accepted"].to_list() == [True, False]


def test_scores_and_days_count_from_their_lowest_to_their_highest(extract):
    days = ["2016-12-31T23:59:59.999", "2017-01-01T00:00:00.000", "2017-12-31T23:59:59.999", "2018-01-01T00:00:00.000"]
    rows = [question(number, CreationDate=day) for number, day in enumerate(days)]
    rows += [question(10 + score, Score=score) for score in (-1, 5, 6, 7)]
    rows += [answer(100 + number, number, Score=-9, CreationDate="2020-01-01T00:00:00") for number in range(18)]
    extract.of(HEAD + LINE.join(rows), created_from=date(2017, 1, 1), created_until=date(2017, 12, 31))
    assert extract.questions() == [1, 2, 16, 17]
    assert extract.answers() == [101, 102, 116, 117]


def test_only_questions_bear_tags_and_only_answers_have_a_question(extract):
    extract(question(1), question(2, PostTypeId=5), answer(3, 1, PostTypeId=4), answer(4, 1))
    assert (extract.questions(), extract.answers(), extract.reading.irregular) == ([1], [4], 0)


def test_planted_posts_are_dropped_and_counted_whatever_they_are(extract):
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


def test_raw_tabs_and_line_ends_are_spaces_and_references_stay(extract):
    raw = question(1, Body="a\tb TWO c").replace("TWO", "\r\n").replace("\t", "\t")
    extract(raw, question(2, Body="a\nb\r\nc").replace("b&", "b&#9;&"))
    assert extract.frame("questions")["body_html"].to_list() == ["a b   c", "a\nb\t\r\nc"]


# Against a parser that reads the whole file

ALPHABET = st.characters(exclude_categories=("Cs", "Cc", "Cn"), include_characters="\n\r")
TRAPS = [
    "|keras|", "<keras>", "&lt;keras&gt;", "|", "\n", "\r\n", "\t", '"', "'", "/>", '" />', "<row ", "</posts>",
    "<posts>", ' Tags="|keras|"', ' ParentId="1"', ' Id="1000000001"', "]]>", "&", "&amp;", "é", "日本", "😀", "<!--",
]  # fmt: skip
TEXTS = st.none() | st.lists(st.sampled_from(TRAPS) | st.text(ALPHABET, max_size=8), max_size=6).map("".join)
TAGS = ["keras", "keras-layer", "tf.keras", "torch", "pytorch", "torchvision", "c++", "c#", "tensorflow2.0", "python"]
NUMBERS = st.integers(1, 25)
MOMENTS = st.sampled_from(
    [WHEN, "2016-12-31T23:59:59.999", "2017-01-01T00:00:00.000", "2017-12-31T23:59:59.997", "2018-01-01T00:00:00.000"]
)


@st.composite
def posts(draw):
    """Rows as attributes, in any order: the tags are still a list."""
    numbers = draw(st.lists(NUMBERS, unique=True, max_size=12))
    numbers = sorted(numbers) if draw(st.booleans()) else numbers  # as in every dump so far
    rows = []
    for number in numbers:
        kind = draw(st.sampled_from([1, 1, 2, 2, 2, 4]))
        fields = {"Id": number, "PostTypeId": kind}
        if kind == 1:
            fields["AcceptedAnswerId"] = draw(st.none() | NUMBERS)
            fields["ViewCount"] = draw(st.none() | NUMBERS)
            fields["Title"] = draw(TEXTS)
            fields["Tags"] = draw(st.lists(st.sampled_from(TAGS), min_size=1, max_size=3, unique=True))
            fields["AnswerCount"] = draw(st.none() | NUMBERS)
        if kind == 2:
            fields["ParentId"] = draw(st.sampled_from(numbers))
        fields["CreationDate"] = draw(MOMENTS)
        fields["Score"] = draw(st.integers(4, 8))
        fields["Body"] = draw(TEXTS)
        fields["OwnerUserId"] = draw(st.none() | st.integers(-1, 99))
        fields["LastActivityDate"] = draw(st.none() | MOMENTS)
        fields["ContentLicense"] = draw(st.none() | st.just("CC BY-SA 4.0"))
        order = draw(st.permutations(list(fields)))
        rows.append({name: fields[name] for name in order})
    return rows


def oracle(path: Path, tags: set[str], first: date, last: date) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Questions and answers as two readings of the whole file by the standard library's parser find them."""

    def rows(kind: str):
        for _, element in ElementTree.iterparse(path):  # noqa: S314 - made by these tests
            if element.tag == "row" and element.get("PostTypeId") == kind:
                yield element

    def number(element, name):
        return None if element.get(name) is None else int(element.get(name))

    def moment(element, name):
        written = element.get(name)
        return None if written is None else datetime.strptime(written, "%Y-%m-%dT%H:%M:%S.%f")

    questions = []
    for element in rows("1"):
        own = re.findall("[^<>|]+", element.get("Tags"))
        asked = moment(element, "CreationDate")
        if tags & set(own) and number(element, "Score") >= 6 and first <= asked.date() <= last:
            questions.append(
                (number(element, "Id"), element.get("Title"), element.get("Body"), own, number(element, "Score"),
                 number(element, "ViewCount"), number(element, "AnswerCount"), number(element, "AcceptedAnswerId"),
                 asked, moment(element, "LastActivityDate"), element.get("OwnerUserId"), element.get("ContentLicense"))
            )  # fmt: skip
    accepted = {entry[0]: entry[7] for entry in questions}
    answers = []
    for element in rows("2"):
        own, parent = number(element, "Id"), number(element, "ParentId")
        if parent in accepted:
            answers.append(
                (own, parent, number(element, "Score"), own == accepted[parent], element.get("Body"),
                 moment(element, "CreationDate"), moment(element, "LastActivityDate"), element.get("OwnerUserId"),
                 element.get("ContentLicense"))
            )  # fmt: skip
    return (
        pl.DataFrame(questions, schema=extraction.DUMP_QUESTIONS, orient="row"),
        pl.DataFrame(answers, schema=extraction.DUMP_ANSWERS, orient="row"),
    )


FIRST, LAST = date(2017, 1, 1), date(2017, 12, 31)


def agrees_with_the_parser(extract):
    """What was taken is what the parser of the whole file finds, in whatever order answers come."""
    for library, tags in LIBRARIES.items():
        questions, answers = oracle(extract.path, set(tags), FIRST, LAST)
        assert_frame_equal(extract.frame("questions", library), questions)
        assert_frame_equal(extract.frame("answers", library), answers, check_row_order=False)
        assert (extract.reading.questions[library], extract.reading.answers[library]) == (
            questions.height, answers.height,
        )  # fmt: skip


@pytest.mark.slow
@settings(max_examples=120, deadline=None)
@given(
    posts=posts(),
    notation=st.sampled_from([NEWER, OLDER]),
    layout=st.tuples(
        st.sampled_from(["\n  ", "\r\n  ", ""]), st.sampled_from([b"", b"\xef\xbb\xbf"]), st.sampled_from(["&gt;", ">"])
    ),
    chunk=st.integers(1, 60) | st.just(1 << 20),
    part=st.integers(40, 900) | st.just(1 << 30),
)
def test_every_dump_gives_what_a_parser_of_the_whole_file_finds(posts, notation, layout, chunk, part):
    line, mark, greater = layout
    rows = [row(**post | ({"Tags": tagged(post["Tags"], notation)} if "Tags" in post else {})) for post in posts]
    rows.append(question(26, "python", notation=notation))
    content = f'<?xml version="1.0"?>{line}<posts>{line}{line.join(rows)}{line}</posts>{line}'
    # A literal > may stand in a value; the older notation of tags is always written with references.
    content = re.sub(r'(Body|Title)="([^"]*)"', lambda hit: hit[0].replace("&gt;", greater), content)
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(dump_rows, "_CHUNK", chunk), in_parts(part):
        extract = Extract(Path(folder))
        extract.of(mark + content.encode(), created_from=FIRST, created_until=LAST)
        agrees_with_the_parser(extract)
        assert extract.irregularities() == []
        assert (extract.reading.rows, extract.reading.complete) == (len(rows), True)
        assert extract.reading.notation == notation


#: In this order every dump so far has them.
USUAL = ["Id", "PostTypeId", "AcceptedAnswerId", "ParentId", "CreationDate", "Score", "Body", "Title", "Tags"]
ODD = ["", "<!-- -->", '<row Id="99" />', '<row PostTypeId="4" Id="98" />', '<row Id="97" PostTypeId="14" />']


@pytest.mark.slow
@settings(max_examples=120, deadline=None)
@given(
    posts=posts(),
    notation=st.sampled_from([NEWER, OLDER]),
    line=st.sampled_from(["\n  ", "\r\n  "]),
    sizes=st.tuples(st.integers(300, 3_000), st.integers(40, 900) | st.just(1 << 30)),
    odd=st.sampled_from(ODD),
)
def test_rows_in_the_usual_layout_are_read_at_a_glance_with_the_same_result(posts, notation, line, sizes, odd):
    chunk, part = sizes
    rows = []
    for post in posts:
        fields = {name: post[name] for name in sorted(post, key=[*USUAL, *post].index)}
        rows.append(row(**fields | ({"Tags": tagged(post["Tags"], notation)} if "Tags" in post else {})))
    # The second one tells what stands between rows; it is one of the planted ones.
    rows = [row(Id=0, PostTypeId=4), row(Id=1000000001, PostTypeId=4), *rows, *filter(None, [odd])]
    content = f"<posts>{line}{line.join(rows)}{line}</posts>"
    glance = mock.patch.multiple(dump_rows, _CHUNK=chunk, _HEAD=200)
    with tempfile.TemporaryDirectory() as folder, glance, in_parts(part):
        extract = Extract(Path(folder))
        extract.of(content, created_from=FIRST, created_until=LAST)
        agrees_with_the_parser(extract)
        assert (extract.reading.rows, extract.reading.planted) == (content.count("<row "), 1)
        assert extract.reading.irregular == (odd == "<!-- -->")


# What is not as it should be


def test_a_garbled_field_is_null_and_noted(extract):
    extract(
        question(1, ViewCount="many", AcceptedAnswerId="", AnswerCount="1.5", OwnerUserId="me", LastActivityDate="now"),
        answer(2, 1, Score="high", CreationDate="2017-02-30T00:00:00.000", OwnerUserId="9" * 30),
        answer(3, 1, Score=None, CreationDate=None),
    )
    assert extract.frame("questions").rows() == [
        (1, None, "body 1", ["keras"], 7, None, None, None, ASKED, None, None, None)
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
    ("field", "written"),
    [
        ("Id", None), ("Id", "x1"), ("Score", None), ("Score", "7.0"), ("CreationDate", None), ("PostTypeId", None),
        ("CreationDate", "2017-03-01"), ("CreationDate", "2017-03-01T12:34:56+02:00"), ("PostTypeId", "question"),
    ],
)  # fmt: skip
def test_a_question_that_cannot_be_judged_is_left_out_and_noted_for_its_library(extract, field, written):
    extract(question(1), question(2, **{field: written}), answer(3, 2))
    reason = "is missing" if written is None else "cannot be read"
    number = None if field == "Id" else 2
    assert extract.irregularities() == [(2, number, field, f"{reason}; the row is left out", written)]
    assert (extract.questions(), extract.answers(), extract.irregularities("Torch")) == ([1], [], [])


def test_an_answer_that_nobody_can_place_is_noted_for_every_library(extract):
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


def test_of_rows_with_the_same_id_the_first_stays(extract):
    extract(
        question(1, Title="first"), question(1, Title="again"),
        question(2, Score=0), question(2, "torch"),
        answer(3, 1, Body="first"), answer(3, 1, Body="again"),
    )  # fmt: skip
    again = "is that of an earlier row; the row is left out"
    assert extract.frame("questions")["title"].to_list() == ["first"]
    assert extract.frame("answers")["body_html"].to_list() == ["first"]
    assert extract.irregularities("Keras") == [(2, 1, "Id", again, "1"), (6, 3, "Id", again, "3")]
    assert (extract.questions("Torch"), extract.irregularities("Torch")) == ([], [(4, 2, "Id", again, "2")])


@pytest.mark.parametrize("line", ["\n  ", "\r\n", ""])
def test_a_row_cut_in_the_middle_is_noted_and_the_next_one_is_read(extract, line):
    cut = question(2, Body="b" * 300)[:-150]
    extract.of(HEAD + line.join([question(1), cut, question(3), '<row Id="4', question(5)]) + line + "</posts>")
    assert extract.questions() == [1, 3, 5]
    for library in LIBRARIES:
        assert extract.irregularities(library) == [
            (2, 2, None, "is cut, or longer than any post", cut[:200]),
            (4, None, None, "is cut, or longer than any post", ('<row Id="4' + line)),
        ]
    assert (extract.reading.rows, extract.reading.irregular, extract.reading.complete) == (5, 2, True)


def test_a_row_whose_beginning_is_lost_is_noted_with_the_row_before_it(extract):
    extract(question(1), question(2), 'eation="2017" Body="x', question(3))
    assert extract.questions() == [1, 2, 3]
    assert extract.irregularities() == [
        (2, 2, None, "is followed by something that is no row", 'eation="2017" Body="x')
    ]


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (b"&custom;", "undefined entity"),
        (b'" Body="again', "duplicate attribute"),
        (b"&#0;", "reference to invalid character number"),
        (b"\xff", "not well-formed"),
        (b"<!DOCTYPE x>", "not well-formed"),
    ],
)
def test_a_row_that_is_no_xml_is_noted_for_every_library(extract, damage, complaint):
    damaged = question(2, Body="DAMAGE").encode().replace(b"DAMAGE", damage)
    lost = answer(4, 3, Body="DAMAGE").encode().replace(b"DAMAGE", damage)
    extract.of(b"".join([HEAD.encode(), question(1).encode(), damaged, question(3).encode(), lost, b"</posts>"]))
    assert (extract.questions(), extract.answers()) == ([1, 3], [])
    for library in LIBRARIES:
        noted = extract.irregularities(library)
        assert [(*entry[:3], entry[4]) for entry in noted] == [
            (2, 2, None, damaged.decode(errors="replace")),
            (4, 4, None, lost.decode(errors="replace")),
        ]
        assert all(entry[3].startswith(f"cannot be parsed ({complaint}") for entry in noted)
        assert all(entry[3].endswith("; the row is left out") for entry in noted)


def test_entities_declared_in_the_file_are_not_expanded(extract):
    head = '<?xml version="1.0"?><!DOCTYPE posts [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><posts>'
    extract.of(head + question(1, Body="X").replace("X", "&b;") + question(2) + "</posts>")
    assert extract.questions() == [2]
    assert [entry[:3] for entry in extract.irregularities()] == [(1, 1, None)]


@pytest.mark.parametrize("tags", ["keras", "keras torch", "[keras]", "|keras", "<keras", "<a>b<keras>", "|a||keras|"])
def test_tags_in_no_known_notation_are_noted_for_every_library(extract, tags):
    extract(question(1), question(2, Tags=tags))
    for library in LIBRARIES:
        assert extract.irregularities(library) == [(2, 2, "Tags", "cannot be read; the row is left out", tags)]


def test_no_tags_at_all_are_no_irregularity(extract):
    extract(question(1, Tags=None), question(2, Tags=""))
    assert (extract.questions(), extract.reading.irregular, extract.reading.notation) == ([], 0, "none seen")


def test_of_what_is_irregular_at_most_200_characters_are_kept(extract):
    extract(question(1, ViewCount="😀" * 500), question(2, Body="é" * 500)[:-20], question(3))
    kept = extract.frame("irregularities")["content"].to_list()
    assert [len(content) for content in kept] == [200, 200]
    assert kept[0] == "😀" * 200


@pytest.mark.parametrize("chunk", range(300, 311))
def test_a_row_that_is_longer_than_any_post_is_noted_and_the_next_one_is_read(extract, monkeypatch, chunk):
    monkeypatch.setattr(dump_rows, "LONGEST_ROW", 1000)
    monkeypatch.setattr(dump_rows, "_CHUNK", chunk)
    extract(question(1), question(2, Body="b" * 9_000), question(3), question(4, Body="b" * 5_000))
    assert extract.questions() == [1, 3]
    assert [entry[:4] for entry in extract.irregularities()] == [
        (2, 2, None, "is cut, or longer than any post"),
        (4, 4, None, "is cut, or longer than any post"),
    ]
    assert extract.reading.complete


@pytest.mark.parametrize(
    ("end", "cut"),
    [
        ("", []),
        ("\n", []),
        (LINE + question(3)[:50], [(3, 3, None, "is cut, or longer than any post", question(3)[:50])]),
        ("\n  <ro", [(2, 2, None, "is followed by something that is no row", "<ro")]),
        ("\n</pos", [(2, 2, None, "is followed by something that is no row", "</pos")]),
    ],
)
def test_of_a_file_that_ends_in_the_middle_everything_before_is_used(extract, end, cut):
    extract.of(HEAD + LINE.join([question(1), answer(2, 1)]) + end)
    assert (extract.questions(), extract.answers(), extract.reading.complete) == ([1], [2], False)
    assert extract.irregularities() == cut


@pytest.mark.slow
def test_wherever_a_file_ends_its_whole_rows_are_read(extract):
    content = HEAD + LINE.join([question(1), answer(2, 1), question(3)]) + "\n</posts>\n"
    for end in range(content.index("<row ") + 5, len(content) + 1, 3):
        extract.of(content[:end])
        assert len(extract.questions() + extract.answers()) == content[:end].count("/>")
        assert extract.reading.rows == content[:end].count("<row ")
        assert extract.reading.complete == ("</posts>" in content[:end])


# How the file is written, and how it is read


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("line", ["\n", "\r\n", "\n\n\t", ""])
def test_line_ends_and_a_byte_order_mark_make_no_difference(extract, mark, line):
    parts = ['<?xml version="1.0" encoding="utf-8"?>', "<posts>", question(1), answer(2, 1), question(3), "</posts>"]
    extract.of(mark + line.join(parts).encode())
    assert (extract.questions(), extract.answers()) == ([1, 3], [2])
    assert (extract.reading.rows, extract.reading.irregular, extract.reading.complete) == (3, 0, True)


@pytest.mark.parametrize("chunk", [*range(1, 12), 97, 4096])
def test_it_makes_no_difference_where_the_chunks_end(extract, monkeypatch, chunk):
    monkeypatch.setattr(dump_rows, "_CHUNK", chunk)
    extract(question(1, Body="日本 😀"), answer(2, 1), question(3)[:-30], question(4, notation=OLDER))
    assert extract.frame("questions")["body_html"].to_list() == ["日本 😀", "body 4"]
    assert (extract.answers(), extract.reading.irregular, extract.reading.complete) == ([2], 1, True)


def test_progress_is_logged_now_and_then(extract, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(dump_rows, "_CHUNK", 500_000)
    monkeypatch.setattr(dump_rows, "_LOG_EVERY", 1_000_000)
    extract.of(HEAD + question(1, Body="b" * 2_400_000))
    assert caplog.messages == [
        "Posts.xml: 0.0 GB read",
        "Posts.xml: 0.0 GB read",
    ]


def test_files_hold_a_batch_each_and_belong_to_their_owner_alone(extract, monkeypatch):
    monkeypatch.setattr(extraction, "_BATCH_ROWS", 2)
    extract(*(question(number, ViewCount="?") for number in range(1, 6)), answer(9, 1))
    found = {path.name: pl.read_parquet(path).height for path in (extract.out / "Keras").iterdir()}
    assert found == {
        "questions-00001.parquet": 2, "questions-00002.parquet": 2, "questions-00003.parquet": 1,
        "answers-00001.parquet": 1,
        "irregularities-00001.parquet": 2, "irregularities-00002.parquet": 2, "irregularities-00003.parquet": 1,
    }  # fmt: skip
    assert {path.stat().st_mode & 0o777 for path in extract.out.rglob("*.parquet")} == {0o600}


def test_a_batch_of_long_texts_holds_fewer_rows(extract, monkeypatch):
    monkeypatch.setattr(extraction, "_BATCH_BYTES", 10_000)
    extract(*(question(number, Body="b" * 4_000) for number in range(1, 6)))
    paths = sorted((extract.out / "Keras").glob("questions-*.parquet"))
    assert [pl.read_parquet(path)["post_id"].to_list() for path in paths] == [[1, 2, 3], [4, 5]]


def test_a_library_without_posts_has_files_without_rows(extract):
    extract(question(1))
    found = {path.name: pl.read_parquet(path) for path in (extract.out / "Torch").iterdir()}
    schemas = {
        "questions-00001.parquet": extraction.DUMP_QUESTIONS,
        "answers-00001.parquet": extraction.DUMP_ANSWERS,
        "irregularities-00001.parquet": extraction.ROW_PROBLEMS,
    }
    assert {name: frame.schema for name, frame in found.items()} == {n: pl.Schema(s) for n, s in schemas.items()}
    assert {frame.height for frame in found.values()} == {0}


# A large file, which several processes read


class Real(parallel_rows._Helper):
    """A helper that is remembered."""

    made: ClassVar[list["Real"]] = []

    def __init__(self, path: Path, parts: list[tuple[int, int]], tags: Iterable[str]) -> None:
        super().__init__(path, parts, tags)
        self.parts, self.asked = parts, 0
        self.relied_on: list[tuple[int, int]] = []
        self.made.append(self)

    def finishes_part(self) -> bool:
        self.asked += 1
        return super().finishes_part()

    def findings(self):
        self.relied_on.append(self.parts[self.asked - 1])
        return super().findings()

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None


@pytest.fixture
def helpers():
    with mock.patch.object(Real, "made", []):
        yield Real.made


#: Answers before and behind their questions, near and far; rows that are cut, planted, of no use, followed by a text.
MANY = [
    answer(1, 90), question(2, AcceptedAnswerId=60), question(3, "torch", Score=5), question(4, "python"),
    *(answer(number, number % 5) for number in range(5, 60)), question(60, "keras", "torch", notation=OLDER),
    answer(61, 2), answer(62, 60), question(1000000001), question(63)[:-20], answer(64, None), question(90),
    *(answer(number, number % 29) for number in range(91, 140)), answer(140, 2), question(1000000010) + "?",
    answer(141, 90), answer(142, 4) + "?", answer(143, 90, Score="?"), question(144, "lua")[:-9],
]  # fmt: skip
#: The answers that are taken for Keras.
FOUND = [*range(7, 60, 5), 61, 62, 118, 140, 141, 143, 1]


@pytest.fixture
def in_one(tmp_path):
    """What a single process makes of a file."""

    def read(rows: list[str]) -> Extract:
        (tmp_path / "in_one").mkdir()
        return Extract(tmp_path / "in_one")(*rows)

    return read


def is_the_same(extract: Extract, other: Extract) -> bool:
    for library in LIBRARIES:
        for kind in ("questions", "answers", "irregularities"):
            assert_frame_equal(extract.frame(kind, library), other.frame(kind, library))
    return extract.reading == other.reading


@pytest.mark.parametrize("processes", [2, 3, 5])
def test_several_processes_find_what_one_finds(tmp_path, in_one, helpers, processes):
    alone = in_one(MANY)
    with in_parts(1000, processes, Real):
        extract = Extract(tmp_path)(*MANY)
    assert is_the_same(extract, alone)
    assert extract.answers() == FOUND
    assert len(helpers) == processes - 1
    assert all(helper.relied_on == helper.parts for helper in helpers)


def test_a_part_whose_numbers_do_not_follow_is_read_without_help_and_so_is_what_comes_behind(tmp_path, in_one, helpers):
    rows = [*MANY[:100], question(7), *MANY[100:]]
    alone = in_one(rows)
    with in_parts(1000, 5, Real):
        extract = Extract(tmp_path)(*rows)
    assert is_the_same(extract, alone)
    parts = sorted(part for helper in helpers for part in helper.parts)
    relied_on = sorted(part for helper in helpers for part in helper.relied_on)
    assert relied_on == parts[: len(relied_on)]
    assert 0 < len(relied_on) < len(parts)


def test_where_helpers_fail_the_outcome_is_the_same(tmp_path, in_one, helpers, monkeypatch):
    alone = in_one(MANY)
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with in_parts(1000, 3, Real):
        extract = Extract(tmp_path)(*MANY)
    assert is_the_same(extract, alone)
    assert [helper.relied_on for helper in helpers] == [[], []]


class Dying(Helper):
    """A helper that ends while it says what it found in its second part."""

    def __init__(self, path: Path, parts: Iterable[tuple[int, int]], tags: Iterable[str]) -> None:
        super().__init__(path, parts, tags)
        self._summaries = io.BytesIO(self._summaries.read(parallel_rows._SUMMARY_BYTES + 8))


def test_where_helpers_end_half_way_the_outcome_is_the_same(tmp_path, in_one):
    alone = in_one(MANY)
    with in_parts(1000, 3, Dying):
        assert is_the_same(Extract(tmp_path)(*MANY), alone)


def test_where_helpers_cannot_be_started_the_outcome_is_the_same(tmp_path, in_one, helpers, monkeypatch):
    alone = in_one(MANY)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no such program"))
    with in_parts(1000, 3, Real):
        extract = Extract(tmp_path)(*MANY)
    assert is_the_same(extract, alone)
    assert helpers == []


def test_a_small_file_is_read_by_one_process(tmp_path, helpers):
    with in_parts(1 << 20, 8, Real):
        assert Extract(tmp_path)(*MANY).answers() == FOUND
    assert helpers == []


def test_helpers_are_ended_when_reading_fails(tmp_path, helpers):
    extract = Extract(tmp_path)
    extract.path.write_text(HEAD + LINE.join([*MANY, question(145)]) + "<posts>" + LINE.join(MANY))
    with in_parts(1000, 3, Real):
        assert message(extract) == f"{extract.path} contains several dumps. Name Stack Overflow's Posts.xml alone."
    assert [helper.is_running for helper in helpers] == [False, False]


# What is no dump


def message(extract: Extract) -> str:
    with pytest.raises(DlbugError) as error:
        extract.read()
    return str(error.value)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty, or an archive without a Posts.xml"),
        (b"hello", "is not a Posts.xml: it does not begin with <posts>"),
        (b'<?xml version="1.0"?><users><row Id="1" /></users>', "is not a Posts.xml: it does not begin with <posts>"),
        ("<posts><row /></posts>".encode("utf-16"), "is not a Posts.xml: it does not begin with <posts>"),
        (b" " * 4090 + b"<posts><row />", "is not a Posts.xml: it does not begin with <posts>"),
        (b"<posts></posts>", "has no rows"),
    ],
)
def test_a_file_that_is_no_dump_is_refused(extract, content, complaint):
    extract.path.write_bytes(content)
    assert message(extract) == f"{extract.path} {complaint}. {NAME_IT}"


def test_several_dumps_in_a_row_are_refused(extract):
    extract.path.write_text(2 * (HEAD + question(1) + "</posts>\n"))
    assert message(extract) == f"{extract.path} contains several dumps. Name Stack Overflow's Posts.xml alone."


def test_a_file_that_is_not_there_is_named(extract):
    assert message(extract) == f"{extract.path} does not exist. {NAME_IT}"


@pytest.mark.parametrize("name", ["Posts.xml", "posts.7z"])
def test_a_folder_is_no_file(extract, name):
    extract.path = extract.folder / name
    extract.path.mkdir()
    assert message(extract) == f"{extract.path} is not a file. {NAME_IT}"


def test_a_file_that_cannot_be_read_is_named(extract):
    extract.path = Path("/proc/self/mem")  # whoever asks, its beginning cannot be read
    if not extract.path.exists():
        pytest.skip("there is no /proc here")
    assert message(extract) == f"cannot read {extract.path}: Input/output error. {NAME_IT}"


def test_a_folder_that_cannot_be_written_or_is_not_empty_is_named(extract):
    extract(question(1))
    scope = {"min_score": 6, "created_from": None, "created_until": None}
    for folder, why in [(extract.out / "Keras", "File exists"), (extract.out / "none", "No such file or directory")]:
        with pytest.raises(DlbugError) as error:
            extraction.extract(extract.path, {"Keras": ["keras"]}, {"Keras": folder}, **scope)
        assert str(error.value) == (
            f"cannot write {folder}/questions-00001.parquet: {why}. "
            "Its folder must be empty and writable, with space on its disk."
        )


def test_a_disk_that_fills_is_said(extract):
    extract(question(1))
    # Texts that cannot be packed, more than there is room for.
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


# Archives


@pytest.fixture
def packed(extract):
    """An archive of some files, given as name and content, to be read instead of Posts.xml."""

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
    """Every process that was started to unpack something."""
    started = []

    class Noted(subprocess.Popen):
        def __init__(self, *arguments, **options) -> None:
            super().__init__(*arguments, **options)
            if self.args[1] == "e":
                started.append(self)

    monkeypatch.setattr(dump_rows.subprocess, "Popen", Noted)
    return started


SMALL = HEAD + LINE.join([question(1, AcceptedAnswerId=3), answer(2, 1), answer(3, 1), question(4)[:-9]]) + "\n</posts>"


@needs_7z
@pytest.mark.parametrize("inside", ["Posts.xml", "stackoverflow.com/dump of 2024/Posts.xml"])
@pytest.mark.parametrize("name", ["posts.7z", "-so.7Z", "@posts [*?] é.7z"])
def test_an_archive_gives_what_the_file_in_it_gives(extract, packed, processes, inside, name):
    plain = extract.of(SMALL).reading
    frames = [extract.frame(kind) for kind in ("questions", "answers", "irregularities")]
    packed({inside: SMALL, "OtherPosts.xml": "no", "Posts.xml.txt": "no", "Users.xml": "no"}, name=name)
    assert extract.read().reading == plain
    for kind, frame in zip(("questions", "answers", "irregularities"), frames, strict=True):
        assert_frame_equal(extract.frame(kind), frame)
    assert [process.returncode for process in processes] == [0]
    assert list(extract.folder.rglob("Posts.xml")) == [
        extract.folder / "Posts.xml",
        extract.folder / "packing" / inside,
    ]


@needs_7z
def test_a_relative_name_that_looks_like_an_option_is_a_name(extract, packed, monkeypatch):
    packed({"Posts.xml": SMALL}, name="-x.7z")
    monkeypatch.chdir(extract.folder)
    extract.path = Path("-x.7z")
    assert extract.read().questions() == [1]


@needs_7z
def test_an_archive_whose_name_looks_like_a_pattern_is_that_one_alone(extract, packed):
    packed({"Posts.xml": HEAD + question(2) + "</posts>"}, name="posts 1.7z")
    packed({"Posts.xml": HEAD + question(1) + "</posts>"}, name="posts 2.7z").rename(extract.folder / "posts ?.7z")
    extract.path = extract.folder / "posts ?.7z"
    assert extract.read().questions() == [1]


@needs_7z
def test_of_an_archive_whose_path_climbs_nothing_is_written_anywhere(extract, packed):
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
def test_an_archive_without_posts_is_refused(extract, packed):
    packed({"Users.xml": "<users></users>", "MyPosts.xml": SMALL})
    assert message(extract) == f"{extract.path} is empty, or an archive without a Posts.xml. {NAME_IT}"


@needs_7z
def test_an_archive_with_the_posts_of_several_sites_is_refused(extract, packed):
    packed({"a/Posts.xml": HEAD + question(1) + "</posts>", "b/Posts.xml": HEAD + question(1) + "</posts>"})
    assert message(extract) == f"{extract.path} contains several dumps. Name Stack Overflow's Posts.xml alone."


@needs_7z
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-psecret"], "ERROR: Data Error in encrypted file. Wrong password? : Posts.xml"),
        (["-psecret", "-mhe=on"], "Cannot open encrypted archive. Wrong password?"),
    ],
)
def test_an_encrypted_archive_is_refused_without_asking_for_a_password(extract, packed, processes, options, words):
    packed({"Posts.xml": SMALL}, *options)
    said = message(extract)
    assert said.startswith(f"{extract.path} cannot be unpacked: {words}")
    assert said.endswith(". Unpack it yourself and name the Posts.xml.")
    assert [process.returncode for process in processes] == [2]


@needs_7z
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda content: content[: len(content) // 2], "Unexpected end of archive"),
        (lambda _: b"this is no archive", "Is not archive"),
        (lambda _: b"", "Cannot open the file as archive"),
        (lambda content: content[:5000] + bytes(100) + content[5100:], "ERROR: Data Error : Posts.xml"),
    ],
)
def test_a_damaged_archive_is_refused_in_the_words_of_7z(extract, packed, processes, damage, words):
    # Numbers that hardly repeat, so that the archive is long and the damage lies in the data.
    content = HEAD + LINE.join(question(n, Body=str(math.sqrt(n))) for n in range(1, 5000)) + "</posts>"
    path = packed({"Posts.xml": content})
    path.write_bytes(damage(path.read_bytes()))
    said = message(extract)
    assert said.startswith(f"{path} cannot be unpacked: ")
    assert words in said
    assert said.endswith(". Download it again.")
    assert [process.returncode for process in processes] == [2]


@needs_7z
def test_no_process_is_left_when_reading_fails_in_the_middle(extract, packed, processes, monkeypatch):
    monkeypatch.setattr(dump_rows, "_CHUNK", 1000)
    monkeypatch.setattr(extraction, "_BATCH_ROWS", 20)
    # More than a pipe holds: 7z is still writing when the reader gives up.
    packed({"Posts.xml": HEAD + LINE.join(question(number, Body="b" * 1000) for number in range(1, 2000)) + "</posts>"})
    folder = extract.folder / "none"
    with pytest.raises(DlbugError) as error:
        extraction.extract(
            extract.path, {"A": ["keras"]}, {"A": folder}, min_score=6, created_from=None, created_until=None
        )
    # While the error is still at hand, and with it everything that was going on.
    assert [process.returncode for process in processes] == [-9]
    assert str(error.value).startswith(f"cannot write {folder}")


def test_without_a_program_for_archives_the_cure_is_named(extract, monkeypatch):
    extract.path = extract.folder / "posts.7z"
    extract.path.write_bytes(b"7z")
    monkeypatch.setenv("PATH", str(extract.folder))
    assert message(extract) == (
        f"{extract.path} needs a program to unpack it: install the package 7zip, or unpack it yourself."
    )


@needs_7z
@pytest.mark.parametrize("name", ["7zz", "7z", "7za", "7zr"])
def test_whichever_program_is_there_is_taken(extract, packed, monkeypatch, name):
    packed({"Posts.xml": SMALL})
    (extract.folder / name).symlink_to(SEVEN_ZIP)
    monkeypatch.setenv("PATH", str(extract.folder))
    assert extract.read().questions() == [1]


# Large files

READ_AND_WEIGH = """
import sys
from pathlib import Path
from dlbug_assets.stackoverflow.dump import extraction

path, folder = map(Path, sys.argv[1:])
reading = extraction.extract(
    path, {"Keras": ["keras"]}, {"Keras": folder}, min_score=6, created_from=None, created_until=None
)
status = Path("/proc/self/status").read_text()
peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
print(reading.questions["Keras"], reading.answers["Keras"], peak.split()[1])
"""


def weighed(path: Path) -> tuple[int, int, int]:
    """Questions, answers and the peak of memory in MiB of a process that reads a dump.

    The peak is the kernel's VmHWM: what getrusage calls ru_maxrss begins with that of the process that started it.
    """
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux tells a process its own peak")
    folder = path.parent / "Keras"
    folder.mkdir()
    command = [sys.executable, "-c", READ_AND_WEIGH, str(path), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    questions, answers, peak = map(int, done.stdout.split())
    return questions, answers, peak // 1024


@pytest.mark.slow
@pytest.mark.parametrize("body", ["x" * 1800, "😀" + "x" * 1800], ids=["narrow", "wide"])
def test_memory_stays_small_however_large_the_file_is(tmp_path, body):
    """A third of 150 MB is questions that are taken, a third their answers, a third of no interest."""
    path, count = tmp_path / "Posts.xml", 26_500
    templates = [
        question(1000, Body=body).replace("1000", "%(id)d"),
        answer(1000, 2000, Body=body).replace("1000", "%(id)d").replace("2000", "%(parent)d"),
        question(1000, "python", Body=body).replace("1000", "%(id)d"),
    ]
    with path.open("w") as file:
        file.write(HEAD)
        for kind, template in enumerate(templates):
            file.writelines(template % {"id": kind * count + number, "parent": number} for number in range(count))
        file.write("</posts>")
    assert path.stat().st_size > 150_000_000
    questions, answers, peak = weighed(path)
    assert (questions, answers) == (count, count)
    assert peak < 300


@pytest.mark.slow
def test_memory_stays_small_however_long_a_row_is(tmp_path):
    path = tmp_path / "Posts.xml"
    path.write_text(HEAD + question(1) + '<row Id="2" Body="' + "x" * 150_000_000 + '" />' + question(3) + "</posts>")
    questions, _, peak = weighed(path)
    assert questions == 2
    assert peak < 200
