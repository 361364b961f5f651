"""The instance's settings: ours in dagster.yaml, and an operator's own in dagster.local.yaml."""

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


def test_local_settings_replace_ours_until_their_file_is_removed(home, local):
    ours = settings(home)
    local.write_text("run_retries: {enabled: false}\ncode_servers: {local_startup_timeout: 99}\n")
    assert settings(home) == ours | {
        "run_retries": {"enabled": False},
        "code_servers": {"local_startup_timeout": 99},
    }
    local.unlink()
    assert settings(home) == ours


def test_a_local_storage_replaces_our_event_log_storage(home, local):
    events = settings(home)["event_log_storage"]
    folder = str(home.dagster_home / "elsewhere")
    local.write_text(yaml.safe_dump({"storage": {"sqlite": {"base_dir": folder}}}))
    found = settings(home)
    assert events["class"] == "EventLog"
    assert found["storage"] == {"sqlite": {"base_dir": folder}}
    assert "event_log_storage" not in found


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("storage: {nosql: {}}", 'Dagster rejects these settings: Received unexpected config entry "nosql"'),
        ("storage: [", "is not valid YAML: while parsing"),
        ("- storage", " is not a mapping: write settings as in dagster.yaml, name: value"),
        pytest.param(
            "storage: {postgres: {postgres_url: {env: DLBUG_NOT_SET}}}",
            'You have attempted to fetch the environment variable "DLBUG_NOT_SET" which is not set.',
            marks=pytest.mark.skipif(find_spec("dagster_postgres") is None, reason="dagster-postgres is not installed"),
        ),
    ],
    ids=["unknown storage", "invalid YAML", "not a mapping", "missing variable"],
)
def test_invalid_settings_are_one_message(home, local, content, expected):
    local.write_text(content)
    with pytest.raises(DlbugError) as error, prepared_instance(home):
        pass
    assert str(error.value).startswith(str(local))
    assert expected in str(error.value)
    assert "Stack Trace" not in str(error.value)
