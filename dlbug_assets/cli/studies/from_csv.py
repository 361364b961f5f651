"""`dlbug new --from`: a study of bugs that are labelled already, from what the columns of a CSV file look like."""

import csv
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dlbug_assets.cli.studies.new import check_name, write
from dlbug_assets.clock import parse_timestamp
from dlbug_assets.errors import DlbugError
from dlbug_assets.ingest.table_files import SEPARATORS, csv_rows, decoded
from dlbug_assets.protocol.dimensions import Dimension
from dlbug_assets.protocol.names import shown
from dlbug_assets.protocol.study import STUDY_FILE, Study
from dlbug_assets.releases.locate import LARGEST_FILE

_SUFFIXES = (".csv", ".tsv", ".txt")
#: What a column is taken for, in this order, if its name contains one of these words and its values fit.
_FACTS = {
    "link": "link url href permalink",
    "key": "id key no number issue bug",
    "created_at": "created date opened reported time year",
    "rater": "rater evaluator annotator labeller labeler coder reviewer",
    "library": "library framework compiler ecosystem language project product system tool package platform repository",
    "source": "source component origin site",
    "title": "title summary description subject",
}
#: Facts that every row has.
_REQUIRED = ("link", "key", "rater", "library", "source")
_MOST_GROUPS, _MOST_SOURCES, _MOST_CATEGORIES = 50, 10, 60
_LONGEST_CATEGORY = 100
#: A file with fewer rows may have this number of categories in a dimension; others, one for every two rows.
_FEW = 5
_NONE = "(?i:^none$)"
#: A code in brackets after the name of a category.
_CODE = r" \([A-Z0-9.]+\)$"


@dataclass(frozen=True)
class _Labels:
    """A dimension, the names and codes of its categories, and what is stripped of the texts of the column."""

    dimension: Dimension
    categories: Sequence[tuple[str, str]]
    strip: str | None

    @property
    def kind(self) -> str:
        """What the column was taken for, in words."""
        kind = "required" if self.dimension.required else "optional"
        if self.dimension.multiple:
            kind += f", several separated by {self.dimension.separator}"
        code = self.categories[0][1]
        return f"{kind}, without codes such as ({code})" if code else kind


@dataclass
class _Guess:
    """What the columns are taken for: the facts and dimensions of a release, and why the others are not used."""

    facts: dict[str, str] = field(default_factory=dict)
    dimensions: dict[str, _Labels] = field(default_factory=dict)
    unused: dict[str, str] = field(default_factory=dict)


def create_from(folder: Path, file: Path) -> tuple[Study, list[str]]:
    """Write a study whose labels are those of a CSV file, which is copied into its folder.

    Returns it, and what each column was taken for. Raises :class:`DlbugError` for a file that cannot be read, or that
    has neither links nor IDs, or no categories.
    """
    name = check_name(folder)
    content = _content(file)
    try:
        header, rows = _table(decoded(content, None))
    except DlbugError as error:
        raise DlbugError(f"{file}: {error}") from None
    columns = {column: [row[place].strip() for row in rows] for place, column in enumerate(header) if column}
    guess = _guess(columns)
    if not {"link", "key"} & set(guess.facts):
        raise DlbugError(
            f"{file}: no column tells the bugs apart: name one link or ID, with an address or number in every row. "
            f"Found: {', '.join(map(shown, columns))}"
        )
    if not guess.dimensions:
        raise DlbugError(f"{file}: no column has labels: a few texts that recur in its rows")
    notes = [
        *(f"{column}: {fact}" for fact, column in guess.facts.items()),
        *(
            f"{column}: dimension {labels.dimension.name} ({labels.kind})"
            for column, labels in guess.dimensions.items()
        ),
        *(f"{column}: not used, {reason}" for column, reason in guess.unused.items()),
    ]
    files: dict[str, str | bytes] = {
        STUDY_FILE: _study(name, file, guess, columns, notes),
        "taxonomy.csv": _taxonomy(guess),
        "claims.toml": _claims(guess),
        file.name: content,
    }
    return write(folder, files), notes


def _content(file: Path) -> bytes:
    if file.suffix.lower() not in _SUFFIXES:
        raise DlbugError(f"--from {file}: it has none of the suffixes {', '.join(_SUFFIXES)}: save it as CSV")
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST_FILE + 1)
    except OSError as error:
        raise DlbugError(f"cannot read {file}: {error.strerror}") from None
    if len(content) > LARGEST_FILE:
        raise DlbugError(f"{file} is larger than {LARGEST_FILE >> 20} MiB")
    return content


def _table(text: str) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of a CSV file, which all have as many cells; empty rows are left out."""
    first = next(filter(str.strip, text.splitlines()), "")
    separator = max(SEPARATORS, key=first.count)
    rows = [cells for _, cells in csv_rows(text, separator) if any(cell.strip() for cell in cells)]
    if len(rows) < 2:  # noqa: PLR2004 - a header and a bug
        raise DlbugError("it has no rows below its header")
    header = [cell.strip() for cell in rows[0]]
    if repeated := [column for column, count in Counter(header).items() if column and count > 1]:
        raise DlbugError(f"it has two columns {shown(repeated[0])}: rename one of them")
    return header, [[*cells, *[""] * (len(header) - len(cells))] for cells in rows[1:]]


def _guess(columns: Mapping[str, Sequence[str]]) -> _Guess:
    guess = _Guess()
    for fact, words in _FACTS.items():
        if fact == "key" and "link" in guess.facts:
            continue
        for column, values in columns.items():
            named = set(words.split()) & set(re.findall(r"[a-z]+", column.lower()))
            if column not in guess.facts.values() and named and _fits(fact, values):
                guess.facts[fact] = column
                break
    for column, values in columns.items():
        if column in guess.facts.values():
            continue
        filled = [value for value in values if value and not re.fullmatch(_NONE, value)]
        separator = _separator(filled)
        parts = [part for value in filled for part in _parts(value, separator)]
        if reason := _not_categories(parts, len(filled), len(values)):
            guess.unused[column] = reason
            continue
        taken = {labels.dimension.name for labels in guess.dimensions.values()}
        several = {"multiple": True, "separator": separator} if separator else {}
        dimension = _dimension(column, taken, required=len(filled) == len(values), **several)
        categories = _with_codes(_categories(parts))
        patterns = [_NONE] * (any(re.fullmatch(_NONE, value) for value in values)) + [_CODE] * bool(categories[0][1])
        guess.dimensions[column] = _Labels(dimension, categories, "|".join(patterns) or None)
    return guess


def _fits(fact: str, values: Sequence[str]) -> bool:
    """Return whether the values of a column can be a fact about the bugs."""
    filled = [value for value in values if value]
    if not filled or (fact in _REQUIRED and len(filled) < len(values)):
        return False
    if fact == "link" and not all(re.match(r"https?://\S+$", value) for value in filled):
        return False
    if fact == "created_at" and not all(_is_moment(value) for value in filled):
        return False
    numbers = {"key": (len(values), len(values)), "library": (1, _MOST_GROUPS), "source": (2, _MOST_SOURCES)}
    lowest, highest = numbers.get(fact, (1, len(values)))
    return lowest <= len({value.casefold() for value in filled}) <= highest


def _is_moment(value: str) -> bool:
    try:
        parse_timestamp(value)
    except ValueError:
        return False
    return True


def _separator(values: Sequence[str]) -> str | None:
    """Return what separates several categories in a cell.

    A comma does if it makes fewer categories, of which one also occurs alone: it is common within a text, too.
    """
    alone = {value.casefold() for value in values}
    parts = {part.casefold() for value in values for part in _parts(value, ",")}
    found = (separator for separator in ";|" if any(separator in value for value in values))
    return next(found, "," if len(parts) < len(alone) and parts & alone else None)


def _parts(value: str, separator: str | None) -> list[str]:
    parts = value.split(separator) if separator else [value]
    return [" ".join(part.split()) for part in parts if part.strip()]


def _not_categories(parts: Sequence[str], filled: int, rows: int) -> str | None:
    """Return why the parts of a column's cells, of which some are filled, are not labels, None if they can be."""
    distinct = len({part.casefold() for part in parts})
    if not distinct:
        return "empty"
    if distinct == 1:
        return (
            "the same in all rows" if filled == rows else _mostly_empty(filled, rows) or "the same where it is filled"
        )
    if distinct > min(_MOST_CATEGORIES, max(_FEW, filled // 2)):
        return _mostly_empty(filled, rows) or f"{distinct} different texts or numbers"
    if any(len(part) > _LONGEST_CATEGORY for part in parts):
        return f"texts of more than {_LONGEST_CATEGORY} characters"
    return None


def _mostly_empty(filled: int, rows: int) -> str | None:
    return f"mostly empty ({filled} of {rows})" if filled < rows / 2 else None


def _dimension(column: str, taken: set[str], **values: Any) -> Dimension:
    """Return the dimension of a column, named after it."""
    slug = re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_")[:30].strip("_")
    names = itertools.chain([slug, f"{slug}_label"], (f"dimension_{number}" for number in itertools.count(1)))
    for name in names:
        try:
            if name not in taken:
                return Dimension.model_validate({"name": name, "title": column[:100], **values})
        except ValidationError:  # not a name
            continue
    raise AssertionError


def _categories(parts: Sequence[str]) -> Sequence[str]:
    """Return the categories, the most frequent first, each as it is written most often."""
    spellings: dict[str, Counter[str]] = {}
    for part in parts:
        spellings.setdefault(part.casefold(), Counter())[part] += 1
    counted = sorted(spellings.values(), key=lambda counts: -counts.total())
    return [counts.most_common(1)[0][0] for counts in counted]


def _with_codes(categories: Sequence[str]) -> Sequence[tuple[str, str]]:
    """Return name and code of each category; codes are those in brackets if all have one, and names differ without."""
    names = [re.sub(_CODE, "", category) for category in categories]
    pairs = list(zip(names, categories, strict=True))
    if all(name not in ("", category) for name, category in pairs) and len({*map(str.casefold, names)}) == len(names):
        return [(name, category[len(name) :].strip(" ()")) for name, category in pairs]
    return [(category, "") for category in categories]


def _study(name: str, file: Path, guess: _Guess, columns: Mapping[str, Sequence[str]], notes: Sequence[str]) -> str:
    """Return study.toml."""
    group = guess.facts.get("library")
    libraries = {value: _library(value) for value in _categories(columns[group])} if group else {}
    names = list(dict.fromkeys(libraries.values())) or [_library(file.stem)]
    lines = [
        f"# Made from {file.name} by dlbug new. Check what its columns were taken for:",
        *(f"# - {note}" for note in notes),
        "# Definitions and order of the categories are in taxonomy.csv.",
        "# `dlbug new NAME` without --from writes a study.toml with every key.",
        *_keys("\n[study]", {"name": name, "title": f"Bugs of {file.name}", "seed": 1}),
        *(_keys("", {"group": group[:40]}) if group else ()),
    ]
    for labels in guess.dimensions.values():
        lines += _keys("\n[[dimensions]]", labels.dimension.model_dump(mode="json", exclude_defaults=True))
    for library in names:
        lines += _keys("\n[[libraries]]", {"name": library})
    lines += _keys("\n[sources]", {"labels": "release"})
    if source := guess.facts.get("source"):
        lines += _keys("", {"names": _categories(columns[source])})
    lines += _keys("\n[[releases]]", {"path": file.name})
    release: dict[str, Any] = {fact: column for fact, column in guess.facts.items() if fact != "library"}
    changed = {value: library for value, library in libraries.items() if value != library}
    release["library"] = {"value": names[0]} if not group else {"column": group, "map": changed} if changed else group
    for column, labels in guess.dimensions.items():
        release[labels.dimension.name] = {"column": column, "strip": labels.strip} if labels.strip else column
    lines += _keys("\n[releases.columns]", release)
    return "\n".join(line for line in lines if line) + "\n"


def _library(value: str) -> str:
    """Return a value as the name of a library can be: owner/name is owner-name."""
    name = re.sub(r"[^A-Za-z0-9 _+&().-]+", "-", value).strip("- ")[:40]
    return name if re.match(r"[A-Za-z]", name) and name.lower() not in ("all", "total") else f"L {name}"[:40].strip()


def _keys(header: str, content: Mapping[str, Any]) -> Iterator[str]:
    yield header
    for key, value in content.items():
        yield f"{key} = {_literal(value)}"


def _literal(value: Any) -> str:
    """Return a value as TOML. Texts, booleans, numbers and their lists are written as in JSON, patterns as they are."""
    if isinstance(value, str) and "\\" in value and "'" not in value and value.isprintable():
        return f"'{value}'"
    if isinstance(value, dict):
        pairs = (f"{key if key.isidentifier() else _literal(key)} = {_literal(each)}" for key, each in value.items())
        return f"{{{', '.join(pairs)}}}"
    return json.dumps(value, ensure_ascii=False)


def _taxonomy(guess: _Guess) -> str:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("dimension", "code", "name", "parent", "definition", "example", "aliases"))
    for labels in guess.dimensions.values():
        writer.writerows((labels.dimension.name, code, name, "", "", "", "") for name, code in labels.categories)
    return text.getvalue()


def _claims(guess: _Guess) -> str:
    """Return claims.toml: two examples, as comments."""
    found = list(guess.dimensions.values())
    first, last = found[0], found[-1]
    category, leader = first.categories[0][0], last.categories[0][0]
    about = {"dimension": first.dimension.name, "category": category}
    share = {
        "finding": 1,
        "text": f"{first.dimension.title}: more than a quarter are {category}",
        "kind": "share",
        **about,
    }
    about = {"dimension": last.dimension.name, "category": leader}
    leads = {"finding": 2, "text": f"{last.dimension.title}: {leader} is the most frequent", "kind": "leads", **about}
    examples = [*_keys("[[claims]]", share | {"above": 25}), "", *_keys("[[claims]]", leads)]
    return "".join(
        [
            "# What you expect of the bugs, or what a paper claims: each claim is judged by `dlbug run`.\n"
            "# Two examples; delete the # before those that you mean. All keys: `dlbug schema claims`.\n\n",
            *(f"# {line}".rstrip() + "\n" if line else "\n" for line in examples),
        ]
    )
