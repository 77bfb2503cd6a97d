"""The chain: one row of settings that everything else reads."""

from zoneinfo import ZoneInfo, available_timezones

import msgspec

import database
from errors import InvalidInput
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


async def the_chain() -> Chain:
    """The chain's settings. Raises `NoChain`."""
    row = await database.row("SELECT name, currency, region, language, time_zone FROM stores.chain")
    if row is None:
        raise NoChain
    return Chain(**dict(row))
