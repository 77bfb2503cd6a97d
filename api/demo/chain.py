"""The generated chain's fixed parts: branches, products, what goes with what, names."""

from typing import Final

import numpy as np

from stores.chain import Chain

CHAIN: Final = Chain(name="Kedai Harian", currency="MYR", region="MY", language="en", time_zone="Asia/Kuala_Lumpur")

# code, name, region, time zone, pull (relative size)
STORES: Final = (
    ("KL01", "Bukit Bintang", "Klang Valley", "Asia/Kuala_Lumpur", 1.8),
    ("KL02", "Bangsar", "Klang Valley", "Asia/Kuala_Lumpur", 1.3),
    ("KL03", "Cheras", "Klang Valley", "Asia/Kuala_Lumpur", 1.1),
    ("SG01", "Subang Jaya", "Klang Valley", "Asia/Kuala_Lumpur", 1.2),
    ("PG01", "George Town", "North", "Asia/Kuala_Lumpur", 1.2),
    ("IP01", "Ipoh", "North", "Asia/Kuala_Lumpur", 0.8),
    ("AS01", "Alor Setar", "North", "Asia/Kuala_Lumpur", 0.5),
    ("JB01", "Johor Bahru", "South", "Asia/Kuala_Lumpur", 1.3),
    ("JB02", "Iskandar Puteri", "South", "Asia/Kuala_Lumpur", 0.9),
    ("MK01", "Melaka", "South", "Asia/Kuala_Lumpur", 0.7),
    # Border shops that price in ringgit for visiting regulars, an hour behind.
    ("BT01", "Batam Harbour", "Riau Islands", "Asia/Jakarta", 0.6),
    ("BT02", "Bintan Ferry", "Riau Islands", "Asia/Jakarta", 0.4),
)

_CATEGORIES: Final = (
    ("drinks/tea", ("Boh Hill", "Sari Wangi"), "Tea", 8, 28),
    ("drinks/coffee", ("Ipoh White", "Kopi Tua"), "Coffee", 10, 38),
    ("pantry/spices", ("Nyonya", "Kampung"), "Spice", 3, 15),
    ("pantry/snacks", ("Rangup", "Kerepek Mama"), "Snack", 2, 14),
    ("home/ceramics", ("Tembikar", "Claytan"), "Ceramic", 12, 90),
    ("home/linen", ("Kapas", "Songket House"), "Linen", 25, 160),
    ("books/fiction", ("Pustaka", "Silverfish"), "Novel", 20, 65),
    ("care/soap", ("Kelapa", "Sireh"), "Soap", 5, 30),
    ("toys/wooden", ("Congkak", "Wau"), "Toy", 15, 80),
    ("paper/cards", ("Kertas", "Wau Bulan"), "Card", 2, 12),
)
_VARIANTS: Final = (
    "Classic",
    "Garden",
    "Monsoon",
    "Harbour",
    "Heritage",
    "Sunrise",
    "Lantern",
    "Orchid",
    "Hibiscus",
    "Batik",
    "Rainforest",
    "Pandan",
    "Jasmine",
    "Ginger",
    "Lychee",
    "Mangosteen",
    "Rattan",
    "Coral",
    "Indigo",
    "Saffron",
    "Cempaka",
    "Kenari",
    "Melati",
    "Delima",
)
# The planted affinities: a basket with the first of a pair holds the second with this chance.
AFFINITY: Final = 0.45
AFFINITY_PAIRS: Final = 12


class Catalogue:
    """240 products. Prices in minor units; `weight` is how often each is picked."""

    def __init__(self, random: np.random.Generator) -> None:
        self.sku: list[str] = []
        self.name: list[str] = []
        self.category: list[str] = []
        self.brand: list[str] = []
        prices: list[int] = []
        for number, (category, brands, noun, low, high) in enumerate(_CATEGORIES, start=1):
            for variant, word in enumerate(_VARIANTS, start=1):
                self.sku.append(f"{number:02}{variant:03}")
                self.name.append(f"{brands[variant % 2]} {word} {noun}")
                self.category.append(category)
                self.brand.append(brands[variant % 2])
                prices.append(int(random.integers(low * 2, high * 2)) * 50 + 40)
        self.price = np.array(prices, dtype=np.int64)
        weight = random.pareto(1.6, len(self.sku)) + 0.3
        self.weight = weight / weight.sum()
        # Partners lie in different categories, or the category's own popularity would already explain the pair.
        order = random.permutation(len(self.sku))
        pairs: list[tuple[int, int]] = []
        for first, second in zip(order[::2], order[1::2], strict=True):
            if self.category[first] != self.category[second] and len(pairs) < AFFINITY_PAIRS:
                pairs.append((int(first), int(second)))
        self.pairs = tuple(pairs)


# Given names and family names by the language the member is written to.
NAMES: Final = {
    "ms": (
        ("Aisyah", "Ahmad", "Farah", "Hafiz", "Nurul", "Zainal", "Siti", "Iskandar"),
        ("Rahman", "Osman", "Abdullah", "Ismail", "Yusof"),
    ),
    "zh-Hans": (("伟", "芳", "娜", "敏", "静", "磊", "洋", "丽"), ("王", "李", "张", "陈", "林", "黄")),
    "zh-Hant": (("偉", "芳", "雅婷", "志明", "淑芬", "俊傑"), ("陳", "林", "黃", "張", "劉")),
    "en": (
        ("Priya", "Ravi", "Grace", "Daniel", "Meera", "Joshua", "Kavitha", "Sarah"),
        ("Nair", "Fernandez", "Krishnan", "Lee", "D'Cruz", "Tan"),
    ),
}
LANGUAGE_SHARES: Final = {"ms": 0.42, "zh-Hans": 0.26, "zh-Hant": 0.08, "en": 0.24}
