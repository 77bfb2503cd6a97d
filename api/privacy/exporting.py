"""Everything that is known about a member, for them to take along: one JSON document and a table for each kind of fact."""

import io
import json
import zipfile
from datetime import datetime
from typing import Any, Final

import database
from api.exports import write_csv
from api.privacy.held import HELD
from membership.cards import member_of_card

# Seals and search terms say nothing that the rest does not.
_INTERNAL: Final = ("seal", "name_search", "fingerprint", "recorded_in", "token_hash")


async def export_member(number: str, *, at: datetime) -> bytes:
    """A zip with `member.json` and a CSV for each table that has rows of the member, or of somebody merged into them."""
    async with database.transaction():
        member_id = await member_of_card(number)
        ids = [row["id"] for row in await database.rows("SELECT membership.everyone_in($1) AS id", member_id)]
        tables: dict[str, list[dict[str, Any]]] = {}
        for held in HELD:
            rows = await database.rows(f"SELECT to_jsonb(t) AS row FROM {held.table} t WHERE {held.of}", ids)
            if rows:
                tables[held.table] = [_shown(json.loads(row["row"])) for row in rows]
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        document = {"exported_at": at.isoformat(), "card": number, "tables": tables}
        archive.writestr("member.json", json.dumps(document, ensure_ascii=False, indent=1))
        for name, found in tables.items():
            text = io.StringIO(newline="")
            write_csv(text, list(found[0]), (list(row.values()) for row in found))
            archive.writestr(f"{name}.csv", text.getvalue().encode("utf-8-sig"))
    return sink.getvalue()


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in _INTERNAL}
