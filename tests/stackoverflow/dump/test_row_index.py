"""The index of a dump's rows: both ways to look up keys find the same rows."""

import tempfile

from hypothesis import given
from hypothesis import strategies as st

from dlbug_assets.stackoverflow.dump import row_index
from dlbug_assets.stackoverflow.dump.row_index import NOTHING, PROBLEM, TO_PARSE, RowIndex

KEYS = st.integers(-5, 5) | st.sampled_from([NOTHING, TO_PARSE, PROBLEM, 10**18 - 1])


@given(st.lists(st.lists(KEYS, max_size=9), max_size=5), st.sets(KEYS, min_size=1))
def test_rows_are_found_by_their_keys_in_order(blocks, wanted):
    keys = [key for block in blocks for key in block]
    expected = [(number, key, 7 * number) for number, key in enumerate(keys) if key in wanted]
    with tempfile.TemporaryFile() as file:
        index = RowIndex(file)
        for block in blocks:
            first = index.rows + len(index._keys)
            index.add(block, [7 * number for number in range(first, first + len(block))])
        index.flush()
        assert list(index.find(dict.fromkeys(wanted))) == expected
        assert list(index.find_all(wanted)) == expected


def test_an_index_of_several_blocks_is_searched_to_its_end(monkeypatch):
    monkeypatch.setattr(row_index, "_BLOCK", 4)
    with tempfile.TemporaryFile() as file:
        index = RowIndex(file)
        index.add(range(11), range(0, 110, 10))
        index.flush()
        found = [(2, 2, 20), (3, 3, 30), (4, 4, 40), (10, 10, 100)]
        assert list(index.find({2: 0, 3: 0, 4: 0, 10: 0})) == found
        assert list(index.find_all([10, 4, 3, 2, 11])) == found
