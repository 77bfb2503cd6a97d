"""What the environment says. Read once; an unusable value names its variable."""

import os
from collections.abc import Mapping
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self

import msgspec
import platformdirs

from errors import DomainError


class SettingRefused(DomainError):
    """A setting is missing or unusable; the message names the variable."""

    status = 500

    def __init__(self, *, variable: str, why: str) -> None:
        super().__init__(f"{variable}: {why}", variable=variable)


class Settings(msgspec.Struct, frozen=True, rename=lambda name: name.upper()):
    """Every setting there is. `docs/settings.md` lists the same ones; a test compares the two."""

    regulars_env: Literal["development", "production"] = "development"
    regulars_home: str = ""
    database_url: str = ""
    database_replica_url: str = ""
    database_wait_seconds: Annotated[int, msgspec.Meta(ge=0, le=3600)] = 60
    database_pool_max: Annotated[int, msgspec.Meta(ge=1, le=500)] = 16
    redis_url: str = ""
    secret_key: str = ""
    secret_key_previous: str = ""
    smtp_url: str = ""
    mail_from: str = "Regulars <regulars@localhost>"
    base_url: str = "http://127.0.0.1:8000"
    session_hours: Annotated[int, msgspec.Meta(ge=1, le=720)] = 12
    second_factor: Literal["required", "optional"] = "required"
    till_shift: Literal["required", "optional"] = "optional"
    trusted_proxies: str = ""
    rate_limit_principal: Annotated[int, msgspec.Meta(ge=1)] = 1200
    rate_limit_address: Annotated[int, msgspec.Meta(ge=1)] = 6000
    rate_limit_sign_in: Annotated[int, msgspec.Meta(ge=1)] = 30
    webhook_private_addresses: Literal["refuse", "allow"] = "refuse"
    webhook_disable_days: Annotated[int, msgspec.Meta(ge=1, le=30)] = 5
    log_format: Literal["text", "json"] = "text"

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """Decode `environment`. Raises `SettingRefused` naming the first variable that cannot be used."""
        known = {field.encode_name for field in msgspec.structs.fields(cls)}
        given = {name: value for name, value in environment.items() if name in known and value != ""}
        try:
            settings = msgspec.convert(given, cls, strict=False)
        except msgspec.ValidationError as error:
            reason, _, place = str(error).partition(" - at `$.")
            raise SettingRefused(variable=place.rstrip("`") or "environment", why=reason) from None
        settings.check()
        return settings

    def check(self) -> None:
        for variable, url, schemes in (
            ("DATABASE_URL", self.database_url, ("postgres://", "postgresql://")),
            ("DATABASE_REPLICA_URL", self.database_replica_url, ("postgres://", "postgresql://")),
            ("REDIS_URL", self.redis_url, ("redis://", "rediss://", "unix://")),
            ("SMTP_URL", self.smtp_url, ("smtp://", "smtps://")),
        ):
            if url and not url.startswith(schemes):
                raise SettingRefused(variable=variable, why=f"must start with {' or '.join(schemes)}")
        try:
            _ = self.proxies
        except ValueError as error:
            raise SettingRefused(
                variable="TRUSTED_PROXIES", why=f"{error}; give networks such as 10.0.0.0/8, parted by commas"
            ) from None
        if self.regulars_env == "production" and self.second_factor != "required":
            raise SettingRefused(variable="SECOND_FACTOR", why="cannot be optional in production")
        if self.regulars_env == "production" and len(self.secret_key) < 32:
            raise SettingRefused(
                variable="SECRET_KEY",
                why="is required in production: at least 32 random characters (openssl rand -base64 48)",
            )

    @property
    def proxies(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """Networks whose X-Forwarded-For is believed."""
        return tuple(ip_network(network.strip()) for network in self.trusted_proxies.split(",") if network.strip())

    @property
    def home(self) -> Path:
        """Where the embedded servers keep their data."""
        if self.regulars_home:
            return Path(self.regulars_home).expanduser().resolve()
        usual = Path(platformdirs.user_data_dir("regulars"))
        # macOS has "Application Support", and pgserver starts PostgreSQL through a shell, which parts it at the space.
        return Path.home() / ".regulars" if " " in str(usual) else usual

    @property
    def secret(self) -> str:
        """`SECRET_KEY`, or outside production a fixed stand-in, so that a first try needs no setting."""
        return self.secret_key or "development only: not a secret"


@cache
def settings() -> Settings:
    """The process's settings."""
    return Settings.read(os.environ)
