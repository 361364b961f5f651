"""The instance that runs are kept in: our settings, and an operator's own beside them."""

from importlib.util import find_spec

import pytest
import yaml

from dlbug_assets.cli.instance import prepared_instance
from dlbug_assets.errors import DlbugError


@pytest.fixture
def local(home):
    home.dagster_home.mkdir(parents=True)
    return home.dagster_home / "dagster.local.yaml"


def settings(home):
    with prepared_instance(home):
        return yaml.safe_load((home.dagster_home / "dagster.yaml").read_text())


def test_an_operators_settings_replace_ours_of_the_same_name_and_go_with_their_file(home, local):
    ours = settings(home)
    local.write_text("run_retries: {enabled: false}\ncode_servers: {local_startup_timeout: 99}\n")
    assert settings(home) == ours | {
        "run_retries": {"enabled": False},
        "code_servers": {"local_startup_timeout": 99},
    }
    local.unlink()
    assert settings(home) == ours


def test_with_a_storage_for_all_histories_there_is_no_other_one_for_events(home, local):
    events = settings(home)["event_log_storage"]
    folder = str(home.dagster_home / "elsewhere")
    local.write_text(yaml.safe_dump({"storage": {"sqlite": {"base_dir": folder}}}))
    found = settings(home)
    assert events["class"] == "EventLog"
    assert found["storage"] == {"sqlite": {"base_dir": folder}}
    assert "event_log_storage" not in found


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("storage: {nosql: {}}", 'Dagster cannot take these settings: Received unexpected config entry "nosql"'),
        ("storage: [", "is no YAML: while parsing"),
        ("- storage", ": settings are written as in dagster.yaml, name by name"),
        pytest.param(
            "storage: {postgres: {postgres_url: {env: DLBUG_NOT_SET}}}",
            'You have attempted to fetch the environment variable "DLBUG_NOT_SET" which is not set.',
            marks=pytest.mark.skipif(find_spec("dagster_postgres") is None, reason="dagster-postgres is not installed"),
        ),
    ],
    ids=["no storage", "no YAML", "no settings", "no address"],
)
def test_settings_that_cannot_be_taken_are_named(home, local, content, said):
    local.write_text(content)
    with pytest.raises(DlbugError) as error, prepared_instance(home):
        pass
    assert str(error.value).startswith(str(local))
    assert said in str(error.value)
    assert "Stack Trace" not in str(error.value)
