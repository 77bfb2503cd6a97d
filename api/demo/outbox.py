"""A real SMTP server on this machine for trying things out: it keeps each message as a file and sends none on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session


class _Keep:
    """Writes messages to a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.kept = folder, 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  (aiosmtpd's name)
        self.kept += 1
        (self.folder / f"{self.kept:06}.eml").write_bytes(envelope.original_content or b"")
        return "250 kept"


@asynccontextmanager
async def outbox(folder: Path) -> AsyncIterator[str]:
    """Receive mail into `folder` while this lasts; yields the SMTP_URL."""
    folder.mkdir(parents=True, exist_ok=True)
    keep = _Keep(folder)
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(keep, enable_SMTPUTF8=True), "127.0.0.1", 0)
    try:
        yield f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()
