"""Extraction from a dump, compared with a parser that reads the whole file."""

import re
import tempfile
from datetime import date, datetime
from pathlib import Path
from unittest import mock
from xml.etree import ElementTree

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from dlbug_assets.stackoverflow.dump import extraction, unpacking
from support.dump_extraction import LIBRARIES, Extract, in_parts
from support.dumps import CREATED, NEWER, OLDER, question, row, tagged

ALPHABET = st.characters(exclude_categories=("Cs", "Cc", "Cn"), include_characters="\n\r")


TRAPS = [
    "|keras|", "<keras>", "&lt;keras&gt;", "|", "\n", "\r\n", "\t", '"', "'", "/>", '" />', "<row ", "</posts>",
    "<posts>", ' Tags="|keras|"', ' ParentId="1"', ' Id="1000000001"', "]]>", "&", "&amp;", "é", "日本", "😀", "<!--",
]  # fmt: skip


TEXTS = st.none() | st.lists(st.sampled_from(TRAPS) | st.text(ALPHABET, max_size=8), max_size=6).map("".join)


TAGS = ["keras", "keras-layer", "tf.keras", "torch", "pytorch", "torchvision", "c++", "c#", "tensorflow2.0", "python"]


NUMBERS = st.integers(1, 25)


MOMENTS = st.sampled_from(
    [
        CREATED,
        "2016-12-31T23:59:59.999",
        "2017-01-01T00:00:00.000",
        "2017-12-31T23:59:59.997",
        "2018-01-01T00:00:00.000",
    ]
)


@st.composite
def posts(draw):
    """Draw rows as attributes, in any order; the tags are a list."""
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
    """Return questions and answers, found by two readings of the whole file with the standard library's parser."""

    def rows(kind: str):
        for _, element in ElementTree.iterparse(path):  # noqa: S314 - made by these tests
            if element.tag == "row" and element.get("PostTypeId") == kind:
                yield element

    def number(element, name):
        return None if element.get(name) is None else int(element.get(name))

    def time(element, name):
        value = element.get(name)
        return None if value is None else datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%f")

    questions = []
    for element in rows("1"):
        own = re.findall("[^<>|]+", element.attrib["Tags"])
        score, created = int(element.attrib["Score"]), datetime.fromisoformat(element.attrib["CreationDate"])
        if tags & set(own) and score >= 6 and first <= created.date() <= last:
            questions.append(
                (number(element, "Id"), element.get("Title"), element.get("Body"), own, score,
                 number(element, "ViewCount"), number(element, "AnswerCount"), number(element, "AcceptedAnswerId"),
                 created, time(element, "LastActivityDate"), element.get("OwnerUserId"), element.get("ContentLicense"),
                 True)
            )  # fmt: skip
    accepted = {entry[0]: entry[7] for entry in questions}
    answers = []
    for element in rows("2"):
        own, parent = number(element, "Id"), number(element, "ParentId")
        if parent in accepted:
            answers.append(
                (own, parent, number(element, "Score"), own == accepted[parent], element.get("Body"),
                 time(element, "CreationDate"), time(element, "LastActivityDate"), element.get("OwnerUserId"),
                 element.get("ContentLicense"))
            )  # fmt: skip
    return (
        pl.DataFrame(questions, schema=extraction.DUMP_QUESTIONS, orient="row"),
        pl.DataFrame(answers, schema=extraction.DUMP_ANSWERS, orient="row"),
    )


FIRST, LAST = date(2017, 1, 1), date(2017, 12, 31)


def assert_matches_the_parser(extract: Extract) -> None:
    """Assert that the parser of the whole file finds the same, with answers in any order."""
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
def test_extraction_matches_a_parser_of_the_whole_file(posts, notation, layout, chunk, part):
    line, mark, greater = layout
    rows = [row(**post | ({"Tags": tagged(post["Tags"], notation)} if "Tags" in post else {})) for post in posts]
    rows.append(question(26, "python", notation=notation))
    content = f'<?xml version="1.0"?>{line}<posts>{line}{line.join(rows)}{line}</posts>{line}'
    # A value may contain a literal >, except that the older notation of tags always has references.
    content = re.sub(r'(Body|Title)="([^"]*)"', lambda hit: hit[0].replace("&gt;", greater), content)
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(unpacking, "_CHUNK", chunk), in_parts(part):
        extract = Extract(Path(folder))
        extract.from_content(mark + content.encode(), created_from=FIRST, created_until=LAST)
        assert_matches_the_parser(extract)
        assert extract.irregularities() == []
        assert (extract.reading.rows, extract.reading.complete) == (len(rows), True)
        assert extract.reading.notation == notation


#: The order of attributes in every dump so far.
STANDARD_ORDER = ["Id", "PostTypeId", "AcceptedAnswerId", "ParentId", "CreationDate", "Score", "Body", "Title", "Tags"]


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
def test_extraction_from_the_standard_layout_matches_a_parser_of_the_whole_file(posts, notation, line, sizes, odd):
    chunk, part = sizes
    rows = []
    for post in posts:
        fields = {name: post[name] for name in sorted(post, key=[*STANDARD_ORDER, *post].index)}
        rows.append(row(**fields | ({"Tags": tagged(post["Tags"], notation)} if "Tags" in post else {})))
    # The second row, a planted one, shows the bytes between rows.
    rows = [row(Id=0, PostTypeId=4), row(Id=1000000001, PostTypeId=4), *rows, *filter(None, [odd])]
    content = f"<posts>{line}{line.join(rows)}{line}</posts>"
    small = mock.patch.object(unpacking, "_CHUNK", chunk)
    with tempfile.TemporaryDirectory() as folder, small, in_parts(part):
        extract = Extract(Path(folder))
        extract.from_content(content, created_from=FIRST, created_until=LAST)
        assert_matches_the_parser(extract)
        assert (extract.reading.rows, extract.reading.planted) == (content.count("<row "), 1)
        assert extract.reading.irregular == (odd == "<!-- -->")
