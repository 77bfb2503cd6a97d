"""Letters to staff: written with the change they tell of, sent by the worker, tried again while the server is away."""

from datetime import datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

import aiosmtplib

import database
from api.access.sealing import seal, unseal
from campaigns.smtp import connect_smtp
from errors import Unreachable

ATTEMPTS_MAX: Final = 12
FIRST_WAIT_SECONDS: Final = 30
BATCH: Final = 20


async def post(kind: str, recipient: str, subject: str, body: str, *, at: datetime) -> None:
    """Queue a letter in the transaction at hand."""
    await database.execute(
        "INSERT INTO api.mail (kind, recipient, subject, body, created_at, next_at) VALUES ($1, $2, $3, $4, $5, $5)",
        kind,
        recipient,
        subject,
        seal(body.encode()),
        at,
    )


async def send_mail(*, smtp_url: str, sender: str, at: datetime) -> int:
    """Send what is due; how many went out. A letter that the server refuses for good has failed."""
    sent = 0
    async with database.transaction():
        due = await database.rows(
            "SELECT * FROM api.mail WHERE status = 'queued' AND next_at <= $1 ORDER BY next_at, id LIMIT $2 "
            "FOR UPDATE SKIP LOCKED",
            at,
            BATCH,
        )
        if not due:
            return 0
        try:
            smtp = await connect_smtp(smtp_url)
        except Unreachable as error:
            for row in due:
                await _later(row, str(error), at)
            return 0
        try:
            for row in due:
                try:
                    await smtp.send_message(_letter(row, sender, at))
                except aiosmtplib.SMTPResponseException as refusal:
                    if refusal.code >= 500:
                        await _finish(row["id"], "failed", f"{refusal.code} {refusal.message}")
                    else:
                        await _later(row, f"{refusal.code} {refusal.message}", at)
                except (aiosmtplib.SMTPException, OSError) as error:
                    await _later(row, str(error), at)
                else:
                    await _finish(row["id"], "sent", "")
                    sent += 1
        finally:
            smtp.close()
    return sent


def _letter(row: database.Row, sender: str, at: datetime) -> EmailMessage:
    letter = EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = sender, row["recipient"], row["subject"]
    letter["Date"] = format_datetime(at)
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(unseal(row["body"]).decode())
    return letter


async def _later(row: database.Row, why: str, at: datetime) -> None:
    attempts = row["attempts"] + 1
    if attempts >= ATTEMPTS_MAX:
        await _finish(row["id"], "failed", why)
        return
    await database.execute(
        "UPDATE api.mail SET attempts = $2, next_at = $3, error = $4 WHERE id = $1",
        row["id"],
        attempts,
        at + timedelta(seconds=min(FIRST_WAIT_SECONDS * 2 ** (attempts - 1), 3600)),
        why[:500],
    )


async def _finish(mail_id: int, status: str, error: str) -> None:
    await database.execute(
        "UPDATE api.mail SET status = $2, error = $3, body = NULL, attempts = attempts + 1 WHERE id = $1",
        mail_id,
        status,
        error[:500],
    )
