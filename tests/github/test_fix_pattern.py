"""The default fix pattern: titles that state a fix, in any script."""

import pytest

from dlbug_assets.github.commits import Commit, FixCommitFilter
from dlbug_assets.protocol.study import Study

STUDY = Study.model_validate(
    {
        "study": {"name": "tiny", "title": "Tiny", "seed": 1},
        "libraries": [{"name": "Keras", "tags": ["keras"], "repositories": "topic:keras"}],
        "sources": {"posts": "api", "commits": "api", "labels": "files"},
        "labeling": {"raters": ["a", "b"], "adjudicator": "c"},
    }
)


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
    accepted = FixCommitFilter(STUDY.libraries[0], STUDY.selection).accepts(
        Commit("0" * 40, (), "a@example.org", None, None, title)
    )
    assert accepted is expected
