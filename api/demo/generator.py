"""A chain's two years of business, made up: deterministic, with known truths planted for the analyses to recover.

Members join over the whole time, buy at their own gamma-distributed rate while the season scales it, and at some point
quietly stop (the story that BG/NBD tells). Some receipts are anonymous, some goods come back, and certain products pull
certain others into the basket.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv

from api.demo.chain import AFFINITY, LANGUAGE_SHARES, NAMES, STORES, Catalogue

SEED: Final = 19630916
DAYS: Final = 730
RETURN_SHARE: Final = 0.03
ANONYMOUS_SHARE: Final = 0.35
HOME_SHARE: Final = 0.85
# January to December: Chinese New Year, Hari Raya, mid-year sales, Deepavali and Christmas.
SEASON: Final = np.array([1.15, 1.05, 0.9, 1.1, 1.0, 0.9, 1.0, 0.9, 0.85, 1.05, 1.15, 1.45])

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Purchases(msgspec.Struct, frozen=True, kw_only=True):
    """Receipts to be, one element each: seconds since the beginning of the history, member (-1 is anonymous), store."""

    seconds: Ints
    member: Ints
    store: Ints


class GeneratedChain:
    """The chain as of `end`: the history ends the day before, and begins `DAYS` earlier."""

    def __init__(self, end: date, *, members: int = 20_000) -> None:
        self.end, self.members = end, members
        self.begin = end - timedelta(days=DAYS)
        random = np.random.default_rng(SEED)
        self.catalogue = Catalogue(random)
        pull = np.array([store[4] for store in STORES])
        self.pull = pull / pull.sum()
        self.joined: Floats = np.sort(DAYS * random.beta(1.1, 1.6, members))
        self.home: Ints = random.choice(len(STORES), members, p=self.pull)
        self.rate: Floats = random.gamma(0.8, 1.2 / 30, members)
        self.stays: Floats = random.exponential(420, members)
        self.language = random.choice(list(LANGUAGE_SHARES), members, p=list(LANGUAGE_SHARES.values()))
        self.has_email = random.random(members) < 0.85
        self.consents = random.random(members) < 0.8

    def reference(self, member: int) -> str:
        return f"M{member + 1:06}"

    def purchases(self, first_day: int, last_day: int, *, stream: int) -> Purchases:
        """What would happen anyway in the days [first_day, last_day), counted from the beginning of the history."""
        random = np.random.default_rng([SEED, stream])
        start = np.maximum(self.joined, first_day)
        stop = np.minimum(self.joined + self.stays, last_day)
        span = np.maximum(stop - start, 0)
        # Drawn at the season's peak, then thinned to the day.
        count = random.poisson(self.rate * span * SEASON.max())
        member = np.repeat(np.arange(self.members), count)
        day = np.repeat(start, count) + random.random(len(member)) * np.repeat(span, count)
        kept = random.random(len(day)) < self._season(day) / SEASON.max()
        joining = np.flatnonzero((self.joined >= first_day) & (self.joined < last_day))
        member, day = np.concatenate([member[kept], joining]), np.concatenate([day[kept], self.joined[joining]])
        strangers = int(len(day) * ANONYMOUS_SHARE / (1 - ANONYMOUS_SHARE))
        stranger_day = first_day + random.random(strangers) * (last_day - first_day)
        return self._placed(
            np.concatenate([member, np.full(strangers, -1)]), np.floor(np.concatenate([day, stranger_day])), random
        )

    def _season(self, day: Floats) -> Floats:
        months = np.array([(self.begin + timedelta(days=d)).month for d in range(DAYS + 1)])
        season: Floats = SEASON[months[day.astype(int)] - 1]
        return season

    def _placed(self, member: Ints, day: Floats, random: np.random.Generator) -> Purchases:
        """Opening hours and stores: mostly one's own."""
        stores = random.choice(len(STORES), len(member), p=self.pull)
        at_home = (member >= 0) & (random.random(len(member)) < HOME_SHARE)
        stores = np.where(at_home, self.home[member], stores)
        seconds = (day * 86400 + random.triangular(10 * 3600, 18 * 3600, 21.5 * 3600, len(member))).astype(np.int64)
        order = np.argsort(seconds, kind="stable")
        return Purchases(seconds=seconds[order], member=member[order], store=stores[order])

    def write_stores(self, path: Path) -> None:
        _write(
            path,
            {
                "code": [store[0] for store in STORES],
                "name": [store[1] for store in STORES],
                "region": [store[2] for store in STORES],
                "time_zone": [store[3] for store in STORES],
                "opened_on": [(self.begin - timedelta(days=400 + 90 * i)).isoformat() for i in range(len(STORES))],
            },
        )

    def write_products(self, path: Path) -> None:
        catalogue = self.catalogue
        _write(
            path,
            {
                "sku": catalogue.sku,
                "name": catalogue.name,
                "category": catalogue.category,
                "brand": catalogue.brand,
                "price": [f"{price // 100}.{price % 100:02}" for price in catalogue.price],
            },
        )

    def write_members(self, path: Path) -> None:
        random = np.random.default_rng([SEED, 1])
        names = []
        for language in self.language:
            given, family = NAMES[language]
            first, last = given[random.integers(len(given))], family[random.integers(len(family))]
            names.append(f"{last}{first}" if language.startswith("zh") else f"{first} {last}")
        joined = [self._stamp(int(day) * 86400 + 36_000) for day in self.joined]
        _write(
            path,
            {
                "external_ref": [self.reference(member) for member in range(self.members)],
                "name": names,
                "phone": [
                    f"+601{2 + member % 5}{3_000_000 + member * 7 % 6_999_983:07}" for member in range(self.members)
                ],
                "email": [
                    f"member{member + 1}@mail.example" if has else "" for member, has in enumerate(self.has_email)
                ],
                "birth_date": [
                    f"{1950 + int(random.integers(55))}-{1 + int(random.integers(12)):02}-{1 + int(random.integers(28)):02}"
                    for _ in range(self.members)
                ],
                "language": list(self.language),
                "home_store": [STORES[store][0] for store in self.home],
                "registered_at": joined,
                "marketing_email": [
                    "true" if yes and has else "false" for yes, has in zip(self.consents, self.has_email, strict=True)
                ],
            },
        )

    def write_receipts(self, path: Path, purchases: Purchases, *, prefix: str, stream: int) -> int:
        """Receipt lines and, days later, returns of some; how many rows."""
        random = np.random.default_rng([SEED, stream, 7])
        receipt, product = self._baskets(len(purchases.seconds), random)
        quantity = 1 + (random.random(len(receipt)) < 0.22) + (random.random(len(receipt)) < 0.06)
        price = self.catalogue.price[product]
        discount = np.where(random.random(len(receipt)) < 0.05, price * quantity // 10, 0)
        back = np.flatnonzero(
            (random.random(len(receipt)) < RETURN_SHARE) & (discount == 0) & (purchases.member[receipt] >= 0)
        )
        later = purchases.seconds[receipt[back]] // 86400 + random.integers(1, 15, len(back))
        back, later = back[later < DAYS], later[later < DAYS]
        sold = self._rows(
            purchases, receipt, product, quantity, discount, f"{prefix}", "sale", purchases.seconds[receipt]
        )
        returned = self._rows(
            purchases,
            receipt[back],
            product[back],
            -quantity[back],
            discount[back],
            f"{prefix}R",
            "return",
            later * 86400 + 39_600 + np.arange(len(back)) % 28_000,
        )
        table = pa.concat_tables([sold, returned])
        table = table.take(np.argsort(table["order"].to_numpy(), kind="stable")).drop_columns(["order"])
        pa_csv.write_csv(table, path)
        return int(table.num_rows)

    def _baskets(self, receipts: int, random: np.random.Generator) -> tuple[Ints, Ints]:
        """Receipt and product of each line, a product once a receipt."""
        size = np.minimum(1 + random.poisson(1.2, receipts), 8)
        receipt = np.repeat(np.arange(receipts), size)
        product = random.choice(len(self.catalogue.sku), len(receipt), p=self.catalogue.weight)
        for first, second in self.catalogue.pairs:
            pulling = receipt[(product == first) & (random.random(len(product)) < AFFINITY)]
            receipt = np.concatenate([receipt, pulling])
            product = np.concatenate([product, np.full(len(pulling), second)])
        lines = np.unique(receipt * 1_000 + product)
        return lines // 1_000, lines % 1_000

    def _rows(
        self,
        purchases: Purchases,
        receipt: Ints,
        product: Ints,
        quantity: Ints,
        discount: Ints,
        prefix: str,
        kind: str,
        seconds: Ints,
    ) -> pa.Table:
        codes = np.array([store[0] for store in STORES])
        references = np.array([self.reference(member) for member in range(self.members)] + [""])
        price = self.catalogue.price[product]
        # A return has a number of its own for each line, a sale one for all of its lines.
        number = receipt if kind == "sale" else np.arange(len(receipt))
        return pa.table(
            {
                "store": codes[purchases.store[receipt]],
                "till": np.where(receipt % 2 == 0, "T1", "T2"),
                "number": np.char.add(prefix, np.char.zfill(number.astype(str), 7)),
                "business_time": self._stamps(seconds),
                "member": references[purchases.member[receipt]],
                "sku": np.array(self.catalogue.sku)[product],
                "quantity": quantity,
                "unit_price": _decimal(price),
                "discount": _decimal(discount),
                "kind": pa.array([kind] * len(receipt), pa.string()),
                "order": seconds * 1_000_000 + number,
            }
        )

    def _stamp(self, seconds: int) -> str:
        return str(np.datetime64(self.begin, "s") + seconds)

    def _stamps(self, seconds: Ints) -> npt.NDArray[np.str_]:
        return np.datetime_as_string(np.datetime64(self.begin, "s") + seconds)


def _decimal(minor: Ints) -> npt.NDArray[np.str_]:
    return np.char.add(np.char.add((minor // 100).astype(str), "."), np.char.zfill((minor % 100).astype(str), 2))


def _write(path: Path, columns: dict[str, Iterable[object]]) -> None:
    pa_csv.write_csv(pa.table({name: list(values) for name, values in columns.items()}), path)
