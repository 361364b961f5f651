"""A function runs on several items at a time."""

import os
import threading

import pytest

from dlbug_assets.parallel import parallel_map


def test_results_have_the_order_of_the_items(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    later = threading.Event()

    def double(number: int) -> int:
        later.wait(10) if number == 1 else later.set()  # the first one ends last
        return 2 * number

    assert parallel_map(double, iter([1, 2, 3])) == [2, 4, 6]


def test_no_items_have_no_results():
    assert parallel_map(abs, []) == []


def test_an_exception_of_the_function_is_raised():
    with pytest.raises(ZeroDivisionError):
        parallel_map(lambda number: 1 / number, [1, 0])
