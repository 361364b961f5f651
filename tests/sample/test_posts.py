"""Synthetic posts where a study's days reach back before Stack Overflow opened."""

from datetime import date

import polars as pl

from dlbug_assets.protocol.study import load_study
from dlbug_assets.sample import posts as sample


def study_of(first, last):
    study = load_study("sample")
    days = {"created_from": first, "created_until": last}
    return study.model_copy(update={"selection": study.selection.model_copy(update=days)})


def test_nothing_is_asked_before_the_site_opened():
    study = study_of(date(2005, 1, 1), date(2012, 1, 1))
    found = pl.concat([sample.posts(study, library) for library in study.library_names])
    assert found["created_at"].dt.date().min() >= date(2008, 9, 15)
    assert found["created_at"].dt.date().max() <= date(2012, 1, 1)
    assert found["post_id"].min() >= 1


def test_a_selection_that_ends_before_the_site_opened_has_no_posts_and_no_answers():
    for first in (None, date(2001, 1, 1)):
        study = study_of(first, date(2005, 1, 1))
        assert sample.posts(study, "Torch").is_empty()
        assert sample.answers(study, "Torch").is_empty()
        assert sample.posts(study, "Torch").schema == sample.posts(load_study("sample"), "Torch").schema
