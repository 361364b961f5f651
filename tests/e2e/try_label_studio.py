"""Test the Label Studio format against a real Label Studio.

Projects are created from our configuration and tasks, answered through its API as a rater's browser does, exported as
JSON and submitted. The labels must equal the answers.

Label Studio is large and not a dependency of the project. Install it separately, then pass its program:

    uv venv /tmp/ls && uv pip install --python /tmp/ls/bin/python label-studio==1.23.2
    .venv/bin/python tests/e2e/try_label_studio.py /tmp/ls/bin/label-studio
"""

import argparse
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

TESTS = Path(__file__).parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "labeling")]

from dlbug_assets.labeling.sheets.writing import label_studio  # noqa: E402
from dlbug_assets.protocol.taxonomy import load_taxonomy  # noqa: E402
from support.filled_sheets import Loop, items_of, labelling_study  # noqa: E402

BUGS = [("true", ["line 1"]), ("false", []), ("true", ["=first", "-second"]), ("true", [])]
RATING = {"bug_type": "Structural Logic Bug", "root_cause": "Unaligned Tensor", "effect": "Crash", "stage": "Training"}


def log(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@contextlib.contextmanager
def started(program: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Run Label Studio on loopback while the context is open; yield its address and a token."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(20)
    environment = {
        **os.environ,
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder),
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
    }
    arguments = [program, "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port),
                 "--username", "coordinator@example.org", "--password", secrets.token_hex(8), "--user-token", token,
                 "--enable-legacy-api-token"]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(arguments, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(300):
                with contextlib.suppress(requests.ConnectionError):
                    if requests.get(f"{url}/health", timeout=5).ok:
                        break
                if process.poll() is not None:
                    raise SystemExit(f"Label Studio ended:\n{(folder / 'log').read_text()[-3000:]}")
                time.sleep(1)
            yield url, token
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


class Project:
    """A project of one rater."""

    def __init__(self, url: str, token: str, name: str, configuration: bytes, tasks: bytes) -> None:
        self._url = url
        self._headers = {"Authorization": f"Token {token}"}
        project = self.post("/api/projects/", {"title": name, "label_config": configuration.decode()})
        self.number = project["id"]
        imported = self.post(f"/api/projects/{self.number}/import?return_task_ids=true", json.loads(tasks))
        self.tasks = imported["task_ids"]

    def post(self, path: str, content: Any) -> Any:
        reply = requests.post(f"{self._url}{path}", json=content, headers=self._headers, timeout=60)
        if not reply.ok:
            raise SystemExit(f"{path}: HTTP {reply.status_code}: {reply.text[:2000]}")
        return reply.json()

    def answer(self, task: int, answers: list[dict[str, Any]]) -> None:
        self.post(f"/api/tasks/{task}/annotations/", {"result": answers, "lead_time": 4.2})

    def exported(self) -> bytes:
        path = f"/api/projects/{self.number}/export?exportType=JSON&download_all_tasks=true"
        reply = requests.get(f"{self._url}{path}", headers=self._headers, timeout=60)
        reply.raise_for_status()
        return reply.content


def chosen(name: str, value: str) -> dict[str, Any]:
    return {"from_name": name, "to_name": "content", "type": "choices", "value": {"choices": [value]}}


def written(name: str, texts: list[str]) -> dict[str, Any]:
    return {"from_name": name, "to_name": "content", "type": "textarea", "value": {"text": texts}}


def try_out(url: str, token: str, folder: Path) -> None:
    """Label two passes by two raters, and compare the labels with the answers."""
    study = labelling_study(checkpoints=(100,))
    taxonomy = load_taxonomy(study)
    loop = Loop(study, taxonomy, items_of(len(BUGS), study), folder, "label-studio")
    for which in ("units", "dimensions"):
        for rater in study.labeling.raters:
            name = f"100-{rater}" + ("" if which == "units" else "-dimensions")
            sheet = loop.due()[name]
            project = Project(
                url, token, name, label_studio.configuration(sheet, taxonomy), label_studio.tasks(sheet, taxonomy)
            )
            for place, task in enumerate(project.tasks):
                if which == "units":
                    is_bug, places = BUGS[place]
                    answers = [chosen("is_bug", is_bug), *([written("place", places)] if places else [])]
                else:
                    answers = [chosen(dimension, value) for dimension, value in RATING.items()]
                project.answer(task, [*answers, written("comment", ['ähm, "so"'])])
            loop.drop(f"{name}.json", project.exported())
            log(f"{name}: {len(project.tasks)} tasks answered, exported and submitted")
        loop.read()
        if loop.rejected.height:
            raise SystemExit(f"rejected: {loop.rejected.rows()}")
    found = loop.labels.filter(rater="ann").select("item_id", "pass", "bug_index", "is_bug", "place", "bug_type").rows()
    expected = [
        *((f"SO-Keras-{n}", "units", index, is_bug == "true", place, None)
          for n, (is_bug, places) in enumerate(BUGS)
          for index, place in (enumerate(places, 1) if places else [(int(is_bug == "true"), None)])),
        *((f"SO-Keras-{n}", "dimensions", 1, True, place, RATING["bug_type"]) for n, place in ((0, None), (3, None))),
    ]  # fmt: skip
    if [row[:4] + row[5:] for row in found] != [row[:4] + row[5:] for row in expected]:
        raise SystemExit(f"expected {expected}\nfound    {found}")
    if [row[4] for row in found if row[1] == "units"] != [row[4] for row in expected if row[1] == "units"]:
        raise SystemExit(f"places differ: {found}")
    if set(loop.labels["comment"]) != {'ähm, "so"'} or loop.labels["labelled_at"].null_count():
        raise SystemExit("comments or times were lost")
    decided = loop.decided.select("item_id", "decided_by").rows()
    if decided != [("SO-Keras-0", "agreement"), ("SO-Keras-3", "agreement")]:
        raise SystemExit(f"decided: {decided}")
    log(f"{loop.labels.height} labels equal the answers; {len(decided)} bugs are agreed on")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="the program label-studio")
    program = parser.parse_args().program
    with tempfile.TemporaryDirectory() as folder, started(program, Path(folder)) as (url, token):
        log(f"Label Studio at {url}")
        try_out(url, token, Path(folder) / "loop")


if __name__ == "__main__":
    main()
