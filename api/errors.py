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
    "IdempotencyKeyInFlight",
    "IdempotencyKeyMissing",
    "IdempotencyKeyReused",
    "NotPermitted",
    "SignInNeeded",
    "WrongCredentials",
]
