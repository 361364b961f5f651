"""claims.toml: what a claim may state, and errors with file, key, the nearest name and the known ones."""

import json
import re

import pytest

from dlbug_assets.errors import DlbugError
from dlbug_assets.protocol.claims import (
    Claims,
    claim_rows,
    load_claims,
    numbers,
    parsed_claims,
    printed_decimals,
    study_claims,
)
from dlbug_assets.protocol.study import load_study
from dlbug_assets.protocol.taxonomy import load_taxonomy

KNOWN = {
    "dimensions": ("effect", "cause"),
    "categories": {"effect": ("Crash", "Hang"), "cause": ("Misuse", "Change")},
    "libraries": ("Keras", "Torch"),
    "sources": ("Stack Overflow", "GitHub"),
}
LEADS = 'kind = "leads"\ndimension = "effect"\ncategory = "Crash"\n'


def _claim(lines, finding=1, role="headline"):
    return f'[[claims]]\nfinding = {finding}\nrole = "{role}"\ntext = "x"\n{lines}\n'


@pytest.fixture
def load(tmp_path):
    def run(text, **other):
        path = tmp_path / "claims.toml"
        path.write_text(text, encoding="utf-8")
        return load_claims(path, **KNOWN | other)

    return run


@pytest.mark.parametrize("name", ["islam2019", "sample", "live", "modern"])
def test_studies_that_ship_have_the_claims_of_the_paper(name):
    study = load_study(name)

    claims = study_claims(study, load_taxonomy(study))

    assert len(claims) == 40
    assert len({claim.finding for claim in claims if claim.role == "headline"}) == 21
    assert parsed_claims(row["definition"] for row in claim_rows(claims)) == claims


def test_a_study_may_have_no_claims(load):
    assert load("") == ()


def test_claims_are_in_the_order_of_the_file(load):
    claims = load(_claim(LEADS, finding=2) + _claim(LEADS, finding=1))

    assert [(row["position"], row["finding"]) for row in claim_rows(claims)] == [(1, 2), (2, 1)]


def test_the_category_of_a_bug_may_be_its_library_or_source(load):
    share = 'kind = "share"\nabove = 5\nwithin = {dimension = "effect", categories = ["Hang"]}\n'

    claims = load(
        _claim(share + 'dimension = "library"\ncategory = "Torch"')
        + _claim(share + 'dimension = "source"\ncategory = "GitHub"', finding=2)
    )

    assert [claim.together for claim in claims] == [("Torch",), ("GitHub",)]


def test_claims_of_a_followed_study_may_speak_of_what_the_study_does_not_have(load):
    text = _claim(LEADS + 'libraries = ["Caffe"]')

    assert load(text, followed=True)[0].libraries == ("Caffe",)
    with pytest.raises(DlbugError, match="unknown library 'Caffe'"):
        load(text)


def test_an_open_dimension_has_any_category(load):
    assert load(_claim(LEADS), categories={"cause": ("Misuse",)})


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (
            'kind = "lead"',
            "claims.0 ('x').kind: unknown kind 'lead' (did you mean 'leads'?); known are share, leads, rank, more, "
            "alike, differ, correlated, trend, query",
        ),
        ("", "claims.0 ('x').kind: missing; known are share, "),
        ("kind = 3", "claims.0 ('x').kind: unknown kind 3; known are share, "),
        (
            LEADS.replace('"effect"', '"effects"'),
            "claims.0 ('x').dimension: unknown dimension 'effects' (did you mean 'effect'?); known are effect, cause, "
            "library, source",
        ),
        (
            LEADS.replace('"Crash"', '"Crush"'),
            "claims.0 ('x').category: unknown category 'Crush' (did you mean 'Crash'?); known are Crash, Hang",
        ),
        (
            LEADS.replace('category = "Crash"', 'categories = ["Crash", "Misuse"]'),
            "claims.0 ('x').categories: unknown category 'Misuse'",
        ),
        (
            LEADS + 'libraries = ["keras"]',
            "claims.0 ('x').libraries: unknown library 'keras' (did you mean 'Keras'?); known are Keras, Torch",
        ),
        (
            LEADS + 'source = "Github"',
            "claims.0 ('x').source: unknown source 'Github' (did you mean 'GitHub'?); known are Stack Overflow, GitHub",
        ),
        (
            LEADS + 'shown = ["Kerras"]',
            "claims.0 ('x').shown: unknown category or library 'Kerras' (did you mean 'Keras'?)",
        ),
        (
            LEADS + 'within = {dimension = "causes", categories = ["Misuse"]}',
            "claims.0 ('x').within.dimension: unknown dimension 'causes' (did you mean 'cause'?)",
        ),
        (
            LEADS + 'within = {dimension = "cause", categories = ["Misuses"]}',
            "claims.0 ('x').within.categories: unknown category 'Misuses' (did you mean 'Misuse'?)",
        ),
        (
            LEADS.replace("leads", "more") + 'than = {category = "Hung"}',
            "claims.0 ('x').than.category: unknown category 'Hung' (did you mean 'Hang'?)",
        ),
        (
            LEADS.replace("leads", "more") + 'than = {libraries = ["Torhc"]}',
            "claims.0 ('x').than.libraries: unknown library 'Torhc' (did you mean 'Torch'?)",
        ),
        ('kind = "alike"\ndimension = "effect"\nexcept = ["Cras"]', "claims.0 ('x').except: unknown category 'Cras'"),
        (
            'kind = "correlated"\ndimension = "effect"\nat_least = 0.5\nexcept = ["Toch"]\nbelow = 0.2',
            "claims.0 ('x').except: unknown library 'Toch'",
        ),
        (
            'kind = "trend"\ndimension = "effect"\ncategory = "Crash"\ndirection = "rising"\nyears = [2015, 2016]\n'
            'shown = ["Kera"]',
            "claims.0 ('x').shown: unknown library 'Kera'",
        ),
    ],
)
def test_unknown_names_are_reported_with_the_nearest_and_the_known_ones(load, lines, problem):
    with pytest.raises(DlbugError, match=f"claims.toml: {re.escape(problem)}"):
        load(_claim(lines))


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ('kind = "leads"\ndimension = "effect"', "claims.0 ('x'): category: missing; name a category, or several"),
        (LEADS + 'categories = ["Crash"]', "claims.0 ('x'): category: missing; name a category, or several"),
        (
            LEADS.replace("leads", "share"),
            "claims.0 ('x'): a share needs one of above, at_least, below, between and close_to",
        ),
        (LEADS.replace("leads", "share") + "above = 3\nbelow = 5", "claims.0 ('x'): a share needs one of"),
        (
            LEADS.replace("leads", "share") + "between = [5, 3]",
            "claims.0 ('x'): between: 5.0 is above 3.0: exchange them",
        ),
        (
            LEADS.replace("leads", "share") + "above = 101",
            "claims.0 ('x').above: write 100 or less",
        ),
        (LEADS.replace("leads", "rank"), "claims.0 ('x'): a rank needs either at_most or exactly"),
        (LEADS.replace("leads", "more"), "claims.0 ('x').than: missing"),
        (
            LEADS.replace("leads", "more") + "than = {}",
            "claims.0 ('x').than: needs a category, libraries or a source that differs",
        ),
        (
            'kind = "trend"\ndimension = "effect"\ncategory = "Crash"',
            "claims.0 ('x').direction: missing; claims.0 ('x').years: missing",
        ),
        (LEADS + "years = [2016, 2015]", "claims.0 ('x').years: list the years in order, each once"),
        (
            LEADS + 'years = [2015]\nwithin = {dimension = "cause", categories = ["Misuse"]}',
            "claims.0 ('x'): years: bugs are limited either to years or to those within other categories",
        ),
        (LEADS + 'shows = "comparison"', "claims.0 ('x'): shows: 'comparison' is for kind = 'more'"),
        (LEADS + 'sense = "about"', "claims.0 ('x'): printed: missing; sense is about what the paper prints"),
        (
            LEADS + 'printed = "many"\nsense = "about"',
            "claims.0 ('x'): printed: 'many' has no number, which sense = 'about' needs",
        ),
        (
            'kind = "alike"\ndimension = "effect"\nunlike = ["Torch"]',
            "claims.0 ('x'): unlike: needs a source and the libraries",
        ),
        (
            'kind = "alike"\ndimension = "effect"\nsource = "GitHub"\nshows = "p_values"',
            "claims.0 ('x'): shows: 'p_values' are of two sources: leave source out",
        ),
        (
            'kind = "correlated"\ndimension = "effect"\nat_least = 0.6\nbelow = 0.2',
            "claims.0 ('x'): except and below belong together",
        ),
        ('kind = "query"', "claims.0 ('x').query: missing"),
        (
            LEADS + "above = 3",
            "claims.0 ('x').above: unknown key (did you mean 'over'?) (known are finding, role, text, metric, section, "
            "printed, sense, dimension, libraries, source, category, categories, within, years, over, shows, shown, ",
        ),
        (LEADS + 'librarys = ["Keras"]', "claims.0 ('x').librarys: unknown key (did you mean 'libraries'?)"),
        (
            LEADS.replace("leads", "more") + 'than = {librarys = ["Keras"]}',
            "claims.0 ('x').than.librarys: unknown key (did you mean 'libraries'?) (known are category, libraries, ",
        ),
        (LEADS + "libraries = []", "claims.0 ('x').libraries: "),
        (LEADS + f'metric = "{"x" * 1001}"', "claims.0 ('x').metric: write a text of 1,000 characters or less"),
    ],
)
def test_a_claim_that_lacks_what_its_kind_needs_is_an_error_with_the_key(load, lines, problem):
    with pytest.raises(DlbugError, match=f"claims.toml: {re.escape(problem)}"):
        load(_claim(lines))


def test_one_claim_of_a_finding_decides_it(load):
    with pytest.raises(DlbugError, match=r"claims\.1 \('x'\)\.role: finding 2 has no headline"):
        load(_claim(LEADS) + _claim(LEADS, finding=2, role="supporting"))
    with pytest.raises(
        DlbugError, match=r"claims\.0 \('x'\)\.role: finding 1 has 2 headlines: keep the one that decides it"
    ):
        load(_claim(LEADS) + _claim(LEADS))
    assert load(_claim(LEADS) + _claim(LEADS, role="supporting"))


def test_all_problems_are_reported_up_to_ten(load):
    text = "".join(_claim(LEADS.replace("Crash", f"No {number}"), finding=number) for number in range(1, 13))

    with pytest.raises(DlbugError) as error:
        load(text)

    assert str(error.value).count("unknown category") == 10
    assert str(error.value).endswith("; 2 more")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("claims = 3", r"claims: write tables \[\[claims\]\], not 3"),
        ("claim = []", r"claim: unknown key \(did you mean 'claims'\?\)"),
        ("[[claims]", "not valid TOML"),
        (_claim(LEADS.replace("Crash", "Cr\\u0007ash")), r"contains the control character U\+0007"),
    ],
)
def test_files_that_are_no_claims_are_errors_with_their_name(load, text, problem):
    with pytest.raises(DlbugError, match=f"claims.toml: .*{problem}"):
        load(text)


def test_a_file_that_is_missing_is_an_error_with_its_name(tmp_path):
    with pytest.raises(DlbugError, match="cannot read .*claims.toml: No such file or directory"):
        load_claims(tmp_path / "claims.toml", **KNOWN)


def test_the_json_schema_describes_every_kind():
    schema = json.dumps(Claims.model_json_schema())

    for kind in ("share", "leads", "rank", "more", "alike", "differ", "correlated", "trend", "query"):
        assert f'"{kind}"' in schema
    assert '"except"' in schema


def test_printed_numbers_are_read_without_their_names():
    assert numbers("Keras=25; Caffe=37") == [25, 37]
    assert numbers("6; 100 | 100; 100") == [6, 100, 100, 100]
    assert numbers("see table2_p.csv") == []
    assert numbers("Ansible=27.66%; Chef=-3") == [27.66, -3]
    assert [printed_decimals(text) for text in ("27.66; 30", "30", "see table2_p.csv")] == [2, 0, 0]
