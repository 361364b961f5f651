"""A small dump with everything in it that can go wrong, the same at each call."""

import random

BEGIN = '<?xml version="1.0" encoding="utf-8"?>\n<posts>\n  '
WHEN = "2017-03-01T12:34:56.789"
#: Texts that look like something else.
_TEXTS = (
    "|keras|", "&lt;torch&gt;", " Tags=&quot;|keras|&quot;", "a\tb", "é 漢字 😀", "/>", "x &amp;gt; y", "&#xD;&#xA;",
)  # fmt: skip
_TAGS = ("keras", "torch", "pytorch", "keras-layer", "python", "c++")


def trapped(
    rows: int, *, notation: str = "|a|b|", line: str = "\n  ", mark: bytes = b"", end: str = "</posts>"
) -> bytes:
    """A Posts.xml with so many ordinary rows, half of them with a tag of interest, and dozens that are not as they
    should be: answers before their questions, numbers that come twice or fall, planted posts, rows cut or garbled."""
    choose = random.Random(19)  # noqa: S311 - no secrets
    written = [_post(choose, number, notation) for number in range(100, 100 + rows)]
    for number, odd in enumerate(_odd(notation)):
        written.insert(choose.randrange(len(written)), odd.replace("NUMBER", str(90_000 + number)))
    return mark + (BEGIN + line.join(written) + line + end).encode()


def question(number: object, tags: str, more: str = "") -> str:
    body = f'Score="7" CreationDate="{WHEN}" Body="asked {number}"'
    return f'<row Id="{number}" PostTypeId="1" {body} Tags="{tags}" {more}/>'


def answer(number: object, parent: object, more: str = "") -> str:
    body = f'Score="1" CreationDate="{WHEN}" Body="re {parent}"'
    return f'<row Id="{number}" PostTypeId="2" ParentId="{parent}" {body} {more}/>'


def _tagged(tags: list[str], notation: str) -> str:
    return f"|{'|'.join(tags)}|" if notation == "|a|b|" else "".join(f"&lt;{tag}&gt;" for tag in tags)


def _post(choose: random.Random, number: int, notation: str) -> str:
    text = "".join(choose.choices(_TEXTS, k=3)) + "." * choose.randrange(300)
    if number % 3:
        return answer(number, choose.randrange(100, number + 20)).replace("re ", f"re {text} ")
    tags = _tagged(choose.sample(_TAGS, k=2), notation)
    accepted = f'AcceptedAnswerId="{number + 1}" ViewCount="{choose.randrange(99)}" OwnerUserId="{number}" '
    score = f'Score="{choose.randrange(4, 9)}"'
    return question(number, tags, accepted).replace('Score="7"', score).replace("asked ", f"{text} ")


def _odd(notation: str) -> list[str]:
    keras = _tagged(["keras"], notation)
    return [
        question("NUMBER", keras, 'ViewCount="many" AnswerCount="1.5" OwnerUserId="me" LastActivityDate="now" '),
        question("NUMBER", keras).replace(WHEN, "2017-02-30T00:00:00.000"),
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
