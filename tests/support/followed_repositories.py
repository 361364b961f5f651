"""Follow repositories of the stand-in and load them into a warehouse, as the assets do, and check the results."""

import dataclasses
import itertools
import re
import traceback
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from dlbug_assets.github.api.access import ApiAccess
from dlbug_assets.github.followed import Followed
from dlbug_assets.github.sampling import bottom_k_sample
from dlbug_assets.ingest.http_client import RetryPolicy
from dlbug_assets.ingest.landing import Landing
from dlbug_assets.ingest.quota import Ledger
from dlbug_assets.layout import Home
from dlbug_assets.protocol.study import Study
from dlbug_assets.warehouse.database import Warehouse
from dlbug_assets.warehouse.table_specs import load_specs
from servers.github import GitHub
from support.clocks import ShiftedClock
from support.counting import proves_count
from support.repositories import git

PLANTED = "ghp_pl4ntedT0ken"
PEOPLE = (b"jane.doe@example.org", b"jane@example.org", b"Jane Doe")
TABLES = ("repositories", "fix_commits", "collections")
SPECS = load_specs()
STUDY = Study.model_validate(
    {
        "study": {"name": "tiny", "title": "Tiny", "seed": 1},
        "selection": {"commits_per_library": 4},
        "libraries": [
            {"name": "Keras", "tags": ["keras"], "repositories": "topic:keras"},
            {"name": "Torch", "tags": ["torch"], "repositories": "topic:torch"},
        ],
        "sources": {"posts": "api", "commits": "api", "labels": "files"},
        "labeling": {"raters": ["a", "b"], "adjudicator": "c"},
    }
)


def with_sources(study, **sources):
    """Return the study with other sources."""
    return study.model_copy(update={"sources": study.sources.model_copy(update=sources)})


@dataclass
class Following:
    """A study that follows repositories of the stand-in ``api``, with its home in the folder ``root``."""

    api: GitHub
    root: Path
    study: Study = STUDY
    token: str | None = PLANTED
    retry_policy: RetryPolicy = field(
        default_factory=lambda: RetryPolicy(connect=60, read=60, hold=10, limited=0.3, attempts=3, pause=0.02)
    )

    def __post_init__(self):
        self.clock = ShiftedClock()
        self.home = Home(self.root, self.study.name)
        self.mirror = self.root / "mirror"
        #: Logged texts, which proves_secrecy reads.
        self.logged = []
        self.errors = []

    @property
    def ledger(self):
        return Ledger(self.home.quota, self.clock)

    @property
    def landing(self):
        return Landing(self.home.landing / "github", self.clock)

    @property
    def access(self):
        return ApiAccess(
            self.api.url, self.token, self.ledger, self.clock, f"file://{self.mirror}", retry_policy=self.retry_policy
        )

    def source(self):
        """Return a new source, as a new process creates it: its state is on disk."""
        return Followed(self.study, self.landing, self.access, self.home.clones, self.home.secret_key)

    def collect(self, *, sweep=False):
        """Collect every library; return the failures by library."""
        self.api.mirror(self.mirror)
        outcomes = list(self.source().collect(self.study.library_names, sweep=sweep))
        failures = {outcome.library: outcome.failure for outcome in outcomes if outcome.failure}
        self.notes = {outcome.library: outcome.notes for outcome in outcomes}
        self.errors += ["".join(traceback.format_exception(error)) + repr(error) for error in failures.values()]
        return failures

    def load(self, home=None):
        """Load every library and sample its commits."""
        source = self.source()
        with Warehouse(home or self.home, "a test") as warehouse:
            for library in self.study.library_names:
                loaded = source.load(
                    library, lambda table, where, params: warehouse.current_rows(SPECS[table], where, params)
                )
                for table in TABLES:
                    rows = loaded[table]
                    store(warehouse, f"github.{table}", rows.frame, rows.outdated, rows.params)
                commits = warehouse.read("from github.fix_commits where library = $library", {"library": library})
                sample = bottom_k_sample(
                    commits, library, self.study.study.seed, self.study.selection.commits_per_library
                )
                details = source.details(library, sample["sha"].to_list())
                rows = sample.join(details, on=["library", "sha"], how="left")
                names = SPECS["github.sampled_commits"].column_names
                store(warehouse, "github.sampled_commits", rows.select(names), "library = ?", [library])

    def refresh(self, *, sweep=False):
        """Collect and load without a failure."""
        assert self.collect(sweep=sweep) == {}
        self.load()

    def table(self, name):
        return self.tables(name)[name]

    def tables(self, *names, home=None):
        """Return tables by name, sorted by all columns."""
        with Warehouse(home or self.home, "a test") as warehouse:
            return {name: warehouse.read(f"from github.{name} order by all") for name in names}

    def cursors(self):
        """Return the names of the finished collections by library."""
        kinds = {"discovery", "commits", "clone"}
        return {
            library: [collection.name for collection in self.landing.done(library, kinds)]
            for library in self.study.library_names
        }

    # The checks, by their letters in the fault matrix.

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

    def proves_count(self):
        """Check C: the ledger has every request that the stand-in received."""
        proves_count(self.ledger, self.api)

    def proves_rebuilding(self):
        """Check D: the same tables can be rebuilt from landing, without requests."""
        elsewhere = Home(self.root, f"{self.study.name}_rebuilt")
        elsewhere.secret_key.parent.mkdir(parents=True, exist_ok=True)
        elsewhere.secret_key.write_bytes(self.home.secret_key.read_bytes())
        requests = len(self.api.log)
        tables = [SPECS[f"github.{table}"].name for table in (*TABLES, "sampled_commits")]
        with Warehouse(elsewhere, "a test") as warehouse:
            for table in tables:
                warehouse.connection.execute(f"drop table if exists {table}")
        self.load(elsewhere)
        assert len(self.api.log) == requests
        names = (*TABLES, "sampled_commits")
        before, rebuilt = self.tables(*names), self.tables(*names, home=elsewhere)
        for name in names:
            assert rebuilt[name].equals(before[name]), name

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

    def gaps(self):
        """Return the seconds between consecutive requests."""
        return [later.at - earlier.at for earlier, later in itertools.pairwise(self.api.log)]


def store(warehouse, name, frame, outdated, params):
    """Write rows of a table, without the checks that read tables of other stages."""
    spec = SPECS[name]
    checks = tuple(check for check in spec.checks if "reference." not in check.violations)
    written = warehouse.replace_part(dataclasses.replace(spec, checks=checks), frame, outdated, params)
    assert written.accepted, written.outcomes


def fixes(path):
    """Return the hashes of the branch's commits whose subject matches the pattern, as git lists them."""
    pattern = re.compile(STUDY.selection.fix_pattern)
    entries = git(path, "log", "--format=%H %s", "main").splitlines()
    return {entry[:40] for entry in entries if pattern.search(entry[41:])}
