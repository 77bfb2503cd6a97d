"""Two of three path parameters become something that exists, so that what lies behind the look-up is tried as well; and never the
account and the key that everything is called with, which a fuzzer that reads lists would soon end."""

import json
import os
import zlib
from typing import Any

import schemathesis

THERE: dict[str, Any] = json.loads(os.environ.get("FUZZ_THERE", "{}"))
SPARED: dict[str, Any] = json.loads(os.environ.get("FUZZ_SPARED", "{}"))


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    for name, value in (case.path_parameters or {}).items():
        if name in THERE and (str(value) == str(SPARED.get(name)) or zlib.crc32(repr(value).encode()) % 3):
            case.path_parameters[name] = THERE[name]
