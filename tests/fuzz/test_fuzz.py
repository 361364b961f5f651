"""No input fails: neither the first mutated ones of each kind, nor those that failed once."""

import pytest

from fuzz.kinds import KINDS
from fuzz.runner import INPUTS, fuzz, read

pytestmark = pytest.mark.slow

KEPT = sorted(path for path in INPUTS.glob("*/*") if path.is_file())


@pytest.mark.parametrize("name", KINDS)
def test_valid_inputs_are_accepted(name):
    kind = KINDS[name]()
    assert [read(kind, content) for content in kind.examples()] == [None] * len(kind.examples())


@pytest.mark.parametrize("name", KINDS)
def test_mutated_inputs_are_read_or_refused(name):
    result, _ = fuzz(KINDS[name](), count=50, seconds=60, seed=1)
    assert result.failures == {}
    assert result.inputs > 0


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_inputs_that_failed_are_read_or_refused(path):
    assert not read(KINDS[path.parent.name](), path.read_bytes())
