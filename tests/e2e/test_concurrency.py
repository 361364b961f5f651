"""Runs from the command line and from the UI at the same time, beside readers: none of them disturbs another."""

import pytest

from support.concurrency import STATE, publish_beside_readers


@pytest.mark.timeout(600)
def test_runs_of_both_kinds_publish_beside_readers_of_both_kinds(sample):
    expected = {tuple(str(value).lower() for value in sample.query(STATE).row(0))}
    assert "true" in next(iter(expected))
    done, readers = publish_beside_readers(sample.home, publications=3, readers=6)
    assert sorted(publication.status for publication in done) == ["SUCCESS"] * 3
    assert {publication.by for publication in done} == {"command line", "UI"}
    assert {reader.kind for reader in readers} == {"Python", "duckdb-cli"}
    for reader in readers:
        assert reader.errors == []
        assert {tuple(value.lower() for value in state) for state in reader.states} == expected
        assert reader.opened > 1
        assert len(reader.publications) > 1
