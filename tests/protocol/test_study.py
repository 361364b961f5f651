"""A study is a folder or one TOML file; errors in it are reported with their key."""

import os
import re
import shutil
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from dlbug_assets.errors import DlbugError
from dlbug_assets.layout import PROJECT, SCHEMAS, Home
from dlbug_assets.protocol.dimensions import Dimension
from dlbug_assets.protocol.published import PublishedNumbers
from dlbug_assets.protocol.releases import Column, Release
from dlbug_assets.protocol.sections import Author, Citation, Library
from dlbug_assets.protocol.study import Study, load_study, posts_per_library, shipped_studies

MINIMAL = """
[study]
name = "tiny"
title = "A tiny study"
seed = 1

[[libraries]]
name = "Keras"
tags = ["keras"]
repositories = "topic:keras"

[sources]
posts = "sample"
commits = "sample"
labels = "sample"

[labeling]
raters = ["ann", "bob"]
adjudicator = "eve"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "study.toml"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def error_of(folder: Path, text: str) -> str:
    with pytest.raises(DlbugError) as caught:
        load_study(write(folder, text))
    return str(caught.value)


def test_six_studies_ship_and_all_are_valid():
    assert list(shipped_studies()) == ["chaliasos2021", "drosos2024", "islam2019", "live", "modern", "sample"]
    assert {load_study(name).name for name in shipped_studies()} == set(shipped_studies())


def test_defaults_are_the_papers_protocol(tmp_path):
    study = load_study(write(tmp_path, MINIMAL))
    assert study.selection.min_score == 6
    assert study.selection.require_code is True
    assert study.selection.commits_per_library == 100
    assert study.labeling.checkpoints == (5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
    assert {dimension.name: posts_per_library(study, dimension) for dimension in study.dimensions} == {
        "bug_type": None,
        "root_cause": None,
        "effect": None,
        "stage": None,
        "antipattern": 30,
    }


DOCUMENTED = (PROJECT / "docs" / "study.toml").read_text(encoding="utf-8")


def documented_tables() -> dict[type[BaseModel], list[dict[str, Any]]]:
    """Return the tables of docs/study.toml by what describes them; keys that are commented out are documented, too."""
    content = tomllib.loads(re.sub(r"^# (\w+ = |\[)", r"\1", DOCUMENTED, flags=re.M))
    tables: dict[type[BaseModel], list[dict[str, Any]]] = {Study: [content]}
    for name, model in (("libraries", Library), ("dimensions", Dimension), ("releases", Release)):
        tables[model] = content[name]
    tables[PublishedNumbers] = content["published"]
    tables[Citation], tables[Author] = content["study"]["cites"], content["study"]["authors"]
    columns = [column for release in content["releases"] for column in release["columns"].values()]
    tables[Column] = [column if isinstance(column, dict) else {"column": column} for column in columns]
    for name, field in Study.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            tables[field.annotation] = [content[name]]
    return tables


@pytest.mark.parametrize("model", documented_tables())
def test_every_key_of_a_study_is_documented(model):
    known = {field.alias or name for name, field in model.model_fields.items()}
    assert {key for table in documented_tables()[model] for key in table} == known


def test_the_documented_defaults_are_those_of_the_program():
    tables = documented_tables()
    checked = set()
    section = ""
    for line in DOCUMENTED.splitlines():
        if header := re.match(r"(?:# )?\[+([a-z.]+)\]", line):
            section = header[1]
        elif key := re.match(r"(?:# )?(\w+) = .*; default$", line):
            (model,) = [model for model in tables if model.__name__ == SECTIONS[section]]
            value = tomllib.loads(line.removeprefix("# "))[key[1]]
            default = model.model_fields[key[1]].default
            assert (list(default) if isinstance(default, tuple) else default) == value, line
            checked.add((section, key[1]))
    assert len(checked) == 20


#: What describes each table of docs/study.toml.
SECTIONS = {
    "study": "Identity", "selection": "Selection", "libraries": "Library", "dimensions": "Dimension",
    "sources": "Sources", "labeling": "Labeling", "schedule": "Schedule", "releases": "Release",
    "published": "PublishedNumbers",
}  # fmt: skip


def test_a_study_can_have_other_libraries():
    assert load_study("modern").library_names == ("PyTorch", "JAX", "scikit-learn")


def test_only_the_sample_study_is_synthetic():
    assert [name for name in shipped_studies() if load_study(name).is_synthetic] == ["sample"]


def test_the_hash_depends_on_decisions_and_not_on_spelling(tmp_path):
    study = load_study(write(tmp_path, MINIMAL))
    spelled_out = load_study(write(tmp_path, MINIMAL.replace("[labeling]", "[selection]\nmin_score = 6\n[labeling]")))
    decided = load_study(write(tmp_path, MINIMAL.replace("[labeling]", "[selection]\nmin_score = 7\n[labeling]")))
    assert study.hash == spelled_out.hash
    assert study.hash != decided.hash


def test_the_hash_does_not_depend_on_where_the_folder_is(tmp_path):
    text = MINIMAL.replace('posts = "sample"', 'posts = "dump"\ndump_path = "dumps/Posts.xml"')
    text = text.replace('labels = "sample"', 'labels = "files"') + '[taxonomy]\nextra = "more.csv"\n'
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, text)
    elsewhere = write(tmp_path, text.replace("dumps/", "other/"))
    hashes = [load_study(folder).hash for folder in (tmp_path / "here", tmp_path / "there", elsewhere)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_tags_are_spelled_as_the_site_does(tmp_path):
    text = MINIMAL.replace('["keras"]', '[" Keras ", "keras", "Apache Spark", "TF_Keras", "C++", ".NET", "c#"]')
    study = load_study(write(tmp_path, text))
    assert study.libraries[0].tags == ("keras", "apache-spark", "tf-keras", "c++", ".net", "c#")


def test_paths_are_relative_to_the_file(tmp_path):
    text = MINIMAL.replace('posts = "sample"', 'posts = "dump"\ndump_path = "dumps/Posts.xml"')
    study = load_study(write(tmp_path, text.replace('labels = "sample"', 'labels = "files"')))
    assert study.sources.dump_path == tmp_path / "dumps" / "Posts.xml"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("seed = 1", "seed = 1\ncolour = 3", "study.colour: unknown key"),
        ("seed = 1", "", "study.seed: missing"),
        ("seed = 1", 'seed = 1\n[schedule]\nrefresh = "daily"', "schedule.refresh: not a cron expression that is ever"),
        (
            "seed = 1",
            'seed = 1\n[schedule]\nsweep = "0 0 31 2 *"',
            "schedule.sweep: not a cron expression that is ever",
        ),
        ("seed = 1", 'seed = "one"', "study.seed: "),
        ('name = "tiny"', 'name = "Tiny Study"', "study.name: use a small letter"),
        ('tags = ["keras"]', "tags = []", "libraries.0.tags: "),
        (
            'tags = ["keras"]',
            'tags = ["keras", " "]',
            "libraries.0.tags.1: write a text of 1 character or more",
        ),
        (
            'tags = ["keras"]',
            'tags = ["keras;gpu"]',
            "libraries.0.tags: 'keras;gpu' is not a tag: list each tag by itself",
        ),
        ('name = "Keras"', 'name = "All"', "libraries.0.name: 'All' means all libraries"),
        ('posts = "sample"', 'posts = "rss"', "sources.posts: "),
        ('posts = "sample"', 'posts = "dump"', "sources: posts = 'dump' needs dump_path"),
        ('posts = "sample"', 'posts = "sample"\ndump_path = "P.xml"', "sources: dump_path is for posts ="),
        ('posts = "sample"', 'posts = "sample"\nsample_size = 0', "sources.sample_size: "),
        (
            'posts = "sample"\ncommits = "sample"\nlabels = "sample"',
            'posts = "api"\ncommits = "api"\nlabels = "files"\nsample_size = 10',
            "sources: sample_size is the size of the synthetic corpus",
        ),
        ('posts = "sample"', 'posts = "api"', "sources: labels = 'sample' are invented for synthetic items"),
        ('["ann", "bob"]', '["ann"]', "labeling.raters: agreement needs two raters"),
        ('["ann", "bob"]', '["ann", "ann"]', "labeling.raters: two raters have the same name"),
        ('["ann", "bob"]', '["ann", "../bob"]', "labeling.raters.1: '../bob': use up to 40 letters, digits and _"),
        (
            'adjudicator = "eve"',
            'adjudicator = "/../../eve"',
            "labeling.adjudicator: '/../../eve': use up to 40 letters",
        ),
        ('adjudicator = "eve"', "", "labeling.adjudicator: missing; the adjudicator decides"),
        ('adjudicator = "eve"', 'adjudicator = "ann"', "labeling: adjudicator 'ann' is also a rater"),
        ('"bob"', f'"{"b" * 41}"', "labeling.raters.1: 'bbbb"),
        ('"bob"', '"Ann"', "labeling.raters: 'ann' and 'Ann' differ only in case, but they name files"),
        ('"eve"', '"ANN"', "labeling: 'ann' and 'ANN' differ only in case, but they name files"),
        ('"bob"', '"NUL"', "labeling.raters.1: 'NUL' is the name of a device on Windows"),
        ('name = "Keras"', 'name = "com1"', "libraries.0.name: 'com1' is the name of a device on Windows"),
        ('name = "Keras"', f'name = "{"k" * 41}"', "libraries.0.name: write a text of 40 characters or less"),
        ('name = "tiny"', 'name = "lpt1"', "study.name: 'lpt1' is the name of a device on Windows"),
        ("A tiny study", "\\u001b[2J", "study.title: contains the control character U+001B: remove it"),
        (
            "topic:keras",
            "a" * 2001,
            "libraries.0.repositories: write a text of 2,000 characters or less or a list",
        ),
        ('adjudicator = "eve"', 'adjudicator = "eve"\ncheckpoints = [10, 5, 100]', "labeling.checkpoints: checkpoints"),
        ('adjudicator = "eve"', 'adjudicator = "eve"\n[selection]\nfix_pattern = "("', "selection.fix_pattern: not a"),
        (
            'adjudicator = "eve"',
            'adjudicator = "eve"\n[selection]\ncreated_from = 2020-01-01\ncreated_until = 2019-01-01',
            "selection: created_from is after created_until",
        ),
    ],
)
def test_errors_name_file_and_key(tmp_path, old, new, expected):
    message = error_of(tmp_path, MINIMAL.replace(old, new))
    assert message.startswith(f"{tmp_path / 'study.toml'}: ")
    assert expected in message


@pytest.mark.parametrize("libraries", ["5", '"Keras"', "[5]"])
def test_libraries_that_are_not_tables_are_an_error(tmp_path, libraries):
    without = re.sub(r"\[\[libraries]][^\[]*", "", MINIMAL.replace('tags = ["keras"]', ""))
    assert f"{tmp_path / 'study.toml'}: libraries" in error_of(tmp_path, f"libraries = {libraries}\n{without}")


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("study", "seed"),
        ("selection", "min_score"),
        ("selection", "commits_per_library"),
        ("sources", "sample_size"),
        ("labeling", "kappa_target"),
        ("labeling", "antipattern_posts_per_library"),
    ],
)
def test_a_boolean_is_not_a_number(tmp_path, section, key):
    text = f"{MINIMAL}\n[selection]".replace("seed = 1", "").replace(f"[{section}]", f"[{section}]\n{key} = true")
    message = error_of(tmp_path, text)
    assert f"{section}.{key}: write a {'number' if key == 'kappa_target' else 'whole number'}, not true" in message
    assert message.count("not true") == 1


@pytest.mark.parametrize(
    ("section", "key", "lowest", "highest"),
    [
        ("study", "seed", 0, 2**63 - 1),
        ("selection", "min_score", -1_000_000, 1_000_000),
        ("selection", "commits_per_library", 1, 1_000_000),
        ("sources", "sample_size", 1, 10_000),
        ("labeling", "antipattern_posts_per_library", 0, 1_000_000),
    ],
)
def test_every_whole_number_has_bounds_that_the_tables_can_hold(tmp_path, section, key, lowest, highest):
    def text(value):
        return f"{MINIMAL}\n[selection]".replace("seed = 1", "").replace(
            f"[{section}]", f"[{section}]\n{key} = {value}"
        )

    for value in (lowest, highest):
        content = text(value) if key == "seed" else text(value).replace("[study]", "[study]\nseed = 1")
        assert getattr(getattr(load_study(write(tmp_path, content)), section), key) == value
    for value, bound in ((lowest - 1, f"{lowest} or more"), (highest + 1, f"{highest} or less")):
        message = error_of(tmp_path, text(value))
        assert f"{section}.{key}: write {bound}, not {value}" in message


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("9" * 400, "study.seed: write 9223372036854775807 or less, not 9999"),
        (
            "0x" + "f" * 10_000,
            "study.seed: write 9223372036854775807 or less, not such a large",
        ),
        ("1e400", "study.seed: write a whole number, not inf"),
        ("nan", "study.seed: write a whole number, not nan"),
    ],
)
def test_a_number_that_no_table_can_hold_is_reported_briefly(tmp_path, number, expected):
    message = error_of(tmp_path, MINIMAL.replace("seed = 1", f"seed = {number}"))
    assert f"study.toml: {expected}" in message
    assert len(message) < 400


def test_a_number_with_more_digits_than_python_reads_is_reported_with_its_key(tmp_path):
    message = error_of(tmp_path, MINIMAL.replace("seed = 1", f"seed = {'9' * 5000}"))
    assert message == f"{tmp_path / 'study.toml'}, line 5: study.seed: a number of more than 4300 digits"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("nan", "1 or less, not nan"),
        ("inf", "1 or less, not inf"),
        ("1e400", "1 or less, not inf"),
        ("-1e400", "more than 0, not -inf"),
        ("0", "more than 0, not 0"),
        ("1.01", "1 or less, not 1.01"),
    ],
)
def test_the_target_of_kappa_is_a_share(tmp_path, target, expected):
    message = error_of(tmp_path, f"{MINIMAL}kappa_target = {target}\n")
    assert f"labeling.kappa_target: write {expected}" in message


def test_missing_raters_are_reported_as_a_missing_table(tmp_path):
    without = MINIMAL[: MINIMAL.index("[labeling]")]
    assert "labeling: missing; add the table [labeling] with two raters or more" in error_of(tmp_path, without)


@pytest.mark.parametrize("day", ["0", "1600000000", "1e400", "true"])
def test_a_number_is_not_a_date(tmp_path, day):
    message = error_of(tmp_path, f"{MINIMAL}\n[selection]\ncreated_from = {day}")
    assert "selection.created_from: use a date such as 2020-01-31, not " in message


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("(?=fix)", "look-around, including look-ahead and look-behind, is not supported"),
        (r"(fix) \1", "backreferences are not supported"),
        ("a{99999999999}", "decimal literal invalid"),
        ("(a{1000}){1000}", "it is too large: let it repeat less"),
        ("(" * 1000, "unclosed group"),
    ],
)
def test_a_pattern_that_could_take_exponential_time_or_memory_is_refused(tmp_path, pattern, expected):
    message = error_of(tmp_path, f"{MINIMAL}\n[selection]\nfix_pattern = '{pattern}'")
    assert message == (
        f"{tmp_path / 'study.toml'}: selection.fix_pattern: not a regular expression that matches in linear time "
        f"(https://docs.rs/regex/#syntax): {expected}"
    )


def test_libraries_differ_in_more_than_case(tmp_path):
    tables = MINIMAL.split("[sources]")
    second = tables[0].partition("[[libraries]]")[2].replace("Keras", "keras")
    message = error_of(tmp_path, f"{tables[0]}[[libraries]]{second}[sources]{tables[1]}")
    assert "study.toml: 'Keras' and 'keras' differ only in case, but they name files: use different names" in message


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            ["Mail", "C", "C++"],
            "'C' and 'C++' differ in no letter or digit, but they name columns (both 'c'): use different names",
        ),
        (
            ["Stack-Overflow"],
            "'Stack Overflow' and 'Stack-Overflow' differ in no letter or digit, but they name columns "
            "(both 'stack_overflow'): use different names",
        ),
        (["почта"], "'почта': use letters from a to z or digits (it names columns)"),
        (["Both"], "'Both' means all sources together: use another name"),
    ],
)
def test_sources_are_told_apart_in_the_names_of_columns(tmp_path, names, expected):
    message = error_of(tmp_path, MINIMAL.replace("[sources]", f"[sources]\nnames = {names}"))

    assert message == f"{tmp_path / 'study.toml'}: sources: {expected}"


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 10_000,
        "a = " + "{a = " * 10_000,
        "a." * 400_000 + "a = 1",
        '"a".' * 200_000 + "a = 1",
        "a" * 1_000_000,
        "".join(f"[a{number}]\n" for number in range(50_000)),
    ],
    ids=["arrays", "inline tables", "dotted key", "quoted keys", "one long key", "many tables"],
)
def test_hostile_toml_is_refused_within_seconds(tmp_path, text):
    message = error_of(tmp_path, text)
    assert message.startswith(str(tmp_path / "study.toml"))
    assert len(message) < 500


def test_only_the_first_problems_are_listed(tmp_path):
    message = error_of(tmp_path, "".join(f"key{number} = 1\n" for number in range(100)) + MINIMAL)
    known = ", ".join(Study.model_fields)
    rest = "".join(f"; key{number}: unknown key" for number in range(1, 10))
    assert message == f"{tmp_path / 'study.toml'}: key0: unknown key (known are {known}){rest}; 90 more"


def test_a_byte_order_mark_is_skipped(tmp_path):
    (tmp_path / "study.toml").write_text(MINIMAL, encoding="utf-8-sig")
    assert load_study(tmp_path / "study.toml").name == "tiny"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"[study]\nname = '\xff'", ", line 2: not valid UTF-8 (invalid start byte); save it as UTF-8"),
        (MINIMAL.encode("utf-16"), ", line 1: not valid UTF-8 (invalid start byte); save it as UTF-8"),
        (b"[study]\nname = '\0'", ", line 2: not valid UTF-8 (a null character); save it as UTF-8"),
        (b"#" * (1 << 20) + b"\n", " is larger than 1 MiB; a study is a folder, a TOML file"),
    ],
)
def test_files_that_are_not_text_in_utf_8_are_refused(tmp_path, content, expected):
    (tmp_path / "study.toml").write_bytes(content)
    with pytest.raises(DlbugError) as caught:
        load_study(tmp_path / "study.toml")
    assert str(caught.value).startswith(f"{tmp_path / 'study.toml'}{expected}")


@pytest.mark.timeout(10)
def test_a_pipe_a_device_a_folder_and_a_sparse_file_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder" / "study.toml").mkdir(parents=True)
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(100 << 30)
    for path, reason in {
        tmp_path / "pipe": "is not a regular file",
        Path("/dev/zero"): "is not a regular file",
        tmp_path / "folder": "is a folder",
        tmp_path / "sparse": "is larger than 1 MiB",
    }.items():
        with pytest.raises(DlbugError) as caught:
            load_study(path)
        file = path / "study.toml" if path.is_dir() else path
        assert str(caught.value).startswith(f"{file} {reason}; a study is a folder, a TOML file, or the ")


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_study_cannot_have_the_name_of_a_schema(tmp_path, schema):
    message = error_of(tmp_path, MINIMAL.replace('"tiny"', f'"{schema}"'))
    assert f"study.name: '{schema}' is the name of a schema" in message


def test_repositories_are_a_search_or_a_list_whose_paths_are_relative_to_the_file(tmp_path):
    listed = MINIMAL.replace('repositories = "topic:keras"', 'repositories = ["a/b", "./c", "https://h/d.git"]')
    path = tmp_path / "study.toml"
    path.write_text(listed, encoding="utf-8")
    assert load_study(path).libraries[0].repositories == ("a/b", str(tmp_path / "c"), "https://h/d.git")
    dated = MINIMAL.replace('"topic:keras"', '"topic:keras created:>2019-01-01"')
    assert "leave created: out of the search" in error_of(tmp_path, dated)
    for wrong in ("[]", '""', '["a/b", 1]', '["a/b", " "]', "7"):
        message = error_of(tmp_path, MINIMAL.replace('repositories = "topic:keras"', f"repositories = {wrong}"))
        assert "repositories: use a search such as 'topic:keras', or a list of repositories such as" in message


def listing(*addresses):
    """Return a study with these repositories."""
    return MINIMAL.replace('"topic:keras"', str(list(addresses)))


@pytest.mark.parametrize(
    "address",
    [
        "https://ghp_s3cret@github.com/a/b.git",
        "https://jane:s3cret@github.com/a/b.git",
        "HTTPS://s3cret:@github.com/a/b.git",
        "http://s3cret@x@github.com/a/b.git",
        " https://s3cret@github.com/a/b.git",
        "ssh://git:s3cret@github.com/a/b.git",
    ],
)
def test_an_address_with_a_secret_is_rejected_without_showing_it(tmp_path, address):
    message = error_of(tmp_path, listing("a/c", address))
    named = f"{address.strip().partition('://')[0]}://github.com/a/b.git"
    assert f"libraries.0.repositories: the address of '{named}' contains an account, password or token" in message
    assert "a study is published: use ssh://git@host/owner/name.git, or a public address" in message
    assert "s3cret" not in message
    assert "contains an account" in error_of(tmp_path, MINIMAL.replace("topic:keras", address))


@pytest.mark.parametrize("address", ["git@github.com:a/b.git", "github.com:a/b.git", "s3cret:x@github.com:a/b.git"])
def test_the_short_form_of_ssh_addresses_is_rejected(tmp_path, address):
    message = error_of(tmp_path, listing(address))
    assert (
        "libraries.0.repositories: 'github.com:a/b.git' is not an address: write ssh://git@host/owner/name.git"
        in message
    )
    assert "s3cret" not in message


@pytest.mark.parametrize("address", ["ssh://git@h/a/b.git", "ssh://git@[::1]:22/a/b.git", "https://h/@a/b", "/a:b/c@d"])
def test_ssh_accounts_and_paths_with_special_characters_are_accepted(tmp_path, address):
    assert load_study(write(tmp_path, listing(address))).libraries[0].repositories == (address,)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a/b", "a/b"),
        ("a/b", "https://github.com/A/b.git"),
        ("a/b", "a/b.git"),
        ("a/b", "ssh://git@GitHub.com/a/b/"),
        ("https://gitlab.com/a/b", "ssh://git@gitlab.com/a/b.git"),
        ("/srv/a", "file:///srv/a.git"),
    ],
)
def test_a_repository_that_is_listed_twice_is_an_error(tmp_path, one, other):
    message = error_of(tmp_path, listing("x/y", one, other))
    assert f"libraries.0.repositories: {one!r} and {other!r} are the same repository: list it once" in message


def test_a_path_with_a_null_character_is_an_error_and_a_loop_of_links_is_not(tmp_path):
    message = error_of(tmp_path, MINIMAL.replace('"topic:keras"', '["./a\\u0000b"]'))
    assert message.endswith("libraries.0.repositories: contains the control character U+0000: remove it")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    study = load_study(write(tmp_path, MINIMAL.replace('"topic:keras"', '["./loop"]')))
    assert study.libraries[0].repositories == (str(tmp_path / "loop"),)


@pytest.mark.parametrize("address", ["owner/" + "x" * 256, "/srv/" + "é" * 128, "https://h/" + "x" * 256])
def test_an_address_with_a_name_that_no_file_can_have_is_an_error(tmp_path, address):
    message = error_of(tmp_path, listing("a/b", address))
    assert f"libraries.0.repositories: '{address[:20]}" in message
    assert message.endswith("..: a name in an address or path has up to 255 bytes")


def test_paths_are_case_sensitive_and_libraries_can_share_a_repository(tmp_path):
    assert load_study(write(tmp_path, listing("/srv/a", "/srv/A"))).libraries[0].repositories == ("/srv/a", "/srv/A")
    tables = listing("a/b").split("[sources]")
    second = tables[0].partition("[[libraries]]")[2].replace("Keras", "Torch")
    both = f"{tables[0]}[[libraries]]{second}[sources]{tables[1]}"
    assert [library.repositories for library in load_study(write(tmp_path, both)).libraries] == [("a/b",), ("a/b",)]


def test_invalid_toml_is_reported_with_its_line(tmp_path):
    assert "not valid TOML" in error_of(tmp_path, "[study\nname = 1")
    assert "line 1" in error_of(tmp_path, "[study\nname = 1")


def test_an_unknown_study_is_an_error_that_lists_the_known_ones_and_suggests_the_nearest(tmp_path):
    home = Home(tmp_path, "my_sample")
    home.folder.mkdir()
    home.study_path.write_text("anywhere", encoding="utf-8")
    with pytest.raises(DlbugError) as caught:
        load_study("smaple", {"DLBUG_HOME": str(tmp_path)})
    assert str(caught.value) == (
        "unknown study 'smaple': it is neither a folder with a study.toml, nor a TOML file, nor one of chaliasos2021, "
        "drosos2024, islam2019, live, modern, sample, my_sample (did you mean 'sample'?). `dlbug new NAME` creates a "
        "study."
    )


def run_before(root: Path, name: str, path: Path) -> dict[str, str]:
    """Record that the study was run from a path, as runs do; return the environment of its home."""
    home = Home(root, name)
    home.folder.mkdir(parents=True, exist_ok=True)
    home.study_path.write_text(str(path), encoding="utf-8")
    return {"DLBUG_HOME": str(root)}


def test_a_study_is_a_folder_a_file_a_shipped_name_or_the_name_of_one_that_was_run(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    path = write(tmp_path / "mine", MINIMAL)
    environ = run_before(tmp_path / "home", "tiny", path)
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "mine/study.toml", path, "tiny"):
        study = load_study(name, environ)
        assert (study.name, study.files.study) == ("tiny", path)
    assert load_study("sample", environ).files.study == shipped_studies()["sample"]


def test_a_path_takes_precedence_over_a_study_that_was_run_and_a_folder_without_a_study_does_not(tmp_path, monkeypatch):
    environ = run_before(tmp_path, "tiny", write(tmp_path, MINIMAL))
    monkeypatch.chdir(tmp_path)
    # The home itself is such a folder.
    assert load_study("tiny", environ).study.title == "A tiny study"
    write(tmp_path / "tiny", MINIMAL.replace("A tiny study", "Another one"))
    assert load_study("tiny", environ).study.title == "Another one"


def test_a_study_that_was_run_and_is_gone_is_an_error_that_names_where_it_was(tmp_path):
    environ = run_before(tmp_path, "tiny", tmp_path / "gone" / "study.toml")
    with pytest.raises(DlbugError) as caught:
        load_study("tiny", environ)
    assert str(caught.value) == (
        f"the study 'tiny' was run from {tmp_path}/gone/study.toml, which does not exist any more: put it back, or "
        "name the folder or file where the study is now"
    )


def test_a_study_that_was_run_and_was_renamed_is_an_error(tmp_path):
    environ = run_before(tmp_path / "home", "huge", write(tmp_path, MINIMAL))
    with pytest.raises(DlbugError, match=r"study.toml: study.name is 'tiny', but the study 'huge' was run from this"):
        load_study("huge", environ)


@pytest.mark.parametrize("name", ["../tiny", "Tiny", "tiny/", ".", "", "tiny\n"])
def test_only_the_name_of_a_study_is_looked_for_in_the_home(tmp_path, name):
    environ = run_before(tmp_path / "home" / "deep", "tiny", write(tmp_path, MINIMAL))
    with pytest.raises(DlbugError, match="unknown study|is a folder"):
        load_study(name, environ)


def test_a_shipped_name_is_only_for_the_study_that_ships(tmp_path):
    shutil.copytree(shipped_studies()["islam2019"].parent, tmp_path / "copy")
    assert load_study(tmp_path / "copy").hash == load_study("islam2019").hash
    with (tmp_path / "copy" / "taxonomy.csv").open("a", encoding="utf-8") as file:
        file.write("effect,SLOW,Slow Training,,,,\n")
    with pytest.raises(DlbugError) as caught:
        load_study(tmp_path / "copy")
    assert str(caught.value) == (
        f"{tmp_path}/copy/study.toml: study.name: 'islam2019' is the name of a study that ships, but this is another "
        "study: use another name"
    )


def test_an_unknown_study_to_follow_is_an_error_with_the_nearest_one(tmp_path):
    message = error_of(tmp_path, MINIMAL.replace("seed = 1", 'seed = 1\nfollows = "islam"'))
    assert "study.toml: study.follows: 'islam' is not one of chaliasos2021, " in message
    assert message.endswith("(did you mean 'islam2019'?)")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "seed = 1",
            "seed = 1\nsead = 1",
            "study.sead: unknown key (did you mean 'seed'?) (known are name, title, seed, group, follows, cites, "
            "licence, keywords, authors)",
        ),
        ('tags = ["keras"]', 'tags = ["keras"]\ntag = "k"', "libraries.0.tag: unknown key (did you mean 'tags'?) ("),
        ("[sources]", "files = {}\n[sources]", "libraries.0.files: unknown key (known are name, tags, "),
        (
            "[sources]",
            '[[dimensions]]\nname = "cause"\nasked_of = {posts = 3}\n[sources]',
            "dimensions.0 ('cause').asked_of.posts: unknown key (known are posts_per_library)",
        ),
        (
            "[sources]",
            '[[releases]]\nfile = "a.csv"\ncolumns = {link = {colum = "x"}}\n[sources]',
            "releases.0.columns.link.colum: unknown key (did you mean 'column'?) (known are column, value, file, "
            "template, from, ignore_case, extract, strip, map, separator)",
        ),
    ],
)
def test_an_unknown_key_is_reported_with_the_known_ones_and_the_nearest(tmp_path, old, new, expected):
    assert expected in error_of(tmp_path, MINIMAL.replace(old, new))


def test_the_files_of_a_study_are_not_a_key(tmp_path):
    assert "study.toml: files: unknown key" in error_of(tmp_path, f"files = {{}}\n{MINIMAL}")


@pytest.mark.parametrize("orcid", ["0000-0002-1825-0097", "0000-0001-5109-3700", "0000-0002-1694-233X"])
def test_an_orcid_with_its_check_digit_is_accepted(tmp_path, orcid):
    content = MINIMAL.replace("seed = 1", f'seed = 1\nauthors = [{{family = "Doe", orcid = "{orcid}"}}]')
    assert load_study(write(tmp_path, content)).study.authors[0].orcid == orcid


def test_an_orcid_with_another_check_digit_is_an_error(tmp_path):
    content = MINIMAL.replace("seed = 1", 'seed = 1\nauthors = [{family = "Doe", orcid = "0000-0002-1825-0079"}]')
    assert "study.authors.0.orcid: 0000-0002-1825-0079 is not an ORCID: its last digit" in error_of(tmp_path, content)
