"""Code references: the file and line that "Open in editor" in the UI leads to."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from dlbug_assets.asset_factories.code_versions import unwrapped


def file_reference(file: Path, line: int = 1) -> dict[str, Any]:
    """Return the metadata that makes the UI open a file in the reader's editor."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        place = dg.LocalFileCodeReference(file_path=str(file), line_number=line)
        return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[place])}


def function_reference(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the same for a function, with its name as `made_by`."""
    function = unwrapped(function)
    code = function.__code__
    return {
        "made_by": f"{function.__module__}.{function.__qualname__}",
        **file_reference(Path(code.co_filename), code.co_firstlineno),
    }
