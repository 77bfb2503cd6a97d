"""What the face itself refuses, before any domain is asked."""

from errors import DomainError


class SignInNeeded(DomainError):
    status = 401

    def __init__(self) -> None:
        super().__init__("Sign in first: POST /v1/session, or send a till's credential as a bearer token.")


class WrongCredentials(DomainError):
    """Told the same way for an unknown e-mail and a wrong password."""

    status = 401

    def __init__(self) -> None:
        super().__init__("The e-mail or the password is wrong.")


class WrongCode(DomainError):
    """A one-time code, recovery code or PIN that is not the one."""

    status = 401

    def __init__(self) -> None:
        super().__init__("The code is wrong, or was used already. Wait for the next one and try again.")


class SecondFactorNeeded(DomainError):
    """The password is right; the account also has a second factor."""

    status = 401

    def __init__(self) -> None:
        super().__init__(
            "Send the same again with the code of your authenticator app as 'totp', or with a 'recovery_code'.",
            fields=["totp", "recovery_code"],
        )


class SecondFactorOwed(DomainError):
    """Signed in by password alone, in a role that needs more."""

    status = 403

    def __init__(self, *, role: str) -> None:
        super().__init__(
            f"The role {role.replace('_', ' ')} needs a second factor first: POST /v1/session/second-factor, then confirm it.",
            role=role,
        )


class SecondFactorStays(DomainError):
    """A role that needs a second factor does not give it up."""

    status = 403

    def __init__(self, *, role: str) -> None:
        super().__init__(
            f"The role {role.replace('_', ' ')} needs a second factor. Set a new one up instead: POST /v1/session/second-factor.",
            role=role,
        )


class NoFactorPending(DomainError):
    def __init__(self) -> None:
        super().__init__("There is no second factor to confirm: begin with POST /v1/session/second-factor.")


class TooManyAttempts(DomainError):
    status = 429

    def __init__(self, *, seconds: int) -> None:
        super().__init__(f"Too many wrong attempts; try again in {seconds} seconds.", retry_after=seconds)


class TooManyRequests(DomainError):
    status = 429

    def __init__(self, *, seconds: int, limit: int) -> None:
        super().__init__(
            f"More than {limit} requests a minute; go on in {seconds} seconds.", retry_after=seconds, limit=limit
        )


class NotJson(DomainError):
    """The body is of another kind than the one that is read here."""

    status = 415

    def __init__(self, *, media: str, encoding: str) -> None:
        super().__init__("The body has to be application/json, and not packed.", media=media, encoding=encoding)


class LinkRefused(DomainError):
    """Told the same way for a made-up link, a spent one and one that has expired."""

    status = 401

    def __init__(self) -> None:
        super().__init__("This link is wrong, used or expired. Ask for a new one.")


class CrossOrigin(DomainError):
    status = 403

    def __init__(self) -> None:
        super().__init__("Another site's page may not do this in your name.")


class ShiftNeeded(DomainError):
    status = 403

    def __init__(self) -> None:
        super().__init__("Open a shift first: POST /v1/shifts with the cashier's e-mail and PIN.")


class Unsealable(DomainError):
    """A stored secret was encrypted under another SECRET_KEY."""

    status = 500

    def __init__(self) -> None:
        super().__init__(
            "A stored secret cannot be read with this SECRET_KEY. Set SECRET_KEY_PREVIOUS to the one it was stored under."
        )


class Stale(DomainError):
    """Somebody changed it since the caller read it."""

    status = 412

    def __init__(self, *, etag: str) -> None:
        super().__init__("It has been changed since you read it; read it again and repeat your change.", etag=etag)


class InvalidCursor(DomainError):
    status = 422

    def __init__(self) -> None:
        super().__init__("cursor: is none of ours; send `next` of the page before as it is", field="cursor")


class NotPermitted(DomainError):
    status = 403

    def __init__(self, *, permission: str, role: str) -> None:
        super().__init__(f"A {role.replace('_', ' ')} may not do this.", permission=permission, role=role)


class IdempotencyKeyMissing(DomainError):
    status = 400

    def __init__(self) -> None:
        super().__init__(
            "This needs an Idempotency-Key header of 1 to 128 characters: a new one for each sale, the same one when you retry.",
            header="Idempotency-Key",
        )


class IdempotencyKeyInFlight(DomainError):
    def __init__(self) -> None:
        super().__init__(
            "A request with this Idempotency-Key is being worked on; retry in a moment.", header="Idempotency-Key"
        )


class IdempotencyKeyReused(DomainError):
    status = 422

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key was used for another request; take a new one.", header="Idempotency-Key")


__all__ = [
    "CrossOrigin",
    "IdempotencyKeyInFlight",
    "IdempotencyKeyMissing",
    "IdempotencyKeyReused",
    "InvalidCursor",
    "LinkRefused",
    "NoFactorPending",
    "NotJson",
    "NotPermitted",
    "SecondFactorNeeded",
    "SecondFactorOwed",
    "SecondFactorStays",
    "ShiftNeeded",
    "SignInNeeded",
    "Stale",
    "TooManyAttempts",
    "TooManyRequests",
    "Unsealable",
    "WrongCode",
    "WrongCredentials",
]
