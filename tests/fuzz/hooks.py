"""Two of three path parameters become something that exists, so that what lies behind the look-up is tried as well."""

import json
import os
import zlib
from typing import Any

import schemathesis

THERE: dict[str, Any] = json.loads(os.environ.get("FUZZ_THERE", "{}"))


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Any]) -> dict[str, Any]:
    for name, value in (path_parameters or {}).items():
        if name in THERE and zlib.crc32(repr(value).encode()) % 3:
            path_parameters[name] = THERE[name]
    return path_parameters
