"""git as a process: what it prints when it fails becomes one line that is the same for the same failure."""

import pytest

from dlbug_assets.github.clones.git_process import GitError, git

PRINTED = r"""#!/bin/sh
printf 'Cloning into bare repository\nremote: aborting\033[2K\000\nhint: try again\n' >&2
printf "fatal: unable to access 'https://x/': Failed to connect to x port 443 after %s ms: refused\n" "$$" >&2
printf 'remote: warning: slow\nremote: aborting\033[2K\000\n' >&2
exit 128
"""


@pytest.fixture
def failing_git(tmp_path, monkeypatch):
    program = tmp_path / "git"
    program.write_text(PRINTED, encoding="ascii")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")


def test_the_message_of_a_failure_has_no_control_characters_durations_advice_or_repetitions(failing_git):
    messages = set()
    for _ in range(2):
        with pytest.raises(GitError) as error:
            git("fetch", "x")
        messages.add(str(error.value))
    assert messages == {
        "git fetch: fatal: unable to access 'https://x/': Failed to connect to x port 443: refused; remote: aborting[2K"
    }
