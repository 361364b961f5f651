"""Searches are repeated only for other inputs, or if what was kept of them is damaged."""

import pytest

from dlbug_assets.analysis.reconstruction.kept import kept_reconstruction
from dlbug_assets.analysis.reconstruction.printed_tables import printed_tables
from dlbug_assets.analysis.reconstruction.reconstruction import reconstruct
from support.printed_tables import SO, PrintedColumn, planted, printed_frames


class Searches:
    """A search that counts how often it was asked."""

    def __init__(self, folder):
        self.folder = folder
        self.number = 0

    def __call__(self, table):
        self.number += 1
        return reconstruct(table)

    def of(self, frames):
        [table] = printed_tables(**frames)
        return kept_reconstruction(table, self.folder, self)


@pytest.fixture
def searches(tmp_path):
    return Searches(tmp_path / "reconstructions")


def _frames(printed):
    return printed_frames({("Keras", SO): PrintedColumn("AAABBC", printed)}, categories="ABC")


def test_a_search_is_not_repeated_for_the_same_table(searches):
    frames = planted(0).frames

    first = searches.of(frames)

    assert searches.of(frames) == first
    assert len(first.found) > 0
    assert searches.number == 1


def test_another_number_is_searched_for_and_takes_the_place_of_the_first(searches):
    searches.of(_frames([50, 33, 17]))
    searches.of(_frames([50, 17, 33]))
    searches.of(_frames([50, 33, 17]))

    assert searches.number == 3
    assert len(list(searches.folder.iterdir())) == 1


def test_a_damaged_file_is_replaced(searches):
    frames = _frames([50, 17, 33])
    first = searches.of(frames)
    [kept] = searches.folder.iterdir()
    kept.write_bytes(kept.read_bytes()[:-1])

    assert searches.of(frames) == first
    assert searches.of(frames) == first
    assert searches.number == 2


def test_a_folder_that_cannot_be_written_costs_only_the_search(searches):
    searches.folder.write_text("a file in the folder's place")

    assert searches.of(_frames([50, 17, 33])) == searches.of(_frames([50, 17, 33]))
    assert searches.number == 2
