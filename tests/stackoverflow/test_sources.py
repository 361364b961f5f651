"""Sources of posts: all of them fill the same tables, and values that a source lacks are NULL."""

import shutil
import subprocess
from datetime import datetime

import polars as pl
import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.landing import Landing
from dlbug_assets.privacy import keyed_hash
from dlbug_assets.protocol.study import Study, load_study
from dlbug_assets.releases import Released
from dlbug_assets.stackoverflow.dump import extraction
from dlbug_assets.stackoverflow.dump.source import Dump
from dlbug_assets.stackoverflow.release import Release
from dlbug_assets.stackoverflow.sources import Sample, post_source
from dlbug_assets.warehouse.rows import PartitionRows
from servers.stackexchange import StackExchange, question
from servers.stand_in import Fault
from support.collected_posts import TABLES, CollectedPosts, load_posts
from support.collection_checks import SPECS, STUDY, current_rows

RELEASED = Released(
    pl.DataFrame(
        {
            "source": ["Stack Overflow", "Stack Overflow", "Stack Overflow", "GitHub"],
            "library": ["Keras", "Keras", "Torch", "Keras"],
            "post_id": [5, 5, 6, None],
            "link": ["l5", "l5 again", "l6", "l7"],
        }
    ),
    pl.DataFrame(),
)
POSTS = """\
<?xml version="1.0" encoding="utf-8"?>
<posts>
  <row Id="1000000001" PostTypeId="1" CreationDate="2017-01-01T00:00:00.000" Score="9" Tags="|keras|" Body="planted" />
  <row Id="1" PostTypeId="1" AcceptedAnswerId="3" CreationDate="2017-01-01T00:00:00.000" Score="9" ViewCount="7"
    Body="&lt;pre&gt;&lt;code&gt;x&lt;/code&gt;&lt;/pre&gt; jane@example.org" OwnerUserId="77" Title="T"
    Tags="|keras|torch|" AnswerCount="2" LastActivityDate="2018-01-01T00:00:00.000" ContentLicense="CC BY-SA 3.0" />
  <row Id="2" PostTypeId="1" CreationDate="2017-01-01T00:00:00.000" Score="5" Tags="|keras|" Body="too low" />
  <row Id="3" PostTypeId="2" ParentId="1" CreationDate="2017-01-02T00:00:00.000" Score="1" Body="so" OwnerUserId="78" />
  <row Id="4" PostTypeId="1" CreationDate="2017-01-01T00:00:00.000" Score="many" Tags="|keras|" Body="garbled" />
</posts>
"""


def frame(rows: PartitionRows) -> pl.DataFrame:
    """Return the rows as one frame."""
    return rows.frame if isinstance(rows.frame, pl.DataFrame) else pl.concat(list(rows.frame))


@pytest.fixture
def api():
    with StackExchange() as server:
        yield server


@pytest.fixture
def live(api, tmp_path):
    return CollectedPosts(api, tmp_path / "home", key=None)


def release(live):
    return Release(load_study("islam2019"), live.landing, live.home.secret_key, live.access, lambda: RELEASED)


@pytest.mark.parametrize(
    ("name", "kind"), [("sample", "Sample"), ("islam2019", "Release"), ("live", "Live"), ("modern", "Live")]
)
def test_the_study_names_its_source(name, kind, live, tmp_path):
    source = post_source(load_study(name), tmp_path, tmp_path / "key", live.access, lambda: RELEASED)
    assert type(source).__name__ == kind


@pytest.mark.parametrize("name", ["sample", "islam2019", "live"])
def test_every_source_returns_the_columns_of_the_tables(name, live, warehouse, tmp_path):
    source = post_source(load_study(name), tmp_path, tmp_path / "key", live.access, lambda: RELEASED)
    loaded = source.load("Keras", current_rows(warehouse))
    for table in TABLES:
        assert set(frame(loaded[table]).columns) == set(SPECS[f"stackoverflow.{table}"].column_names), table


def test_the_sample_is_not_collected(api, live):
    collected = list(Sample(load_study("sample")).collect(["Keras", "Torch"], sweep=False))
    assert [(outcome.library, outcome.notes["kind"]) for outcome in collected] == [
        ("Keras", "generated on loading"),
        ("Torch", "generated on loading"),
    ]
    assert api.log == []


# The authors' release: IDs and links; the API returns the rest.


def test_the_release_alone_has_ids_and_links(live, warehouse):
    loaded = release(live).load("Keras", current_rows(warehouse))
    (post,) = frame(loaded["raw_posts"]).drop("retrieved_at").to_dicts()
    values = {name: value for name, value in post.items() if value is not None}
    assert values == {"library": "Keras", "post_id": 5, "link": "l5", "in_scope": True}
    assert frame(loaded["raw_answers"]).is_empty()


def test_posts_of_the_release_are_looked_up_by_id(api, live, warehouse):
    api.add(question(5, tags=["keras"], created=1_450_000_000, score=2, title="How & why?"))
    outcomes = list(release(live).collect(["Keras", "Torch"], sweep=False))
    assert [(o.library, o.notes["kind"], o.failure) for o in outcomes] == [
        ("Keras", "look-up", None),
        ("Torch", "look-up", None),
    ]
    requested = [request.ids for request in api.log if request.method == "questions/{ids}"]
    assert requested == [[5], [6]]
    (found,) = frame(release(live).load("Keras", current_rows(warehouse))["raw_posts"]).to_dicts()
    assert (found["title"], found["score"], found["in_scope"]) == ("How & why?", 2, True)
    assert found["created_at"] == datetime(2015, 12, 13, 9, 46, 40)
    (deleted,) = frame(release(live).load("Torch", current_rows(warehouse))["raw_posts"]).to_dicts()
    assert (deleted["title"], deleted["link"], deleted["in_scope"]) == (None, "l6", True)
    assert deleted["deleted_at"] is not None


def test_posts_are_looked_up_once_and_again_by_a_sweep(api, live):
    api.add(question(5, tags=["keras"], created=1_450_000_000))
    list(release(live).collect(["Keras"], sweep=False))
    requests = len(api.log)
    (again,) = release(live).collect(["Keras"], sweep=False)
    assert (again.notes["note"], len(api.log)) == ("all looked up before", requests)
    list(release(live).collect(["Keras"], sweep=True))
    assert len(api.log) == requests + 1


@pytest.mark.parametrize("fault", [{"kind": "reset"}, {"kind": "edge_block", "status": 403}, {"kind": "unavailable"}])
def test_without_a_network_the_release_is_used_alone_after_one_attempt(api, live, warehouse, fault):
    api.fail(Fault(**fault, times=None))
    outcomes = list(release(live).collect(["Keras", "Torch"], sweep=False))
    assert [outcome.failure for outcome in outcomes] == [None, None]
    assert outcomes[0].notes["note"].startswith("titles, texts and dates of posts stay as they are: ")
    assert len(api.log) == 1
    assert frame(release(live).load("Keras", current_rows(warehouse))["raw_posts"])["title"].to_list() == [None]


# The data dump.


@pytest.fixture
def dump(tmp_path, live):
    """Return the source of a study that reads a dump."""
    path = tmp_path / "Posts.xml"
    path.write_text(POSTS, encoding="utf-8")
    content = STUDY.model_dump() | {
        "sources": {"posts": "dump", "commits": "api", "labels": "files", "dump_path": path}
    }
    study = Study.model_validate(content)
    landing = Landing(live.home.landing / "stackoverflow", live.clock)
    return Dump(study, landing, live.home.secret_key)


def collect(source, *libraries, sweep=False):
    return {outcome.library: outcome for outcome in source.collect(libraries or ["Keras", "Torch"], sweep=sweep)}


def test_a_dump_fills_the_tables_like_any_other_source(dump, warehouse):
    outcomes = collect(dump)
    assert outcomes["Keras"].notes == {
        "kind": "dump",
        "rows read": 5,
        "planted posts dropped": 1,
        "irregular rows": 1,
        "questions": 1,
        "answers": 1,
        "complete": True,
    }
    tables = load_posts(warehouse, dump, ["Keras", "Torch"])
    key = dump.key_file.read_bytes()
    assert tables["raw_posts"].drop("retrieved_at").rows(named=True)[1] == {
        "library": "Torch",
        "post_id": 1,
        "title": "T",
        "body_html": "<pre><code>x</code></pre> <e-mail>",
        "tags": ["keras", "torch"],
        "score": 9,
        "view_count": 7,
        "answer_count": 2,
        "accepted_answer_id": 3,
        "created_at": datetime(2017, 1, 1),
        "last_activity_at": datetime(2018, 1, 1),
        "owner_hash": keyed_hash(key, "77"),
        "link": "https://stackoverflow.com/questions/1",
        "content_license": "CC BY-SA 3.0",
        "in_scope": True,
        "deleted_at": None,
    }
    (answer,) = tables["raw_answers"].drop("retrieved_at").rows(named=True)
    assert (answer["answer_id"], answer["post_id"], answer["is_accepted"], answer["body_html"]) == (3, 1, True, "so")
    assert tables["collections"]["kind"].to_list() == ["dump", "dump"]
    assert '"planted posts dropped": 1' in tables["collections"]["note"][0]
    (irregularity,) = (
        tables["irregularities"].select("library", "file", "position", "post_id", "field", "content").rows()
    )
    assert irregularity == ("Keras", "Posts.xml", 5, 4, "Score", "many")


def test_a_dump_is_read_once_for_all_libraries_and_not_again_until_it_changes(dump, warehouse, monkeypatch):
    readings = []
    extract = extraction.extract

    def recorded(path, tags, *args, **options):
        readings.append(list(tags))
        return extract(path, tags, *args, **options)

    monkeypatch.setattr(extraction, "extract", recorded)
    collect(dump)
    before = load_posts(warehouse, dump, ["Keras", "Torch"])
    assert collect(dump)["Keras"].notes["note"] == "this dump has been read before"
    assert readings == [["Keras", "Torch"]]
    after = load_posts(warehouse, dump, ["Keras", "Torch"])
    assert all(after[table].equals(before[table]) for table in TABLES)
    path = dump.study.sources.dump_path
    path.write_text(POSTS.replace('Score="5"', 'Score="55"'), encoding="utf-8")
    collect(dump, "Keras")
    assert readings == [["Keras", "Torch"], ["Keras"]]
    numbers = load_posts(warehouse, dump, ["Keras"])["raw_posts"].select("library", "post_id").rows()
    assert numbers == [("Keras", 1), ("Keras", 2), ("Torch", 1)]


def test_an_unreadable_dump_fails_every_library_and_no_collection_is_done(dump):
    dump.study.sources.dump_path.write_text("no dump", encoding="utf-8")
    outcomes = collect(dump)
    assert all("is not a Posts.xml" in str(outcome.failure) for outcome in outcomes.values())
    assert dump.landing.done("Keras", {"dump"}) == []
    dump.study.sources.dump_path.write_text(POSTS, encoding="utf-8")
    assert collect(dump)["Keras"].failure is None
    # The failed collection has been discarded.
    assert len(list((dump.landing.root / "Keras").iterdir())) == 1


def test_loading_before_collecting_is_an_error(dump, warehouse):
    with pytest.raises(DlbugError, match="nothing of Keras has landed yet: materialize stackoverflow/landing first"):
        dump.load("Keras", current_rows(warehouse))


def test_an_archive_has_the_same_rows(dump, warehouse, tmp_path):
    collect(dump)
    plain = load_posts(warehouse, dump, ["Keras"])
    program = next(filter(None, map(shutil.which, ("7zz", "7z", "7za"))), None)
    if program is None:
        pytest.skip("there is no 7-Zip on this machine")
    subprocess.run([program, "a", "-bso0", str(tmp_path / "posts.7z"), str(tmp_path / "Posts.xml")], check=True)
    section = dump.study.sources.model_copy(update={"dump_path": tmp_path / "posts.7z"})
    packed = Dump(dump.study.model_copy(update={"sources": section}), dump.landing, dump.key_file)
    collect(packed)
    tables = load_posts(warehouse, packed, ["Keras"])
    for table in ("raw_posts", "raw_answers"):
        assert tables[table].drop("retrieved_at").equals(plain[table].drop("retrieved_at"))


# Changing the source.


def test_a_new_source_replaces_all_rows_of_a_library(api, live, dump, warehouse):
    collect(dump)
    load_posts(warehouse, dump, ["Keras", "Torch"])
    api.add(question(9, tags=["keras"], created=1_450_000_000))
    source = live.source()
    assert [outcome.failure for outcome in source.collect(["Keras"], sweep=False)] == [None]
    tables = load_posts(warehouse, source, ["Keras"])
    assert tables["raw_posts"].select("library", "post_id").rows() == [("Keras", 9), ("Torch", 1)]
    assert tables["collections"].select("library", "kind").rows() == [("Keras", "full"), ("Torch", "dump")]
    assert tables["irregularities"].is_empty()


def test_loading_fails_where_landing_lost_collections(api, live, warehouse):
    api.add(question(9, tags=["keras"], created=1_450_000_000))
    for _ in range(3):
        list(live.source().collect(["Keras"], sweep=False))
    before = load_posts(warehouse, live.source(), ["Keras"])
    first, second, _ = (collection.folder for collection in live.landing.done("Keras", {"full", "refresh"}))
    for folder in (first, second):
        shutil.rmtree(folder)
    with pytest.raises(
        DlbugError, match=rf"Keras lacks {first.name} and 1 more, which the tables were loaded from\. Restore"
    ):
        live.source().load("Keras", current_rows(warehouse))
    assert warehouse.read("from stackoverflow.raw_posts").equals(before["raw_posts"])
