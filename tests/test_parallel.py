"""Work on several things at a time."""

import os
import threading

import pytest

from dlbug_assets.parallel import parallel_map


def test_outcomes_come_in_the_order_of_what_they_are_of(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    later = threading.Event()

    def double(number: int) -> int:
        later.wait(10) if number == 1 else later.set()  # the first one ends last
        return 2 * number

    assert parallel_map(double, iter([1, 2, 3])) == [2, 4, 6]


def test_of_nothing_there_is_nothing():
    assert parallel_map(abs, []) == []


def test_what_fails_is_raised():
    with pytest.raises(ZeroDivisionError):
        parallel_map(lambda number: 1 / number, [1, 0])
