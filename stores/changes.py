"""Partial changes: Structs whose fields are UNSET where nothing was said."""

from typing import Any

import msgspec


def given(change: msgspec.Struct) -> dict[str, Any]:
    """The fields that a change says anything of."""
    values = {name: getattr(change, name) for name in change.__struct_fields__}
    return {name: value for name, value in values.items() if value is not msgspec.UNSET}
