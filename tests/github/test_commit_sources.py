"""Sources of commits: every source loads the same tables; clones are tested with real repositories."""

from datetime import UTC, datetime

import polars as pl
import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.github.api.access import ApiAccess
from dlbug_assets.github.followed import listed_repository
from dlbug_assets.github.sampling import bottom_k_sample, sampled_commits
from dlbug_assets.github.sources import commit_source
from dlbug_assets.ingest.landing import Landing
from dlbug_assets.privacy import keyed_hash, secret_key
from dlbug_assets.protocol.study import Study, load_study
from dlbug_assets.releases import Released
from dlbug_assets.warehouse.table_specs import load_specs
from support.clocks import ManualClock
from support.collection_checks import current_rows
from support.repositories import GitRepository

SPECS = load_specs()
TABLES = ("repositories", "fix_commits", "collections")
RELEASED = Released(
    pl.DataFrame(
        {
            "source": ["GitHub", "GitHub", "GitHub", "Stack Overflow"],
            "library": ["Keras", "Keras", "Torch", "Keras"],
            "repository": ["a/a", "a/a", "b/b", None],
            "commit_sha": ["s1", "s1", "s2", None],
            "post_id": [None, None, None, 5],
            "link": ["l1", "l1", "l2", "l3"],
        }
    ),
    pl.DataFrame(),
)


@pytest.fixture
def landing(tmp_path):
    return Landing(tmp_path / "landing" / "github", ManualClock(datetime(2026, 3, 1, tzinfo=UTC)))


def source(study, landing, release=lambda: RELEASED):
    root = landing.root.parent
    access = ApiAccess.of({"DLBUG_GITHUB_URL": "http://127.0.0.1:9"}, root / "quota.sqlite")
    return commit_source(study, landing, access, root / "clones", root.parent / "secret.key", release=release)


def listing(*repositories, **selection):
    """Return a study that lists repositories."""
    return Study.model_validate(
        {
            "study": {"name": "tiny", "title": "Tiny", "seed": 7},
            "selection": selection,
            "libraries": [{"name": "Keras", "tags": ["keras"], "repositories": list(map(str, repositories))}],
            "dimensions": [{"name": "symptom", "open": True}],
            "sources": {"posts": "api", "commits": "clone", "labels": "files"},
            "labeling": {"raters": ["a", "b"], "adjudicator": "c"},
        }
    )


@pytest.fixture
def remote(tmp_path):
    repository = GitRepository(tmp_path / "remote")
    repository.commit("Initial", {"a.py": "1\n"})
    repository.commit(
        "Fix the loss\n\nAsk jane@example.org\nSigned-off-by: Jane Doe <jane@example.org>\n", {"a.py": "2\n"}
    )
    repository.commit("prefix the names", {"a.py": "3\n"})
    repository.commit("Bugfix: shapes", {"b.py": "4\n"})
    return repository


def collected(study, landing):
    (outcome,) = source(study, landing).collect(["Keras"], sweep=False)
    assert outcome.failure is None
    return outcome.notes


def rows(study, landing, warehouse, table="fix_commits"):
    return frame(source(study, landing).load("Keras", current_rows(warehouse))[table])


def frame(partition):
    """Return all rows of a partition as one frame."""
    return partition.frame if isinstance(partition.frame, pl.DataFrame) else pl.concat(partition.frame)


@pytest.mark.parametrize("name", ["sample", "islam2019"])
def test_every_source_loads_the_columns_of_the_tables(name, landing, warehouse):
    commits = source(load_study(name), landing)
    loaded = {table: frame(partition) for table, partition in commits.load("Keras", current_rows(warehouse)).items()}
    for table in TABLES:
        assert set(loaded[table].columns) == set(SPECS[f"github.{table}"].column_names), table
    tables = loaded["fix_commits"], loaded["repositories"]
    study = load_study(name)
    sample = sampled_commits("Keras", current_rows(warehouse), *tables, study=study, details=commits.details)
    assert set(frame(sample).columns) == set(SPECS["github.sampled_commits"].column_names)
    assert [outcome.failure for outcome in commits.collect(["Keras"], sweep=False)] == [None]


def test_the_release_contains_the_repository_and_hash_of_a_commit_only(landing, warehouse):
    (commit,) = rows(load_study("islam2019"), landing, warehouse).to_dicts()
    assert {name: value for name, value in commit.items() if value is not None} == {
        "library": "Keras",
        "full_name": "a/a",
        "sha": "s1",
        "url": "https://github.com/a/a/commit/s1",
    }
    assert source(load_study("islam2019"), landing).details("Keras", ["s1"]).height == 0


def test_the_release_is_not_opened_for_the_sample_study(landing, warehouse):
    def nothing():
        raise AssertionError("the release was opened")

    commits = source(load_study("sample"), landing, nothing)
    assert frame(commits.load("Keras", current_rows(warehouse))["fix_commits"]).height > 0


def test_loading_before_landing_is_an_error(landing, warehouse):
    with pytest.raises(DlbugError, match="nothing of Keras has landed yet: materialize github/landing first"):
        source(load_study("live"), landing).load("Keras", current_rows(warehouse))


def test_clones_return_the_commits_whose_titles_match_the_pattern(remote, landing, warehouse):
    study = listing(remote.path)
    notes = collected(study, landing)
    assert notes == {"kind": "clone", "repositories": 1, "commits": 2, "sampled": 2, "MiB of clones": 0}
    found = rows(study, landing, warehouse)
    assert sorted(found["title"]) == ["Bugfix: shapes", "Fix the loss"]
    row = found.filter(pl.col("title") == "Fix the loss").row(0, named=True)
    key = secret_key(landing.root.parent.parent / "secret.key")
    assert row["author_hash"] == keyed_hash(key, "jane.doe@example.org")
    assert row["message"] == "Fix the loss\n\nAsk <e-mail>\nSigned-off-by: <e-mail>"
    assert (row["authored_at"], row["year"]) == (datetime(2017, 7, 14, 2, 40), 2017)
    assert (row["is_merge"], row["is_reachable"], row["url"]) == (False, True, None)
    (repository,) = rows(study, landing, warehouse, "repositories").to_dicts()
    assert (repository["state"], repository["default_branch"]) == ("ok", "main")
    assert repository["head_sha"] == remote.git("rev-parse", "HEAD")
    assert repository["full_name"] == str(remote.path)


def test_only_sampled_commits_have_details_and_their_patches_contain_no_addresses(remote, landing, warehouse):
    remote.commit("fix contact", {"README": "+Signed-off-by: Jane\nmail jane@example.org\n"})
    study = listing(remote.path, commits_per_library=2)
    assert collected(study, landing)["sampled"] == 2
    sample = bottom_k_sample(rows(study, landing, warehouse), "Keras", 7, 2)
    commits = source(study, landing)
    details = commits.details("Keras", sample["sha"].to_list())
    assert sorted(details["sha"]) == sorted(sample["sha"])
    everything = listing(remote.path, commits_per_library=100)
    collected(everything, landing)
    found = rows(everything, landing, warehouse)
    contact = found.filter(pl.col("title") == "fix contact")["sha"].to_list()
    (change,) = source(everything, landing).details("Keras", contact).to_dicts()
    assert (change["files_changed"], change["additions"], change["deletions"]) == (1, 2, 0)
    assert "jane" not in change["patch_excerpt"].lower()
    assert "mail <e-mail>" in change["patch_excerpt"]


def test_a_refresh_without_new_commits_lands_nothing(remote, landing):
    study = listing(remote.path)
    collected(study, landing)
    assert collected(study, landing)["note"] == "nothing new"
    assert len(landing.done("Keras", {"clone"})) == 1
    remote.commit("Fix again")
    assert collected(study, landing)["commits"] == 3
    assert len(landing.done("Keras", {"clone"})) == 2


def test_a_side_branch_merged_late_is_found(remote, landing, warehouse):
    study = listing(remote.path)
    collected(study, landing)
    remote.git("checkout", "-q", "-b", "side", "HEAD~2")
    remote.commit("fix from long ago", at=1_300_000_000)
    remote.git("checkout", "-q", "main")
    remote.merge("side", "Merge branch side: fixes", at=1_600_000_000)
    collected(study, landing)
    found = rows(study, landing, warehouse)
    assert found.filter(pl.col("is_merge"))["title"].to_list() == ["Merge branch side: fixes"]
    assert "fix from long ago" in found["title"].to_list()


def test_commits_of_a_rewritten_branch_are_kept_as_unreachable(remote, landing, warehouse):
    study = listing(remote.path)
    collected(study, landing)
    remote.git("reset", "-q", "--hard", "HEAD~1")
    remote.commit("Fix shapes again")
    for _ in range(2):
        collected(study, landing)
    found = dict(rows(study, landing, warehouse).select("title", "is_reachable").rows())
    assert found == {"Fix the loss": True, "Fix shapes again": True, "Bugfix: shapes": False}


def test_repositories_that_are_unread_gone_or_empty_do_not_stop_the_others(remote, landing, warehouse, tmp_path):
    empty = GitRepository(tmp_path / "empty")
    study = listing(tmp_path / "nowhere", empty.path, remote.path)
    collected(study, landing)
    states = dict(rows(study, landing, warehouse, "repositories").select("full_name", "state").rows())
    assert states == {str(tmp_path / "nowhere"): "unread", str(empty.path): "empty", str(remote.path): "ok"}
    assert rows(study, landing, warehouse).height == 2
    # A repository that is gone keeps the history that was fetched.
    remote.path.rename(tmp_path / "moved")
    collected(study, landing)
    states = dict(rows(study, landing, warehouse, "repositories").select("full_name", "state").rows())
    assert states[str(remote.path)] == "gone"
    assert rows(study, landing, warehouse).height == 2


def test_a_repository_listed_by_several_paths_counts_once(remote, landing, warehouse, tmp_path):
    (tmp_path / "link").symlink_to(remote.path)
    study = listing(remote.path, f"{remote.path}/.git", tmp_path / "link")
    collected(study, landing)
    assert rows(study, landing, warehouse, "repositories")["full_name"].to_list() == [str(remote.path)]
    assert rows(study, landing, warehouse).height == 2


def test_tables_are_loaded_from_landing_without_the_repositories(remote, landing, warehouse, tmp_path):
    study = listing(remote.path)
    collected(study, landing)
    before = rows(study, landing, warehouse)
    remote.path.rename(tmp_path / "away")
    assert rows(study, landing, warehouse).equals(before)
    shas = before["sha"].to_list()
    assert source(study, landing).details("Keras", shas).height == 2


def test_a_commit_of_two_repositories_is_in_both_and_sampled_once(remote, landing, warehouse, tmp_path):
    remote.git("clone", "-q", "--bare", ".", str(tmp_path / "fork.git"))
    study = listing(remote.path, tmp_path / "fork.git")
    collected(study, landing)
    found = rows(study, landing, warehouse)
    assert (found.height, found["sha"].n_unique()) == (4, 2)
    assert bottom_k_sample(found, "Keras", 7, 10).height == 2


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("keras-team/keras", "keras-team/keras"),
        ("keras-team/keras.git", "keras-team/keras"),
        ("https://github.com/keras-team/keras.git", "keras-team/keras"),
        ("ssh://git@github.com/keras-team/keras", "keras-team/keras"),
        ("https://gitlab.com/group/sub/name.git/", "gitlab.com/group/sub/name"),
        ("file:///srv/a.git", "/srv/a"),
    ],
)
def test_a_listed_repository_is_named_by_owner_and_name_or_by_its_address(address, name):
    assert listed_repository(address, "https://github.com").full_name == name


@pytest.mark.parametrize(
    ("address", "cloned", "page"),
    [
        ("a/b", "https://host/a/b.git", "https://github.com/a/b"),
        ("a/b.git", "https://host/a/b.git", "https://github.com/a/b"),
        ("ssh://git@GitHub.com/a/b", "ssh://git@GitHub.com/a/b", "https://github.com/a/b"),
        ("https://gitlab.com/a/b", "https://gitlab.com/a/b", None),
        ("/srv/github.com/a", "/srv/github.com/a", None),
    ],
)
def test_a_listed_repository_is_cloned_from_its_address_and_has_a_page_on_github_only(address, cloned, page):
    repository = listed_repository(address, "https://host")
    assert (repository.address, repository.page) == (cloned, page)
