"""The `dlbug` command: runs the command line, or reports why this installation cannot run it."""

import sys

from dlbug_assets.cli.stopping import stoppable


def main() -> None:
    """Run the command line until it ends or is stopped."""
    with stoppable():
        _run()


def _run() -> None:
    """Run the command line. If the installation is incomplete, print one message and exit with 1."""
    # Imported here because a signal may arrive meanwhile, and because a package may be missing or outdated.
    from importlib.metadata import PackageNotFoundError  # noqa: PLC0415

    from dlbug_assets.installation import how_to_repair, missing_files, unmet_requirements  # noqa: PLC0415

    try:
        missing = missing_files()
    except PackageNotFoundError:
        sys.exit(f"error: dlbug is not installed for {sys.executable}. {how_to_repair()}")
    if missing:
        sys.exit(f"error: this installation lacks {', '.join(missing)}. {how_to_repair()}")
    try:
        from dlbug_assets.cli.main import main as run_command  # noqa: PLC0415

        run_command()
    except (ImportError, AttributeError) as error:
        problems = unmet_requirements()
        if not problems:
            raise
        sys.exit(f"error: {'; '.join(problems)} ({error}). {how_to_repair()}")


if __name__ == "__main__":
    main()
