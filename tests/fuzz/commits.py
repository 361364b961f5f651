"""Commits as git stores them."""

from pathlib import Path

from dlbug_assets.github.clones.git_output import parse_commit
from dlbug_assets.github.commits import FixCommitFilter, Repository, pseudonymize_authors
from fuzz.kind import Kind
from support.collection_checks import STUDY

_SHA = "0123456789abcdef0123456789abcdef01234567"


class Commits(Kind):
    """Commit objects: whatever they contain, they become at most a row."""

    name = "commits"

    def examples(self) -> list[bytes]:
        head = f"tree {_SHA}\nparent {_SHA}\nauthor Ann <ann@example.org> 1500000000 +0100\n".encode()
        head += b"committer Bob <bob@example.org> 1500000001 -0130\n"
        signature = b"gpgsig -----BEGIN PGP SIGNATURE-----\n \n abc\n -----END PGP SIGNATURE-----\n"
        return [
            head + b"\nFix the loss\n\nAsk ann@example.org\n",
            head + b"encoding ISO-8859-1\n" + signature + b"\nfix Gr\xf6\xdfe\n",
            head + "\n\n  bugfix: 漢字 😀\n".encode(),
        ]

    def read(self, content: bytes, folder: Path) -> None:
        history = [(parse_commit(_SHA, content), True)]
        rows = FixCommitFilter(STUDY.libraries[0], STUDY.selection).rows([(Repository("a", "o/a"), history)])
        pseudonymize_authors(rows, b"key").write_parquet(folder / "commits.parquet")
