"""The dlbug command."""

from dlbug_assets.cli.main import main

__all__ = ["main"]
