"""Names in the form they are searched and compared in, whatever script they are written in."""

import re
import unicodedata
from itertools import islice, product
from typing import Final

from rapidfuzz import fuzz
from rapidfuzz.distance import OSA

READINGS_MAX: Final = 8
TYPO_LENGTH_MIN: Final = 4

_HAN: Final = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")
# Accents of Latin letters, vowel signs and the filler of Arabic ones: written or not, it is the same name. The vowel signs of
# Tamil are none of them: without those it is another name.
_OPTIONAL: Final = re.compile("[\u0300-\u036f\u0640\u064b-\u065f\u0670]")
_LATIN: Final = re.compile(r"[a-z0-9]+")


def fold(text: str) -> str:
    """Without case, width and accents: `Ａisyah`, `AISYAH` and `Áisyah` are one."""
    apart = unicodedata.normalize("NFKD", text).casefold()
    return unicodedata.normalize("NFKC", _OPTIONAL.sub("", apart))


def words(text: str) -> list[str]:
    """The words of a text, folded: runs of letters, digits and the marks that belong to them."""
    spaced = "".join(letter if unicodedata.category(letter)[0] in "LNM" else " " for letter in fold(text))
    return spaced.split()


def search_text(name: str) -> str:
    """What a name is found by: its words, and for Chinese ones the pinyin in full and as initials.

    `王小明` gives `王小明 wangxiaoming wxm`. A character that is read in several ways gives each reading, up to eight of them.
    """
    found = words(name) or [fold(name).strip()]
    readings = [form for word in found for run in _HAN.findall(word) for form in _pinyin(run)]
    return " ".join(dict.fromkeys([*found, *readings]))


def _pinyin(run: str) -> list[str]:
    from pypinyin import Style, lazy_pinyin, pinyin  # its dictionaries take a moment, and not every name needs them

    usual = lazy_pinyin(run)
    syllables = pinyin(run, style=Style.NORMAL, heteronym=True)
    forms = [usual, *islice(product(*syllables), READINGS_MAX)]
    return [text for form in forms for text in ("".join(form), "".join(syllable[0] for syllable in form))]


def similarity(one: str, other: str) -> float:
    """How alike two names are, 0 to 1, whatever the order of their words (the InDel ratio of the words sorted)."""
    return fuzz.token_sort_ratio(fold(one), fold(other)) / 100


def misspelt(word: str, search: str) -> bool:
    """Whether a word is one of a search text's with one letter wrong, missing, too many, or two swapped."""
    return any(OSA.distance(word, each, score_cutoff=1) <= 1 for each in search.split())


def prefix_query(text: str) -> str | None:
    """The query that finds names with these beginnings or inner parts of words; None for a text without any."""
    found = words(text)
    return " & ".join(f"'{word}':*" for word in found) if found else None


def typo_query(text: str) -> str | None:
    """The query that finds names with one letter wrong in a word; None where no word is Latin and long enough.

    Names are indexed with every way to leave one letter out; two spellings one letter apart have one of those in common
    (the symmetric delete algorithm of W. Garbe's SymSpell).
    """
    terms = []
    for word in words(text):
        if len(word) < TYPO_LENGTH_MIN or not _LATIN.fullmatch(word):
            terms.append(f"'{word}':*")
            continue
        shorter = {word[:place] + word[place + 1 :] for place in range(len(word))}
        forms = [f"'{word}':*", f"'~{word}'", *(f"'~{each}' | '{each}'" for each in sorted(shorter))]
        terms.append(f"({' | '.join(forms)})")
    return " & ".join(terms) if any("~" in term for term in terms) else None
