"""`dlbug schema`: JSON Schemas of a study's files, by which editors complete and check them."""

import json
from collections.abc import Callable
from typing import Any

from dlbug_assets.protocol.claims import Claims
from dlbug_assets.protocol.study import Study


def schema(name: str) -> str:
    """Return the JSON Schema of a file, one of :data:`SCHEMAS`, as text."""
    return json.dumps({"$schema": "http://json-schema.org/draft-07/schema#", **SCHEMAS[name]()}, indent=1) + "\n"


def _study() -> dict[str, Any]:
    content = Study.model_json_schema()
    # Without them, the study has those of the study that it follows.
    content["required"].remove("dimensions")
    return content


#: What describes each file, by the file's name without .toml.
SCHEMAS: dict[str, Callable[[], dict[str, Any]]] = {"study": _study, "claims": Claims.model_json_schema}
