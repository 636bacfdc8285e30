"""Sentences of words that no language has, so that every consonant stands in all surroundings."""

from __future__ import annotations

import random

_CLUSTERS = ("pr", "br", "bl", "pl", "tr", "dr", "kr", "gr", "sp", "st", "sm", "sk")
_ONSETS = (*"pbm" * 3, *"tdnkglrvfszhj", *_CLUSTERS, *"vfdtnk")
_CODAS = ("",) * 6 + tuple("mnrlsktpbd")
_W_ONSETS = (*"pbm" * 2, *"w" * 6, "kw", "tw", "sw", "dw", *"tdnkglrvvfszhjnnkdg")
_W_ONSETS += ("pr", "br", "tr", "bl")
_W_CODAS = ("",) * 6 + tuple("vvmnrlsktdzbp") + ("ng", "ng")
_WORDS, _SYLLABLES = 8, (1, 2, 2, 3, 3)


def plain(chance: random.Random) -> str:
    """Many p, b and m."""
    return _sentence(chance, _ONSETS, _CODAS, "aeiou")


def with_w(chance: random.Random) -> str:
    """Many w and u, next to v, n and other consonants."""
    return _sentence(chance, _W_ONSETS, _W_CODAS, "aeiouuoa")


def with_u(chance: random.Random) -> str:
    """Many v and u, for voices that cannot say a w."""
    return _sentence(chance, ("v", "u", "uv", *_ONSETS), _CODAS, "aeiouuu")


def _sentence(
    chance: random.Random, onsets: tuple[str, ...], codas: tuple[str, ...], vowels: str
) -> str:
    def syllable() -> str:
        return chance.choice(onsets) + chance.choice(vowels) + chance.choice(codas)

    words = ["".join(syllable() for _ in range(chance.choice(_SYLLABLES))) for _ in range(_WORDS)]
    return " ".join(words) + "."
