"""Phone → lips and jaw.

The order of the vowels in opening, width and jaw follows the lip measurements of Montgomery and
Jackson (1983, J. Acoust. Soc. Am. 73, 2134-2144) and vowel height; the classes of the consonants
are those of Fisher (1968, J. Speech Hear. Res. 11, 796-804) and of the 14 visemes of MPEG-4 face
animation (ISO/IEC 14496-2, table C.1): p b m · f v · th dh · t d · k g · ch jh sh zh · s z · n l ·
r · five vowels. The numbers of a class are shares of one person's range, not of a population's.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Viseme:
    """A mouth in shares of a person's range."""

    openness: float
    """0 closed to 1 the widest gap between the lips in speech."""
    width: float
    """-1 rounded to 1 spread, 0 neutral."""
    jaw: float
    """0 raised to 1 lowest."""


LIPS_CLOSED = frozenset({"P", "B", "M"})
LIP_TO_TEETH = frozenset({"F", "V"})
CLOSED_CAP = 0.0
LIP_TO_TEETH_CAP = 0.10

_AA = Viseme(0.80, -0.20, 0.95)
_AO = Viseme(0.60, -0.60, 0.75)
_IY = Viseme(0.60, 0.80, 0.25)
_UW = Viseme(0.25, -1.00, 0.20)
_POSTALVEOLAR = Viseme(0.38, -0.60, 0.20)
_ALVEOLAR = Viseme(0.45, 0.30, 0.25)
_SIBILANT = Viseme(0.42, 0.50, 0.10)
_DENTAL = Viseme(0.42, 0.20, 0.25)
_VELAR = Viseme(0.48, 0.10, 0.35)
_BILABIAL = Viseme(0.00, 0.00, 0.20)
_LABIODENTAL = Viseme(0.06, 0.10, 0.15)

# One viseme, or where a diphthong begins and ends.
TABLE: dict[str, tuple[Viseme, ...]] = {
    "AA": (_AA,),
    "AE": (Viseme(0.95, 0.50, 0.90),),
    "AH": (Viseme(0.60, 0.10, 0.55),),
    "AO": (_AO,),
    "AW": (Viseme(0.85, 0.00, 0.90), Viseme(0.35, -0.80, 0.35)),
    "AY": (Viseme(0.85, 0.10, 0.95), Viseme(0.60, 0.60, 0.35)),
    "EH": (Viseme(0.75, 0.45, 0.60),),
    "ER": (Viseme(0.42, -0.45, 0.40),),
    "EY": (Viseme(0.80, 0.80, 0.50),),
    "IH": (Viseme(0.58, 0.50, 0.35),),
    "IY": (_IY,),
    "OW": (Viseme(0.45, -0.70, 0.55), Viseme(0.28, -1.00, 0.30)),
    "OY": (_AO, Viseme(0.58, 0.55, 0.30)),
    "UH": (Viseme(0.36, -0.60, 0.35),),
    "UW": (_UW,),
    "P": (_BILABIAL,),
    "B": (_BILABIAL,),
    "M": (_BILABIAL,),
    "F": (_LABIODENTAL,),
    "V": (_LABIODENTAL,),
    "TH": (_DENTAL,),
    "DH": (_DENTAL,),
    "T": (_ALVEOLAR,),
    "D": (_ALVEOLAR,),
    "N": (_ALVEOLAR,),
    "L": (Viseme(0.50, 0.15, 0.40),),
    "S": (_SIBILANT,),
    "Z": (_SIBILANT,),
    "CH": (_POSTALVEOLAR,),
    "JH": (_POSTALVEOLAR,),
    "SH": (_POSTALVEOLAR,),
    "ZH": (_POSTALVEOLAR,),
    "K": (_VELAR,),
    "G": (_VELAR,),
    "NG": (_VELAR,),
    "HH": (Viseme(0.52, 0.00, 0.45),),
    "R": (Viseme(0.32, -0.60, 0.30),),
    "W": (Viseme(0.10, -1.00, 0.20),),
    "Y": (Viseme(0.48, 0.50, 0.20),),
    "SPN": (Viseme(0.52, 0.00, 0.45),),
    "SIL": (Viseme(0.05, 0.00, 0.05),),
}
VOWELS = frozenset(
    {"AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"}
)
OPEN_VOWELS = frozenset({"AA", "AE", "AH", "AW", "AY", "EH"})


def visemes(phone: str) -> tuple[Viseme, ...]:
    """The visemes of a phone, in order; a name out of the table is a neutral vowel."""
    return TABLE.get(phone, TABLE["SPN"])
