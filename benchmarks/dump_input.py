"""Generate a synthetic Posts.xml of any size, with the same bytes on every machine."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

TAGS = ("caffe", "keras", "tensorflow", "theano", "torch")
_SEED = 20190826
_LETTERS = "etaoinshrdlucmfw"
_TRAPS = ("|keras|", "&amp;lt;torch&gt;", "a\tb", "&lt;keras&gt;", "é ü 漢字", "&quot;x&quot;", "x &amp;gt; y")
#: Other tags, some of which contain one of ``TAGS``.
_OTHERS = ("python", "keras-layer", "pytorch", "tf.keras", "c++", "numpy", "pandas", "docker", "caffe2", "lua", "r")
#: Share of questions with one of the tags; with their answers, they are some 1.3% of the rows.
_SHARE = 0.013
_BLOCK = 4_000


def write_dump(path: Path, rows: int, *, seed: int = _SEED, notation: str = "|a|b|") -> None:
    """Write a Posts.xml with ascending Ids and some 1.3 KB per row; two of three rows are answers.

    Some bodies have raw tabs and texts that look like tags, and one answer in 2,000 precedes its question.
    """
    letters = random.Random(seed)  # noqa: S311 - synthetic texts, no secrets
    texts = [_text(letters) for _ in range(997)]
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write('\ufeff<?xml version="1.0" encoding="utf-8"?>\r\n<posts>\r\n')
        block: list[str] = []
        for row in _rows(letters, rows, texts, notation):
            block.append(row)
            if len(block) == _BLOCK:
                file.writelines(block)
                block = []
        file.writelines(block)
        file.write("</posts>")


def _shuffled(rows: list[bytes]) -> list[bytes]:
    return random.Random(_SEED).sample(rows, len(rows))  # noqa: S311 - no secrets


#: Orders other than ascending Ids.
ORDERS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "descending": lambda rows: rows[::-1],
    "shuffled": _shuffled,
    "answers_first": lambda rows: sorted(rows, key=lambda row: b' PostTypeId="2"' not in row[:50]),
}


def write_in_order(path: Path, dump: Path, arrange: Callable[[list[bytes]], list[bytes]]) -> None:
    """Write the rows of a dump of :func:`write_dump` in another order; all of them are in memory."""
    head, *rows = dump.read_bytes().removesuffix(b"</posts>").split(b"  <row ")
    with path.open("wb") as file:
        file.write(head)
        file.writelines(b"  <row " + row for row in arrange(rows))
        file.write(b"</posts>")


def _rows(letters: random.Random, rows: int, texts: list[str], notation: str) -> Iterator[str]:
    chance, pick = letters.random, letters.randrange
    questions: list[int] = []
    promised: list[int] = []  # Ids of questions whose answer is already written
    number = 3
    for _ in range(rows):
        step = 1 + pick(3)
        is_promised = bool(promised) and promised[0] <= number + step
        number = promised.pop() if is_promised else number + step
        texts_of_row = texts[pick(997)] + texts[pick(997)]
        day = f"20{10 + pick(14)}-{1 + pick(12):02}-{1 + pick(28):02}T{pick(24):02}:{pick(60):02}:11.{pick(1000):03}"
        common = (
            f'CreationDate="{day}" Score="{pick(40) - 5}" %sBody="{texts_of_row}" OwnerUserId="{pick(9_000_000)}" '
            f'LastActivityDate="{day}" '
        )
        licensed = f'CommentCount="{pick(9)}" ContentLicense="CC BY-SA 4.0" />\r\n'
        # Two answers per question.
        if is_promised or not questions or chance() < 0.34:  # noqa: PLR2004
            own = [_OTHERS[pick(len(_OTHERS))] for _ in range(1 + pick(4))]
            if chance() < _SHARE:
                own.insert(pick(len(own) + 1), TAGS[pick(len(TAGS))])
            own = list(dict.fromkeys(own))
            tags = f"|{'|'.join(own)}|" if notation == "|a|b|" else "".join(f"&lt;{tag}&gt;" for tag in own)
            questions.append(number)
            accepted = f'AcceptedAnswerId="{number + 1 + pick(9)}" ' if chance() < 0.5 else ""  # noqa: PLR2004
            yield (
                f'  <row Id="{number}" PostTypeId="1" {accepted}{common % f"""ViewCount="{pick(99_999)}" """}'
                f'Title="{texts_of_row[3:60].replace("&", "")}" Tags="{tags}" AnswerCount="{pick(5)}" {licensed}'
            )
        else:
            parent = questions[-1 - min(int(letters.expovariate(0.01)), len(questions) - 1)]
            if not promised and chance() < 0.0005:  # noqa: PLR2004 - one in 2,000
                parent = number + 40
                promised.append(parent)
            yield f'  <row Id="{number}" PostTypeId="2" ParentId="{parent}" {common % ""}{licensed}'


def _text(letters: random.Random) -> str:
    """Return half a body: some 500 characters, escaped as in the dump."""
    words = ["".join(letters.choices(_LETTERS, k=letters.randint(1, 9))) for _ in range(80)]
    code = "".join(letters.choices("0123456789abcdef(){}=_", k=90))
    # A few look like tags.
    trap = letters.choice([*_TRAPS, *["print(x)"] * 300])
    code = f"&lt;pre&gt;&lt;code&gt;{code} {trap}&lt;/code&gt;&lt;/pre&gt;"
    return f"&lt;p&gt;{' '.join(words)}&lt;/p&gt;&#xA;{code}&#xA;"
