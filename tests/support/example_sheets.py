"""Sheets of a few items, as they are exported."""

from dlbug_assets.labeling.sheets.assignments import Sheet, columns
from dlbug_assets.labeling.sheets.formats import LIST_BUGS


def raters_sheet(study, pass_name, rows=({}, {}), not_asked=()):
    """Return a rater's sheet with an item per row, with these values; ``not_asked`` has (row, column)."""
    filled = tuple(row_of(study, number, "ann", pass_name, values) for number, values in enumerate(rows))
    return Sheet("ann", 1, 100, pass_name, study.asked, filled, (), frozenset(not_asked))


def adjudicators_sheet(study, pass_name, answers, decided=()):
    """Return the adjudicator's sheet: ``answers`` has, for each row, what the raters A, B, .. answered by question."""
    letters = "ABCDEF"[: max(len(given) for row in answers for given in row.values())]
    questions = list(answers[0])
    rows = [
        row_of(study, number, "eve", pass_name, {})
        | {
            f"{question} {letter}": given
            for question in questions
            for letter, given in zip(letters, row[question], strict=True)
        }
        for number, row in enumerate(answers)
    ]
    names = tuple(f"{question} {letter}" for question in questions for letter in letters)
    return Sheet("eve", 1, 100, pass_name, study.asked, tuple(rows), names, frozenset(decided))


def row_of(study, number, person, pass_name, values):
    """Return a row of a sheet; without ``values`` that say otherwise, of a post without an accepted answer."""
    shown = {
        "item_id": f"SO-Keras-{number}",
        "rater": person,
        "batch": 100,
        "bug_index": 1,
        "title": f"=cmd|' /C calc'!A{number}",
        "link": f"https://example.org/{number}?a=b&c=d",
        "content": f"Text of {number}",
        "is_bug": None if pass_name == LIST_BUGS else True,
        "pass": pass_name,
    }
    return {**dict.fromkeys(columns(study.asked)), **shown, **values}
