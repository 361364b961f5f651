"""A study whose sources cannot all be read: it runs to the end, reports what is missing, and exits with status 1."""

import shutil

import pytest

from dlbug_assets.layout import Home
from support.commands import NOBODY, Ran, command
from support.repositories import GitRepository

STUDY = """
[study]
name = "partly"
title = "Partly readable"
seed = 1
[selection]
commits_per_library = 4
[[libraries]]
name = "Keras"
tags = ["keras"]
repositories = [
    "./readable", "./shallow", "./mistyped", "./folder", "./headless", "./damaged", "./cut.bundle", "./text.bundle",
    "NOBODY/owner/refused.git",
]
[[libraries]]
name = "Torch"
tags = ["torch"]
repositories = ["./other"]
[sources]
posts = "sample"
commits = "clone"
labels = "files"
[labeling]
raters = ["a", "b"]
adjudicator = "c"
"""
UNREAD = ["cut.bundle", "damaged", "folder", "headless", "mistyped", "refused", "shallow", "text.bundle"]
BY_LIBRARY = "select library, count(*) from github.{} group by library order by library"


class Partly:
    """The study in a folder, with one readable repository of nine for Keras and one for Torch."""

    def __init__(self, folder):
        self.folder, self.home = folder, Home(folder / "home", "partly")
        readable = repository(folder / "readable")
        repository(folder / "other")
        readable.git("clone", "-q", "--depth", "2", f"file://{readable.path}", str(folder / "shallow"))
        (folder / "folder").mkdir()
        headless = repository(folder / "headless")
        headless.git("branch", "-q", "-m", "main", "one")
        headless.git("branch", "-q", "two")
        headless.git("symbolic-ref", "HEAD", "refs/heads/three")
        damage(repository(folder / "damaged"))
        readable.git("bundle", "create", "-q", str(folder / "cut.bundle"), "--all")
        whole = (folder / "cut.bundle").read_bytes()
        (folder / "cut.bundle").write_bytes(whole[: len(whole) // 2])
        (folder / "text.bundle").write_text("not a bundle", encoding="utf-8")
        (folder / "partly.toml").write_text(STUDY.replace("NOBODY", f"{NOBODY.replace('http', 'https')}"), "utf-8")

    def dlbug(self, *arguments):
        return Ran(self.home, command(self.home.root, *arguments, "--study", str(self.folder / "partly.toml")))


def repository(path):
    created = GitRepository(path)
    for number in range(6):
        created.commit(f"fix {path.name} {number}" if number % 2 else "add", {f"{number}.py": f"{number}\n"})
    return created


def damage(damaged):
    """Overwrite the middle of the only pack of a repository."""
    damaged.git("repack", "-q", "-a", "-d")
    (pack,) = (damaged.path / ".git/objects/pack").glob("*.pack")
    content = bytearray(pack.read_bytes())
    content[len(content) // 3 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 3)
    pack.chmod(0o600)
    pack.write_bytes(content)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_cannot_be_read_is_reported_until_it_is_fixed_or_accepted(tmp_path):
    partly = Partly(tmp_path)
    first = partly.dlbug("run")
    assert first.result.returncode == 1, first.result.stderr
    assert partly.home.published.exists(), first.result.stderr
    completeness = first.query(
        "select library, followed, read, unread, refused, outdated from publishing.completeness "
        "where source = 'GitHub' order by library"
    )
    assert completeness.rows() == [("Keras", 9, 1, 8, 0, 0), ("Torch", 1, 1, 0, 0, 0)]
    unread = first.query("select full_name, unread_reason from github.repositories where state = 'unread' order by 1")
    assert sorted(name.rpartition("/")[2] for name in unread["full_name"]) == UNREAD
    assert unread["unread_reason"].null_count() == 0
    for reason in unread["unread_reason"]:
        assert reason in first.result.stderr
    # What was read is in the tables, but nothing represents the library.
    assert first.query(BY_LIBRARY.format("fix_commits")).rows() == [("Keras", 3), ("Torch", 3)]
    assert first.query(BY_LIBRARY.format("sampled_commits")).rows() == [("Torch", 3)]
    assert "INCOMPLETE: Keras on GitHub (8 of 9 unread)" in (partly.home.report / "index.html").read_text("utf-8")

    again = partly.dlbug("run")
    assert again.result.returncode == 1
    assert again.result.stderr.splitlines()[-2:] == first.result.stderr.splitlines()[-2:]
    assert (
        again.query("from publishing.completeness")
        .drop("as_of")
        .equals(first.query("from publishing.completeness").drop("as_of"))
    )

    refused = partly.dlbug("labels", "export")
    assert refused.result.returncode == 1
    assert "Keras on GitHub: 8 of 9 repositories are unread" in refused.result.stderr
    assert not (partly.home.labels / "queue").exists()
    doctor = partly.dlbug("doctor")
    assert "FAIL  corpora: Keras on GitHub: 8 of 9 repositories are unread" in doctor.result.stdout

    accepted = partly.dlbug("run", "--incomplete")
    assert accepted.result.returncode == 1
    sampled = "select library, is_from_complete_corpus, count(*) from github.sampled_commits group by all order by 1"
    assert accepted.query(sampled).rows() == [("Keras", False, 3), ("Torch", True, 3)]
    report = (partly.home.report / "index.html").read_text("utf-8")
    assert "3 commits of Keras were sampled while repositories were unread (<code>--incomplete</code>)" in report

    # Fixed: the repositories that could not be read are what they should have been.
    for name in ("shallow", "folder", "headless", "damaged"):
        shutil.rmtree(tmp_path / name)
    for name in ("shallow", "mistyped", "folder", "headless", "damaged"):
        repository(tmp_path / name)
    for name in ("cut", "text"):
        repository(tmp_path / name).git("bundle", "create", "-q", str(tmp_path / f"{name}.bundle"), "--all")
    study = (tmp_path / "partly.toml").read_text("utf-8")
    (tmp_path / "partly.toml").write_text(
        study.replace(study[study.index('    "https') : study.index("]\n[[lib")], ""), "utf-8"
    )
    fixed = partly.dlbug("run")
    assert fixed.result.returncode == 0, fixed.result.stderr
    assert fixed.query("select distinct unread, outdated, followed - read from publishing.completeness").rows() == [
        (0, 0, 0)
    ]
    assert fixed.query(sampled).rows() == [("Keras", True, 4), ("Torch", True, 3)]
    assert partly.dlbug("labels", "export").result.returncode == 0
