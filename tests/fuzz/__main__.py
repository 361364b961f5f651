"""Fuzz every kind of input, each in a process of its own under limits."""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import click

from fuzz.kinds import KINDS
from fuzz.runner import INPUTS, Result, digest, fuzz

#: Memory of the process that reads, in bytes, and the seconds that it may take beyond its own time.
_MEMORY, _GRACE = 2 << 30, 120
_MEMORY_DISK = Path("/dev/shm")  # noqa: S108 - a private folder is made in it


def main() -> int:
    """Return 0 if no input failed."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--kind", choices=sorted(KINDS), action="append", help="default: all")
    parser.add_argument("--inputs", type=int, default=2000, help="of each kind")
    parser.add_argument("--seconds", type=float, default=20, help="for each kind")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)))
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    kinds = options.kind or list(KINDS)
    if options.alone:
        _fuzz_here(kinds[0], options)
        return 0
    click.echo(f"seed {options.seed}")
    click.echo(f"{'kind':15} {'inputs':>7} {'accepted':>9} {'refused':>8} {'failed':>7} {'seconds':>8} {'MiB':>6}")
    failed = 0
    for kind in kinds:
        result = _fuzz_in_child(kind, options)
        click.echo(
            f"{kind:15} {result.inputs:7} {result.accepted:9} {result.refused:8} {len(result.failures):7} "
            f"{result.seconds:8.1f} {result.mebibytes:6}"
        )
        for name, reason in result.failures.items():
            click.echo(f"\n{INPUTS / kind / name}\n{reason}", err=True)
        failed += len(result.failures)
    return 1 if failed else 0


def _fuzz_here(name: str, options: argparse.Namespace) -> None:
    """Fuzz one kind in this process, which is a child: print the result as JSON, and keep the failing inputs."""
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    current = Path(os.environ["FUZZ_CURRENT"])
    result, failing = fuzz(KINDS[name](), options.inputs, options.seconds, options.seed, current)
    for content in failing:
        _keep(name, content)
    click.echo(json.dumps(asdict(result)))


def _fuzz_in_child(name: str, options: argparse.Namespace) -> Result:
    command = [sys.executable, "-m", "fuzz", "--alone", "--kind", name, "--inputs", str(options.inputs)]
    command += ["--seconds", str(options.seconds), "--seed", str(options.seed)]
    # Where syncing takes no time, if there is such a place.
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=_MEMORY_DISK if _MEMORY_DISK.is_dir() else None) as folder:
        current = Path(folder, "current")
        environment = os.environ | {"FUZZ_CURRENT": str(current), "TMPDIR": folder}
        try:
            child = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=options.seconds + _GRACE, check=False
            )
        except subprocess.TimeoutExpired:
            reason = "the process did not end"
        else:
            if child.returncode == 0:
                return Result(**json.loads(child.stdout.splitlines()[-1]))
            reason = f"the process ended with {child.returncode}: {child.stderr[-2000:]}"
        content = current.read_bytes() if current.exists() else b""
        _keep(name, content)
        return Result(name, failures={digest(content): reason})


def _keep(name: str, content: bytes) -> None:
    folder = INPUTS / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / digest(content)).write_bytes(content)


if __name__ == "__main__":
    sys.exit(main())
