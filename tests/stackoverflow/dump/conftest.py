"""Extractions from a dump that each test writes."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from support.dump_extraction import Extract, in_parts


@pytest.fixture(params=[None, 60], ids=["whole", "in parts"])
def extract(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Extract]:
    with in_parts(request.param) if request.param else nullcontext():
        yield Extract(tmp_path)
