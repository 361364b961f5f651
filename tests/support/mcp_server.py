"""`dlbug mcp` as a process, and a client that writes what it likes."""

import json
import os
import select
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from support.commands import DLBUG, environment


class Server:
    """The server of a study's published database; ``messages`` are all that it has written to standard output."""

    def __init__(self, home: Path, *options: str, **variables: str) -> None:
        self.process = subprocess.Popen(
            [DLBUG, "mcp", *options], env=environment(home, **variables), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        assert self.process.stdin
        assert self.process.stdout
        assert self.process.stderr
        self.input, self.output, self.errors = self.process.stdin, self.process.stdout, self.process.stderr
        self.messages: list[dict[str, Any]] = []
        self._rest = b""
        self._number = 0

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.input, self.output, self.errors):
            with suppress(BrokenPipeError):
                stream.close()

    def write(self, data: bytes) -> None:
        self.input.write(data)
        self.input.flush()

    def request(self, method: str, **params: Any) -> int:
        """Write a request and return its number."""
        self._number += 1
        message = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        self.write(json.dumps(message).encode() + b"\n")
        return self._number

    def notify(self, method: str, **params: Any) -> None:
        self.write(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode() + b"\n")

    def initialize(self) -> None:
        """Begin a session, as clients of 2025 do."""
        self.answer(
            self.request(
                "initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo={"name": "test", "version": "1"}
            )
        )
        self.notify("notifications/initialized")

    def call(self, tool: str, **arguments: Any) -> int:
        """Write a call of a tool and return its number."""
        return self.request("tools/call", name=tool, arguments=arguments)

    def answer(self, number: int, seconds: float = 60) -> dict[str, Any]:
        """Return the answer to a request."""
        deadline = time.monotonic() + seconds
        while True:
            for message in self.messages:
                if message.get("id") == number:
                    return message
            self.read(deadline - time.monotonic())

    def read(self, seconds: float) -> None:
        """Read more messages; each line of standard output is one."""
        ready, _, _ = select.select([self.output], [], [], max(0.0, seconds))
        assert ready, f"no answer: {self.messages[-3:]}"
        data = os.read(self.output.fileno(), 1 << 16)
        assert data, f"the server ended: {self.errors.read().decode()}"
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            assert message["jsonrpc"] == "2.0"
            self.messages.append(message)
