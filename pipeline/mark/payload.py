"""What the watermark says: a digest of the job id with check bits, in a Reed-Solomon code.

40 bits of SHA-256 of the job id and 35 check bits make 15 symbols of GF(32); RS(31, 15) of the
library reedsolo makes them 155 bits. They are whitened, so that no even picture looks like a word
of the code. Reading takes one soft value per bit: bits that nobody could read are 0.
"""

from __future__ import annotations

import hashlib
from functools import cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

Soft = NDArray[np.float64]
"""(BITS,) above 0 where the bit is rather 1, below 0 where it is rather 0."""

_SYMBOL = 5
_SYMBOLS, _DATA = 31, 15
_DIGEST, _CHECK = 40, 35
"""Bits of the message; a picture of somebody else passes the check in one of 2^35 tries."""
BITS = _SYMBOL * _SYMBOLS
ERASED = (0, 5, 10)
"""How many of the least certain symbols are given up, one try each: 2 errors + erasures <= 16."""
_RADEMACHER = 3.178


def job_digest(job_id: str) -> str:
    """What the watermark holds of a job id: 10 hex digits."""
    return hashlib.sha256(job_id.encode()).hexdigest()[: _DIGEST // 4]


def codeword(digest: str) -> NDArray[np.uint8]:
    """(BITS,) of 0 and 1 for a job's digest."""
    symbols = _symbols(_message(digest))
    return _bits(np.array(_codec().encode(symbols), np.uint8)) ^ _whitening()


def decode(soft: Soft) -> str | None:
    """The digest, None where the code cannot mend the bits or the check bits are wrong."""
    hard = (soft > 0).astype(np.uint8) ^ _whitening()
    symbols = _symbols(hard)
    doubt = np.argsort(np.abs(soft).reshape(_SYMBOLS, _SYMBOL).min(axis=1))
    for erased in ERASED:
        digest = _mend(symbols, doubt[:erased].tolist())
        if digest is not None:
            return digest
    return None


def likeness(soft: Soft, words: NDArray[np.int8]) -> Soft:
    """(n,) agreement of soft values with n code words of -1 and 1, in standard deviations.

    A bit that some blocks are very sure of counts hardly more than one that they are sure of: what
    an encoder flattened is wrong in all pictures alike, and then many words would hang on few bits.
    For words chosen independently of the picture, any weights are allowed (`least_likeness`).
    """
    weighed = np.tanh(soft)
    length = float(np.linalg.norm(weighed))
    if length == 0:
        return np.zeros(len(words))
    scores: Soft = (words @ weighed) / length
    return scores


def least_likeness(tries: int, chance: float) -> float:
    """The likeness that `tries` words of others reach with at most that chance.

    A weighted sum of independent signs exceeds z standard deviations at most 3.178 times as often
    as the normal distribution (Bentkus, Dzindzalieta: "A tight Gaussian bound for weighted sums of
    Rademacher random variables", Bernoulli 21, 2015).
    """
    return -NormalDist().inv_cdf(chance / (_RADEMACHER * max(1, tries)))


def _mend(symbols: list[int], erasures: list[int]) -> str | None:
    from reedsolo import ReedSolomonError

    try:
        data, _, _ = _codec().decode(symbols, erase_pos=erasures)
    except ReedSolomonError:
        return None
    bits = _bits(np.array(list(data), np.uint8))
    digest = np.packbits(bits[:_DIGEST]).tobytes().hex()
    return digest if np.array_equal(_message(digest), bits) else None


def _message(digest: str) -> NDArray[np.uint8]:
    raw = bytes.fromhex(digest)
    check = hashlib.sha256(b"face2face watermark" + raw).digest()
    return np.unpackbits(np.frombuffer(raw + check, np.uint8))[: _DIGEST + _CHECK]


def _symbols(bits: NDArray[np.uint8]) -> list[int]:
    places = 1 << np.arange(_SYMBOL)[::-1]
    return [int(value) for value in bits.reshape(-1, _SYMBOL) @ places]


def _bits(symbols: NDArray[np.uint8]) -> NDArray[np.uint8]:
    places = np.arange(_SYMBOL)[::-1]
    return ((symbols[:, None] >> places) & 1).astype(np.uint8).reshape(-1)


@cache
def _whitening() -> NDArray[np.uint8]:
    stream = hashlib.shake_256(b"face2face watermark whitening").digest(BITS // 8 + 1)
    return np.unpackbits(np.frombuffer(stream, np.uint8))[:BITS]


@cache
def _codec() -> Any:
    from reedsolo import RSCodec

    return RSCodec(_SYMBOLS - _DATA, nsize=_SYMBOLS, c_exp=_SYMBOL)
