"""Where posts come from: every source fills the same tables, and what cannot be had is said, not made up."""

import shutil
import subprocess
from datetime import datetime

import polars as pl
import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.landing import Landing
from dlbug_assets.privacy import keyed_hash
from dlbug_assets.protocol.study import Study, load_study
from dlbug_assets.stackoverflow import sources
from dlbug_assets.stackoverflow.dump.source import Dump
from dlbug_assets.stackoverflow.release import Release
from dlbug_assets.stackoverflow.sources import Sample, post_source
from servers.stackexchange import Fault, StackExchange, question
from support.collection_checks import SPECS, STUDY, TABLES, Collecting, stored

RELEASE = pl.DataFrame(
    {
        "source": ["Stack Overflow", "Stack Overflow", "Stack Overflow", "GitHub"],
        "library": ["Keras", "Keras", "Torch", "Keras"],
        "post_id": [5, 5, 6, None],
        "link": ["l5", "l5 again", "l6", "l7"],
    }
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


def own_of(warehouse):
    return lambda table, where, params: warehouse.current_rows(SPECS[table], where, params)


def frames(part):
    """A part's rows as one frame."""
    return part.frame if isinstance(part.frame, pl.DataFrame) else pl.concat(list(part.frame))


@pytest.fixture
def api():
    with StackExchange() as server:
        yield server


@pytest.fixture
def reached(api, tmp_path):
    """The stand-in as sources reach it."""
    return Collecting(api, tmp_path / "home", key=None)


def release(reached):
    return Release(
        load_study("islam2019"), reached.landing, reached.home.secret_key, reached.api_access, lambda: RELEASE
    )


@pytest.mark.parametrize(
    ("name", "kind"), [("sample", "Sample"), ("islam2019", "Release"), ("live", "Live"), ("modern", "Live")]
)
def test_the_study_names_its_source(name, kind, reached, tmp_path):
    source = post_source(load_study(name), tmp_path, tmp_path / "key", reached.api_access, lambda: RELEASE)
    assert type(source).__name__ == kind


@pytest.mark.parametrize("name", ["sample", "islam2019", "live"])
def test_every_source_gives_the_columns_of_the_tables(name, reached, warehouse, tmp_path):
    source = post_source(load_study(name), tmp_path, tmp_path / "key", reached.api_access, lambda: RELEASE)
    parts = source.load("Keras", own_of(warehouse))
    for table in TABLES:
        assert set(frames(parts[table]).columns) == set(SPECS[f"stackoverflow.{table}"].column_names), table


def test_the_sample_is_not_collected(api, reached):
    collected = list(Sample(load_study("sample")).collect(["Keras", "Torch"], sweep=False))
    assert [(outcome.library, outcome.notes["kind"]) for outcome in collected] == [
        ("Keras", "generated on loading"),
        ("Torch", "generated on loading"),
    ]
    assert api.log == []


# The authors' release: numbers and links; the API knows the rest.


def test_the_release_alone_knows_number_and_address(reached, warehouse):
    parts = release(reached).load("Keras", own_of(warehouse))
    (post,) = parts["raw_posts"].frame.drop("retrieved_at").to_dicts()
    known = {name: value for name, value in post.items() if value is not None}
    assert known == {"library": "Keras", "post_id": 5, "link": "l5", "in_scope": True}
    assert parts["raw_answers"].frame.is_empty()


def test_posts_of_the_release_are_looked_up_by_number(api, reached, warehouse):
    api.add(question(5, tags=["keras"], created=1_450_000_000, score=2, title="How & why?"))
    outcomes = list(release(reached).collect(["Keras", "Torch"], sweep=False))
    assert [(o.library, o.notes["kind"], o.failure) for o in outcomes] == [
        ("Keras", "look-up", None),
        ("Torch", "look-up", None),
    ]
    asked = [request.ids for request in api.log if request.method == "questions/{ids}"]
    assert asked == [[5], [6]]
    (found,) = release(reached).load("Keras", own_of(warehouse))["raw_posts"].frame.to_dicts()
    assert (found["title"], found["score"], found["in_scope"]) == ("How & why?", 2, True)
    assert found["created_at"] == datetime(2015, 12, 13, 9, 46, 40)
    (gone,) = release(reached).load("Torch", own_of(warehouse))["raw_posts"].frame.to_dicts()
    assert (gone["title"], gone["link"], gone["in_scope"]) == (None, "l6", True)
    assert gone["deleted_at"] is not None


def test_what_was_looked_up_is_not_looked_up_again_unless_asked(api, reached):
    api.add(question(5, tags=["keras"], created=1_450_000_000))
    list(release(reached).collect(["Keras"], sweep=False))
    asked = len(api.log)
    (again,) = release(reached).collect(["Keras"], sweep=False)
    assert (again.notes["note"], len(api.log)) == ("all looked up before", asked)
    list(release(reached).collect(["Keras"], sweep=True))
    assert len(api.log) == asked + 1


@pytest.mark.parametrize("fault", [{"kind": "reset"}, {"kind": "edge_block", "status": 403}, {"kind": "unavailable"}])
def test_without_a_network_the_release_is_used_as_it_is_after_one_try(api, reached, warehouse, fault):
    api.fail(Fault(**fault, times=None))
    outcomes = list(release(reached).collect(["Keras", "Torch"], sweep=False))
    assert [outcome.failure for outcome in outcomes] == [None, None]
    assert outcomes[0].notes["note"].startswith("titles, texts and dates of posts stay as they are: ")
    assert len(api.log) == 1
    assert frames(release(reached).load("Keras", own_of(warehouse))["raw_posts"])["title"].to_list() == [None]


# The data dump.


@pytest.fixture
def dump(tmp_path, reached):
    """A study that reads a dump."""
    path = tmp_path / "Posts.xml"
    path.write_text(POSTS, encoding="utf-8")
    content = STUDY.model_dump() | {
        "sources": {"posts": "dump", "commits": "api", "labels": "files", "dump_path": path}
    }
    study = Study.model_validate(content)
    landing = Landing(reached.home.landing / "stackoverflow", reached.clock)
    return Dump(study, landing, reached.home.secret_key)


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
    tables = stored(warehouse, dump, ["Keras", "Torch"])
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
    (odd,) = tables["irregularities"].rows(named=True)
    assert (odd["library"], odd["file"], odd["position"], odd["post_id"], odd["field"], odd["content"]) == (
        "Keras",
        "Posts.xml",
        5,
        4,
        "Score",
        "many",
    )


def test_a_dump_is_read_once_for_all_libraries_and_not_again_until_it_changes(dump, warehouse, monkeypatch):
    readings = []
    extract = sources.dump.extract
    monkeypatch.setattr(sources.dump, "extract", lambda *a, **k: readings.append(list(a[1])) or extract(*a, **k))
    collect(dump)
    before = stored(warehouse, dump, ["Keras", "Torch"])
    assert collect(dump)["Keras"].notes["note"] == "this dump has been read before"
    assert readings == [["Keras", "Torch"]]
    after = stored(warehouse, dump, ["Keras", "Torch"])
    assert all(after[table].equals(before[table]) for table in TABLES)
    path = dump.study.sources.dump_path
    path.write_text(POSTS.replace('Score="5"', 'Score="55"'), encoding="utf-8")
    collect(dump, "Keras")
    assert readings == [["Keras", "Torch"], ["Keras"]]
    numbers = stored(warehouse, dump, ["Keras"])["raw_posts"].select("library", "post_id").rows()
    assert numbers == [("Keras", 1), ("Keras", 2), ("Torch", 1)]


def test_a_dump_that_cannot_be_read_fails_every_library_and_leaves_nothing_that_counts(dump):
    dump.study.sources.dump_path.write_text("no dump", encoding="utf-8")
    outcomes = collect(dump)
    assert all("is not a Posts.xml" in str(outcome.failure) for outcome in outcomes.values())
    assert dump.landing.done("Keras", {"dump"}) == []
    dump.study.sources.dump_path.write_text(POSTS, encoding="utf-8")
    assert collect(dump)["Keras"].failure is None
    # What a failed reading left is gone.
    assert len(list((dump.landing.root / "Keras").iterdir())) == 1


def test_loading_before_anything_was_read_is_said(dump, warehouse):
    with pytest.raises(DlbugError, match="nothing of Keras has landed yet: materialize stackoverflow/landing first"):
        dump.load("Keras", own_of(warehouse))


def test_an_archive_gives_the_same_rows(dump, warehouse, tmp_path):
    collect(dump)
    plain = stored(warehouse, dump, ["Keras"])
    program = next(filter(None, map(shutil.which, ("7zz", "7z", "7za"))), None)
    if program is None:
        pytest.skip("there is no 7-Zip on this machine")
    subprocess.run([program, "a", "-bso0", str(tmp_path / "posts.7z"), str(tmp_path / "Posts.xml")], check=True)
    section = dump.study.sources.model_copy(update={"dump_path": tmp_path / "posts.7z"})
    packed = Dump(dump.study.model_copy(update={"sources": section}), dump.landing, dump.key_file)
    collect(packed)
    tables = stored(warehouse, packed, ["Keras"])
    for table in ("raw_posts", "raw_answers"):
        assert tables[table].drop("retrieved_at").equals(plain[table].drop("retrieved_at"))


# From one source to another.


def test_a_library_whose_rows_are_from_another_source_is_made_anew(api, reached, dump, warehouse):
    collect(dump)
    stored(warehouse, dump, ["Keras", "Torch"])
    api.add(question(9, tags=["keras"], created=1_450_000_000))
    live = reached.source()
    assert [outcome.failure for outcome in live.collect(["Keras"], sweep=False)] == [None]
    tables = stored(warehouse, live, ["Keras"])
    assert tables["raw_posts"].select("library", "post_id").rows() == [("Keras", 9), ("Torch", 1)]
    assert tables["collections"].select("library", "kind").rows() == [("Keras", "full"), ("Torch", "dump")]
    assert tables["irregularities"].is_empty()


def test_tables_are_not_made_of_half_a_landing(api, reached, warehouse):
    api.add(question(9, tags=["keras"], created=1_450_000_000))
    for _ in range(3):
        list(reached.source().collect(["Keras"], sweep=False))
    before = stored(warehouse, reached.source(), ["Keras"])
    first, second, _ = (collection.folder for collection in reached.landing.done("Keras", {"full", "refresh"}))
    for folder in (first, second):
        shutil.rmtree(folder)
    with pytest.raises(
        DlbugError, match=rf"Keras lacks {first.name} and 1 more, which the tables were loaded from\. Restore"
    ):
        reached.source().load("Keras", own_of(warehouse))
    assert warehouse.read("from stackoverflow.raw_posts").equals(before["raw_posts"])
