"""The chain: one row of settings that everything else reads."""

from typing import Annotated, Literal
from zoneinfo import ZoneInfo, available_timezones

import msgspec
import phonenumbers

import database
from errors import InvalidInput
from stores.changes import given
from stores.errors import NoChain, OtherChain
from stores.money import exponent_of


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """A chain's settings. `region` is the ISO country that phone numbers without a prefix belong to."""

    name: str
    currency: str
    region: str
    language: str
    time_zone: str

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def exponent(self) -> int:
        return exponent_of(self.currency)


class ChainChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of the settings; what is left out stays."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | msgspec.UnsetType = msgspec.UNSET
    region: Annotated[str, msgspec.Meta(pattern="^[A-Z]{2}$")] | msgspec.UnsetType = msgspec.UNSET
    language: Literal["en", "zh-Hans", "zh-Hant", "ms"] | msgspec.UnsetType = msgspec.UNSET
    time_zone: str | msgspec.UnsetType = msgspec.UNSET


def check_time_zone(name: str, *, field: str = "time_zone") -> None:
    """Raises `InvalidInput` unless `name` is an IANA time zone."""
    if name not in available_timezones():
        raise InvalidInput(field=field, why=f"{name!r} is no IANA time zone, such as Asia/Kuala_Lumpur")


async def found(chain: Chain) -> None:
    """Set the chain up. Again with the same currency and time zone changes nothing; with others `OtherChain`."""
    check_time_zone(chain.time_zone)
    async with database.transaction():
        await database.execute(
            "INSERT INTO stores.chain (name, currency, exponent, region, language, time_zone) "
            "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING",
            chain.name,
            chain.currency,
            chain.exponent,
            chain.region,
            chain.language,
            chain.time_zone,
        )
        here = await the_chain()
    for setting in ("currency", "time_zone"):
        if getattr(here, setting) != getattr(chain, setting):
            raise OtherChain(setting=setting, here=getattr(here, setting), wanted=getattr(chain, setting))


async def change_chain(change: ChainChange) -> Chain:
    """Change the settings. Raises `InvalidInput`, `NoChain`."""
    async with database.transaction():
        became = msgspec.structs.replace(await the_chain(lock=True), **given(change))
        check_time_zone(became.time_zone)
        if became.region not in phonenumbers.SUPPORTED_REGIONS:
            raise InvalidInput(field="region", why=f"{became.region!r} is no country such as MY")
        await database.execute(
            "UPDATE stores.chain SET (name, region, language, time_zone) = ($1, $2, $3, $4)",
            became.name,
            became.region,
            became.language,
            became.time_zone,
        )
    return became


async def the_chain(*, lock: bool = False) -> Chain:
    """The chain's settings; `lock` keeps others from changing them. Raises `NoChain`."""
    row = await database.row(
        f"SELECT name, currency, region, language, time_zone FROM stores.chain{' FOR NO KEY UPDATE' if lock else ''}"
    )
    if row is None:
        raise NoChain
    return Chain(**dict(row))
