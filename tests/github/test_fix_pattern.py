"""The default fix pattern: titles that state a fix, in any script."""

import pytest

from dlbug_assets.github.commits import Commit, FixCommitFilter, Repository
from dlbug_assets.protocol.sections import Selection
from dlbug_assets.protocol.study import Study

STUDY = Study.model_validate(
    {
        "study": {"name": "tiny", "title": "Tiny", "seed": 1},
        "libraries": [{"name": "Keras", "tags": ["keras"], "repositories": "topic:keras"}],
        "dimensions": [{"name": "symptom", "open": True}],
        "sources": {"posts": "api", "commits": "api", "labels": "files"},
        "labeling": {"raters": ["a", "b"], "adjudicator": "c"},
    }
)


def accepted(*titles, pattern=STUDY.selection.fix_pattern):
    selection = STUDY.selection.model_copy(update={"fix_pattern": pattern})
    commits = [
        (Commit(f"{number:040}", (), "a@example.org", None, None, title), True) for number, title in enumerate(titles)
    ]
    return FixCommitFilter(STUDY.libraries[0], selection).rows([(Repository("r", "o/r"), commits)])["title"].to_list()


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Fix: shape of the output", True),
        ("fixes #12", True),
        ("Fixed", True),
        ("a FIXING commit", True),
        ("bugfix", True),
        ("Hotfix/2.0", True),
        ("BugFixes for 3.1", True),
        ("quick_fix", True),
        ("fix2", True),
        ("corrigé (fix)", True),
        ("修正fix", False),
        ("«fix»", True),
        ("préfixé", False),
        ("préfixe\N{COMBINING ACUTE ACCENT}", False),
        ("pre\N{COMBINING ACUTE ACCENT}fix", False),
        ("x\N{COMBINING ACUTE ACCENT}fix", False),  # has no letter of its own
        ("fix\N{SUPERSCRIPT TWO}", True),
        ("éfix", False),
        ("fixé", False),
        ("fixй", False),
        ("prefix", False),
        ("fixture", False),
        ("affixes", False),
        ("postfixed", False),
    ],
)
def test_a_fix_is_a_word_without_a_letter_before_or_after_it(title, expected):
    assert (accepted(title) == [title]) is expected


def test_commits_are_matched_in_order_and_once_each_however_many_there_are():
    titles = [f"{'fix' if number % 3 else 'add'} {number}" for number in range(2500)]
    assert accepted(*titles) == [title for title in titles if title.startswith("fix")]


def test_messages_are_matched_in_parts_of_bounded_size():
    messages = [f"fix {number}\n\n" + "x" * 6_000_000 for number in range(4)]
    assert accepted(*messages) == [f"fix {number}" for number in range(4)]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", "((a*)*)*c", "a{0,500}a{0,500}b"])
def test_no_pattern_takes_more_than_linear_time(pattern):
    Selection(fix_pattern=pattern)
    assert accepted("a" * 19_999 + "!", pattern=pattern) == []
