"""Rows of a data dump, and a small dump with every kind of problem, the same at each call."""

import random
from collections.abc import Iterable
from xml.sax.saxutils import escape

HEAD = '<?xml version="1.0" encoding="utf-8"?>\n<posts>\n  '
LINE = "\n  "
#: The newer and the older notation of tags.
NEWER, OLDER = "|a|b|", "<a><b>"
CREATED = "2017-03-01T12:34:56.789"
#: Texts that look like something else.
_TEXTS = (
    "|keras|", "&lt;torch&gt;", " Tags=&quot;|keras|&quot;", "a\tb", "é 漢字 😀", "/>", "x &amp;gt; y", "&#xD;&#xA;",
)  # fmt: skip
_TAGS = ("keras", "torch", "pytorch", "keras-layer", "python", "c++")


def row(**attributes: object) -> str:
    """Return a row as the dump has it; attributes that are None are left out."""
    texts = {name: str(value) for name, value in attributes.items() if value is not None}
    references = {'"': "&quot;", "\n": "&#xA;", "\r": "&#xD;"}
    return "<row " + "".join(f'{name}="{escape(value, references)}" ' for name, value in texts.items()) + "/>"


def tagged(tags: Iterable[str], notation: str = NEWER) -> str:
    """Return tags in one of the two notations."""
    return f"|{'|'.join(tags)}|" if notation == NEWER else "".join(f"<{tag}>" for tag in tags)


def question(number: object, *tags: str, notation: str = NEWER, **attributes: object) -> str:
    """Return the row of a question, tagged keras by default, in scope and with some more attributes."""
    base = {"Id": number, "PostTypeId": 1, "CreationDate": CREATED, "Score": 7, "Body": f"body {number}"}
    return row(**base | {"Tags": tagged(tags or ["keras"], notation)} | attributes)


def answer(number: object, parent: object, **attributes: object) -> str:
    """Return the row of an answer to the question ``parent``, with some more attributes."""
    base = {"Id": number, "PostTypeId": 2, "ParentId": parent}
    return row(**base | {"CreationDate": CREATED, "Score": 1, "Body": f"re {parent}"} | attributes)


def dump_with_problems(
    rows: int, *, notation: str = NEWER, line: str = LINE, mark: bytes = b"", end: str = "</posts>"
) -> bytes:
    """Return a Posts.xml with ``rows`` ordinary rows, half of the questions with a wanted tag, and dozens of odd ones.

    Among these are answers before their questions, Ids that repeat or descend, planted posts, truncated and garbled
    rows.
    """
    choose = random.Random(19)  # noqa: S311 - no secrets
    content = [_post(choose, number, notation) for number in range(100, 100 + rows)]
    for number, odd in enumerate(_odd(notation)):
        content.insert(choose.randrange(len(content)), odd.replace("NUMBER", str(90_000 + number)))
    return mark + (HEAD + line.join(content) + line + end).encode()


def _raw_question(number: object, tags: str, more: str = "") -> str:
    body = f'Score="7" CreationDate="{CREATED}" Body="asked {number}"'
    return f'<row Id="{number}" PostTypeId="1" {body} Tags="{tags}" {more}/>'


def _raw_answer(number: object, parent: object, more: str = "") -> str:
    body = f'Score="1" CreationDate="{CREATED}" Body="re {parent}"'
    return f'<row Id="{number}" PostTypeId="2" ParentId="{parent}" {body} {more}/>'


def _post(choose: random.Random, number: int, notation: str) -> str:
    text = "".join(choose.choices(_TEXTS, k=3)) + "." * choose.randrange(300)
    if number % 3:
        return _raw_answer(number, choose.randrange(100, number + 20)).replace("re ", f"re {text} ")
    tags = escape(tagged(choose.sample(_TAGS, k=2), notation))
    accepted = f'AcceptedAnswerId="{number + 1}" ViewCount="{choose.randrange(99)}" OwnerUserId="{number}" '
    score = f'Score="{choose.randrange(4, 9)}"'
    return _raw_question(number, tags, accepted).replace('Score="7"', score).replace("asked ", f"{text} ")


def _odd(notation: str) -> list[str]:
    keras = escape(tagged(["keras"], notation))
    question, answer = _raw_question, _raw_answer
    return [
        question("NUMBER", keras, 'ViewCount="many" AnswerCount="1.5" OwnerUserId="me" LastActivityDate="now" '),
        question("NUMBER", keras).replace(CREATED, "2017-02-30T00:00:00.000"),
        question("NUMBER", keras).replace('Score="7"', 'Score="high"'),
        question("NUMBER", keras).replace('Id="NUMBER" ', "", 1),
        question("NUMBER", "keras torch"),
        question("NUMBER", keras, 'Title="&custom;" '),
        question("NUMBER", keras)[:-70],
        question("NUMBER", keras) + 'eation="2017" Body="x',
        question("NUMBER", keras).replace("asked", "&#107;" * 2_000),
        question(102, keras), question(105, keras), question(1_000_000_001, keras), answer(1_000_000_010, 102),
        answer(103, 102), answer(104, 102), answer("NUMBER", 102), answer("NUMBER", 199), answer("four", 105),
        answer("NUMBER", "one"), answer("NUMBER", 105).replace('ParentId="105" ', ""),
        answer("NUMBER", 105).replace('PostTypeId="2" ', ""), answer("NUMBER", 105)[:-40],
        '<row Id="NUMBER" PostTypeId="5" Body="a wiki" />', "<row />", '<row Id="1', "<!-- no row -->",
    ]  # fmt: skip
