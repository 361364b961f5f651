"""Run one side of a comparison of dumps or histories: `python -m benchmarks.extraction TASK ARGUMENTS... REPLY`.

As in sides.py, it does its task once and writes a JSON object to the file REPLY: the seconds of the task, and its
result. The result is brought into a comparable form after the clock has stopped.
"""

import hashlib
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.dump_input import ORDERS, TAGS, write_dump, write_in_order

_SEED = 20190826
_PATTERN = r"(?i)(^|[^a-z])(bug|hot)?fix(es|ed|ing)?([^a-z]|$)"
#: As in Keras' repository: some 500 files of 10 KB in 100 nested folders, of which a commit changes 4 on average.
_FILES = 500
_LINES = 400
_CHANGED = 7
_DELIMITED = [f"|{tag}|" for tag in TAGS]


def prepare_dump(folder: str, rows: str) -> dict[str, Any]:
    """Generate Posts.xml and posts.7z, if missing."""
    path, packed = Path(folder, "Posts.xml"), Path(folder, "posts.7z")
    if not path.exists():
        unfinished = path.with_suffix(".unfinished")
        write_dump(unfinished, int(rows))
        unfinished.rename(path)
    if not packed.exists() and (program := shutil.which("7zz")):
        _run([program, "a", "-mx=1", "-bd", str(packed.with_suffix(".unfinished.7z")), str(path)])
        packed.with_suffix(".unfinished.7z").rename(packed)
    return {}


def prepare_orders(folder: str, rows: str) -> dict[str, Any]:
    """Generate ascending.xml and the same rows in the other orders of ORDERS, if missing."""
    path = Path(folder, "ascending.xml")
    if not path.exists():
        unfinished = path.with_suffix(".unfinished")
        write_dump(unfinished, int(rows))
        unfinished.rename(path)
    for order, arrange in ORDERS.items():
        target = Path(folder, f"{order}.xml")
        if not target.exists():
            write_in_order(target.with_suffix(".unfinished"), path, arrange)
            target.with_suffix(".unfinished").rename(target)
    return {}


def dump_ours(dump: str) -> dict[str, Any]:
    """Extract all questions with the tags and their answers to Parquet."""
    from dlbug_assets.stackoverflow.dump.extraction import extract  # noqa: PLC0415 - the other sides don't need it

    with tempfile.TemporaryDirectory(prefix="dlbug-bench-") as folder:
        folders = {tag: Path(folder, tag) for tag in TAGS}
        for own in folders.values():
            own.mkdir()
        libraries = {tag: [tag] for tag in TAGS}
        began = time.perf_counter()
        reading = extract(
            Path(dump), libraries, folders, min_score=-(10**9), created_from=None, created_until=None
        )  # fmt: skip
        seconds = time.perf_counter() - began
        return {"seconds": seconds, "rows": reading.rows, **_posts(Path(folder))}


def dump_lxml(dump: str) -> dict[str, Any]:
    """Do the same with lxml's iterparse in one pass; as in ours, answers before their question are kept until then."""
    import polars as pl  # noqa: PLC0415
    from lxml import etree  # noqa: PLC0415  # pyright: ignore[reportAttributeAccessIssue] - C extension without stubs

    from dlbug_assets.stackoverflow.dump.extraction import DUMP_ANSWERS, DUMP_QUESTIONS  # noqa: PLC0415

    def number(row: Any, name: str) -> int | None:
        return int(row.get(name)) if row.get(name) else None

    def shared(row: Any) -> dict[str, Any]:
        return {
            "score": int(row.get("Score")),
            "body_html": row.get("Body"),
            "created_at": datetime.fromisoformat(row.get("CreationDate")),
            "last_activity_at": datetime.fromisoformat(row.get("LastActivityDate")),
            "owner_id": row.get("OwnerUserId"),
            "content_license": row.get("ContentLicense"),
        }

    with tempfile.TemporaryDirectory(prefix="dlbug-bench-") as folder:
        began = time.perf_counter()
        questions: dict[str, list[dict[str, Any]]] = {tag: [] for tag in TAGS}
        answers: dict[str, list[dict[str, Any]]] = {tag: [] for tag in TAGS}
        homes: dict[int, list[tuple[str, int | None]]] = {}
        early: list[dict[str, Any]] = []

        def place(answer: dict[str, Any]) -> None:
            for tag, accepted in homes.get(answer["post_id"], ()):
                answers[tag].append(answer | {"is_accepted": answer["answer_id"] == accepted})

        for _, row in etree.iterparse(dump, tag="row"):
            own = int(row.get("Id"))
            if row.get("PostTypeId") == "1":
                tags = row.get("Tags").strip("|").split("|")
                for tag in (tag for tag in tags if tag in questions):
                    accepted = number(row, "AcceptedAnswerId")
                    homes.setdefault(own, []).append((tag, accepted))
                    questions[tag].append(
                        shared(row) | {
                            "post_id": own, "title": row.get("Title"), "tags": tags, "accepted_answer_id": accepted,
                            "view_count": number(row, "ViewCount"), "answer_count": number(row, "AnswerCount"),
                            "in_scope": True,
                        }
                    )  # fmt: skip
            elif (parent := int(row.get("ParentId"))) in homes or parent > own:
                answer = shared(row) | {"answer_id": own, "post_id": parent}
                place(answer) if parent in homes else early.append(answer)
            row.clear()
            while row.getprevious() is not None:
                del row.getparent()[0]
        for answer in early:
            place(answer)
        for tag in TAGS:
            Path(folder, tag).mkdir()
            pl.DataFrame(questions[tag], schema=DUMP_QUESTIONS).write_parquet(Path(folder, tag, "questions-1.parquet"))
            pl.DataFrame(answers[tag], schema=DUMP_ANSWERS).write_parquet(Path(folder, tag, "answers-1.parquet"))
        seconds = time.perf_counter() - began
        return {"seconds": seconds, **_posts(Path(folder))}


def dump_ripgrep(dump: str) -> dict[str, Any]:
    """Write the lines that contain one of the delimited tags, without parsing and without answers."""
    with tempfile.NamedTemporaryFile() as found:
        words = [argument for word in _DELIMITED for argument in ("-e", word)]
        began = time.perf_counter()
        subprocess.run(  # noqa: S603
            [str(shutil.which("rg")), "--no-config", "-F", *words, dump], stdout=found, check=True
        )  # fmt: skip
        seconds = time.perf_counter() - began
        numbers = set()
        for line in Path(found.name).read_text(encoding="utf-8").splitlines():
            number, tags = re.search(r' Id="(\d+)"', line), re.search(r' Tags="([^"]*)"', line)
            if number and tags and any(word in tags.group(1) for word in _DELIMITED):
                numbers.add(int(number.group(1)))
        return {"seconds": seconds, "numbers": _digest(sorted(numbers))}


def archive_bare(packed: str) -> dict[str, Any]:
    """Unpack with 7zz alone and discard the output; its rows are counted afterwards."""
    command = [str(shutil.which("7zz")), "e", "-so", "-bso0", "-bsp0", packed]
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)  # noqa: S603
    seconds = time.perf_counter() - began
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: S603
        rows = sum(b"<row " in line for line in process.stdout or ())
    return {"seconds": seconds, "rows": rows}


def prepare_history(folder: str, commits: str) -> dict[str, Any]:
    """Generate a repository with a number of commits, without merges; one in five is a fix."""
    path = Path(folder, "repository")
    if path.exists():
        return {}
    unfinished = Path(folder, "repository.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    _run(["git", "init", "-q", "-b", "main", str(unfinished)])
    with subprocess.Popen(  # noqa: S603
        ["git", f"--git-dir={unfinished}/.git", "fast-import", "--quiet"],  # noqa: S607
        stdin=subprocess.PIPE,
    ) as process:
        assert process.stdin  # noqa: S101 - a pipe
        process.stdin.writelines(_commits(int(commits)))
    _run(["git", "-C", str(unfinished), "reset", "-q", "--hard"])
    _run(["git", "-C", str(unfinished), "repack", "-q", "-a", "-d"])
    unfinished.rename(path)
    return {}


def _commits(count: int) -> Iterable[bytes]:
    letters = random.Random(_SEED)  # noqa: S311 - synthetic code, no secrets
    files = [[f"line {letters.random()}" for _ in range(_LINES)] for _ in range(_FILES)]
    for number in range(count):
        word = letters.choice(["Fix", "Add", "Refactor", "Update", "Document"])
        message = f"{word} thing {number}\n\nBecause of #{number}.".encode()
        yield b"commit refs/heads/main\ncommitter J <j@example.org> %d +0000\n" % (1_400_000_000 + 3600 * number)
        yield b"data %d\n%b\n" % (len(message), message)
        for place in letters.sample(range(_FILES), letters.randint(1, _CHANGED)):
            lines = files[place]
            at = letters.randrange(len(lines) - 10)
            lines[at : at + letters.randint(0, 6)] = [f"line {letters.random()}" for _ in range(letters.randint(1, 7))]
            content = "\n".join(lines).encode()
            name = b"src/%d/%d/f%d.py" % (place % 10, place % 100, place)
            yield b"M 100644 inline %b\ndata %d\n%b\n" % (name, len(content), content)


def history_ours(repository: str) -> dict[str, Any]:
    """Read the titles, then files and lines of the fix commits only."""
    from dlbug_assets.github.clones.git import Clone  # noqa: PLC0415

    pattern = re.compile(_PATTERN)
    clone = Clone(Path(repository, ".git"), repository)
    began = time.perf_counter()
    hits = (commit for commit in clone.commits("refs/heads/main") if pattern.search(commit.title))
    found = clone.numstat({commit.sha: commit.parents[:1] for commit in hits})
    seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        **_changes((sha, own.files, own.additions, own.deletions) for sha, own in found.items()),
    }


def history_pydriller(repository: str) -> dict[str, Any]:
    """Do the same with PyDriller."""
    from pydriller import Repository  # noqa: PLC0415

    pattern = re.compile(_PATTERN)
    began = time.perf_counter()
    found = [
        (commit.hash, len(files), sum(file.added_lines for file in files), sum(file.deleted_lines for file in files))
        for commit in Repository(repository).traverse_commits()
        if pattern.search(commit.msg.split("\n", 1)[0])
        for files in [commit.modified_files]
    ]
    seconds = time.perf_counter() - began
    return {"seconds": seconds, **_changes(found)}


def history_diff_tree(repository: str) -> dict[str, Any]:
    """Run git diff-tree alone, given the fix commits."""
    git = ["git", "-C", repository]
    titles = subprocess.run([*git, "log", "--format=%H %s"], capture_output=True, check=True, text=True)  # noqa: S603
    commits = [line.split(" ", 1) for line in titles.stdout.splitlines()]
    hits = "".join(f"{sha}\n" for sha, title in commits if re.search(_PATTERN, title))
    began = time.perf_counter()
    done = subprocess.run(  # noqa: S603
        [*git, "diff-tree", "--stdin", "--root", "-r", "--no-renames", "--numstat"],
        input=hits, capture_output=True, check=True, text=True,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    found, sha = {}, ""
    for line in done.stdout.splitlines():
        if "\t" in line:
            files, additions, deletions = found[sha]
            added, deleted, _ = line.split("\t")
            found[sha] = files + 1, additions + int(added), deletions + int(deleted)
        else:
            sha = line
            found[sha] = 0, 0, 0
    return {"seconds": seconds, **_changes((sha, *counts) for sha, counts in found.items())}


def _posts(folder: Path) -> dict[str, Any]:
    """Return counts and digests of the Parquet files, independent of the order of rows."""
    import polars as pl  # noqa: PLC0415

    found: dict[str, Any] = {}
    numbers: set[int] = set()
    for kind, key in (("questions", "post_id"), ("answers", "answer_id")):
        for tag in TAGS:
            frame = pl.concat([pl.read_parquet(path) for path in sorted(Path(folder, tag).glob(f"{kind}-*"))]).sort(key)
            found[f"{tag}.{kind}"] = [frame.height, _digest(frame.select(sorted(frame.columns)).rows())]
            if kind == "questions":
                numbers |= set(frame[key])
    return {"posts": found, "numbers": _digest(sorted(numbers))}


def _changes(commits: Iterable[tuple[str, int, int, int]]) -> dict[str, Any]:
    """Return the number of files, and a digest of the files and the added and deleted lines of each commit."""
    rows = sorted(commits)
    return {"changes": {"files": sum(files for _, files, _, _ in rows), "digest": _digest(rows)}}


def _digest(rows: Any) -> str:
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603


_TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    task.__name__: task
    for task in (
        prepare_dump, prepare_orders, dump_ours, dump_lxml, dump_ripgrep, archive_bare,
        prepare_history, history_ours, history_pydriller, history_diff_tree,
    )
}  # fmt: skip

if __name__ == "__main__":
    name, *arguments, reply = sys.argv[1:]
    Path(reply).write_text(json.dumps(_TASKS[name](*arguments)), encoding="utf-8")
