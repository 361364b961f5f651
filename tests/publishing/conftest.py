"""Small studies for the report and the package."""

import pytest

from support.small_study import SmallStudy, make_corpus_refreshes, write_study


@pytest.fixture
def corpus_refreshes():
    return make_corpus_refreshes


@pytest.fixture
def small_study():
    return SmallStudy


@pytest.fixture
def own_study(tmp_path):
    """Return a function that writes a study folder, and returns its database."""

    def write(**content):
        return write_study(tmp_path / "own", **content)

    return write
