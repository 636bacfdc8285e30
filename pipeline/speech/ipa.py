"""From the International Phonetic Alphabet to the phones that the viseme table knows.

A phone goes to the one that looks most like it on the lips; place of articulation behind the teeth
hardly shows. Marks of tone, length and release say nothing about the lips.
"""

from __future__ import annotations

# A token belongs to the longest entry that it begins with.
_TABLE: dict[str, str] = {
    **dict.fromkeys(("p",), "P"),
    **dict.fromkeys(("b", "ɓ", "ʙ"), "B"),
    **dict.fromkeys(("m",), "M"),
    **dict.fromkeys(("f", "ɸ"), "F"),
    **dict.fromkeys(("v", "ʋ", "β", "ɱ"), "V"),
    **dict.fromkeys(("w", "ɥ"), "W"),
    **dict.fromkeys(("θ",), "TH"),
    **dict.fromkeys(("ð",), "DH"),
    **dict.fromkeys(("t", "ʈ"), "T"),
    **dict.fromkeys(("d", "ɖ", "ɗ"), "D"),
    **dict.fromkeys(("n", "ñ", "ɲ", "ɴ"), "N"),
    **dict.fromkeys(("l", "ɫ", "ɮ", "ʎ", "r", "ɾ", "ɽ"), "L"),
    **dict.fromkeys(("s",), "S"),
    **dict.fromkeys(("z", "ẑ"), "Z"),
    **dict.fromkeys(("ʃ", "ʂ", "ɕ"), "SH"),
    **dict.fromkeys(("ʒ", "ʐ", "ʑ"), "ZH"),
    **dict.fromkeys(("t͡ʃ", "t͡ɕ"), "CH"),
    **dict.fromkeys(("d͡ʒ",), "JH"),
    **dict.fromkeys(("k", "c", "x", "χ"), "K"),
    **dict.fromkeys(("g", "ɡ", "ɟ", "ɣ", "ʀ", "ʁ"), "G"),
    **dict.fromkeys(("ŋ",), "NG"),
    **dict.fromkeys(("h", "ħ", "ɦ", "ʔ"), "HH"),
    **dict.fromkeys(("ɹ", "ɻ"), "R"),
    **dict.fromkeys(("j", "ç", "ʝ"), "Y"),
    **dict.fromkeys(("i", "ì", "ĩ", "ǐ"), "IY"),
    **dict.fromkeys(("ɪ", "ɨ", "ɯ", "ɰ", "ɘ"), "IH"),
    **dict.fromkeys(("e", "ẽ", "ɛ", "je", "we"), "EH"),
    **dict.fromkeys(("eɪ",), "EY"),
    **dict.fromkeys(("æ",), "AE"),
    **dict.fromkeys(("a", "à", "ã", "ä", "å", "ɑ", "ɒ", "ɐ", "ja", "wa"), "AA"),
    **dict.fromkeys(("aɪ",), "AY"),
    **dict.fromkeys(("aʊ",), "AW"),
    **dict.fromkeys(("ʌ", "ə", "ɜ", "ɤ", "ᵊ", "jʌ", "wʌ"), "AH"),
    **dict.fromkeys(("ɚ", "ɝ"), "ER"),
    **dict.fromkeys(("ɔ",), "AO"),
    **dict.fromkeys(("ɔɪ",), "OY"),
    **dict.fromkeys(("o", "õ", "oʊ", "jo"), "OW"),
    **dict.fromkeys(("ʊ", "ø", "œ", "ɵ", "ʏ"), "UH"),
    **dict.fromkeys(("u", "ũ", "ʉ", "y", "ju"), "UW"),
    "wi": "IY",
}


def phone(token: str) -> str | None:
    """The phone that looks most like a token of the network; None where it is but a mark."""
    for length in range(len(token), 0, -1):
        if found := _TABLE.get(token[:length]):
            return found
    return None
