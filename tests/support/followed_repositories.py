"""Follow repositories of the stand-in and load them into a warehouse, as the assets do, and check the results."""

import re
from dataclasses import dataclass

import polars as pl

from dlbug_assets.github.api.access import ApiAccess
from dlbug_assets.github.followed import Followed
from dlbug_assets.github.sampling import sampled_commits
from dlbug_assets.warehouse.database import Warehouse
from servers.github import GitHub
from support.collection_checks import STUDY, CollectedCorpus, current_rows, load, store
from support.repositories import git

PLANTED = "ghp_pl4ntedT0ken"
PEOPLE = (b"jane.doe@example.org", b"jane@example.org", b"Jane Doe")
TABLES = ("repositories", "fix_commits", "collections")


def with_sources(study, **sources):
    """Return the study with other sources."""
    return study.model_copy(update={"sources": study.sources.model_copy(update=sources)})


@dataclass
class Following(CollectedCorpus[GitHub]):
    """A study that follows repositories of the stand-in ``api``, with its home in the folder ``root``."""

    token: str | None = PLANTED

    corpus = "github"
    table_names = (*TABLES, "sampled_commits")

    def __post_init__(self):
        super().__post_init__()
        self.mirror = self.root / "mirror"

    @property
    def access(self):
        return ApiAccess(
            self.api.url, self.token, self.ledger, self.clock, f"file://{self.mirror}", retry_policy=self.retry_policy
        )

    def source(self):
        return Followed(self.study, self.landing, self.access, self.home.clones, self.home.secret_key)

    def collect(self, *, sweep=False):
        self.api.mirror(self.mirror)
        return super().collect(sweep=sweep)

    def load(self, home=None):
        """Load every library and sample its commits."""
        source = self.source()
        with Warehouse(home or self.home, "a test") as warehouse:
            tables = load(warehouse, source, self.corpus, TABLES, self.study.library_names)
            for library in self.study.library_names:
                commits = tables["fix_commits"].filter(pl.col("library") == library)
                rows = sampled_commits(
                    library,
                    current_rows(warehouse),
                    commits,
                    tables["repositories"],
                    study=self.study,
                    details=source.details,
                )
                store(warehouse, "github.sampled_commits", rows)

    def cursors(self):
        """Return the names of the finished collections by library."""
        kinds = {"discovery", "commits", "clone"}
        return {
            library: [collection.name for collection in self.landing.done(library, kinds)]
            for library in self.study.library_names
        }

    def proves_truth(self):
        """Check A: the repositories and the reachable commits are those of the stand-in."""
        tables = self.tables("fix_commits", "repositories", "sampled_commits")
        rows = tables["fix_commits"].filter(pl.col("is_reachable"))
        repositories = tables["repositories"]
        for library in self.study.libraries:
            assert isinstance(library.repositories, str), "a study that searches"
            topic = library.repositories.removeprefix("topic:")
            hosted = [each for each in self.api.hosted.values() if topic in each.topics and each.status is None]
            alive = repositories.filter(pl.col("state").is_in(["ok", "renamed"]), library=library.name)
            assert sorted(alive["repository_id"]) == sorted(each.number for each in hosted if each.path)
            expected = {(each.full_name, sha) for each in hosted if each.path for sha in fixes(each.path)}
            found = rows.filter(pl.col("library") == library.name)
            of_hosted = found.filter(pl.col("repository_id").is_in(alive["repository_id"].to_list()))
            assert set(of_hosted.select("full_name", "sha").rows()) == expected
            sample = tables["sampled_commits"].filter(pl.col("library") == library.name)
            distinct = len(set(found["sha"]))
            assert sample.height == min(distinct, self.study.selection.commits_per_library)
            assert sample["files_changed"].null_count() == 0

    def proves_one_row_each(self):
        """Check B: no commit is twice in a repository."""
        assert not self.table("fix_commits").select("library", "full_name", "sha").is_duplicated().any()

    def proves_secrecy(self):
        """Check E: the token is nowhere, and people's names and addresses are in replies and clones only."""
        for text in [*self.logged, *self.errors]:
            assert PLANTED not in text
            assert not any(person.decode() in text for person in PEOPLE)
        for path in self.root.rglob("*"):
            if path.is_file() and self.mirror not in path.parents:
                content = path.read_bytes()
                assert PLANTED.encode() not in content, path
                if path.suffix != ".gz" and self.home.clones not in path.parents:
                    assert not any(person in content for person in PEOPLE), path


def fixes(path):
    """Return the hashes of the branch's commits whose subject matches the pattern, as git lists them."""
    pattern = re.compile(STUDY.selection.fix_pattern)
    entries = git(path, "log", "--format=%H %s", "main").splitlines()
    return {entry[:40] for entry in entries if pattern.search(entry[41:])}
