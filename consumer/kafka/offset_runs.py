"""Sets of offsets as runs, and their compact text form in the metadata of a commit.

A run is a half-open interval of offsets. Jobs that finish out of order leave few of them, however
many jobs there are, so a set of runs stays small and packs well.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence

MAX_METADATA_BYTES = 4096
"""The brokers' default of `offset.metadata.max.bytes`."""
PREFIX = "f2f1"
"""Format version; text that starts otherwise is somebody else's and is ignored."""
MAX_RUNS = 100_000
MAX_UNPACKED_BYTES = 1 << 20
MAX_OFFSET = (1 << 63) - 1


class OffsetRuns:
    """A set of offsets, kept as sorted runs that do not touch."""

    def __init__(self, runs: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in runs:
            self.add(start, end)

    def add(self, start: int, end: int | None = None) -> None:
        """Add one offset, or all of [start, end)."""
        stop = start + 1 if end is None else end
        if stop <= start:
            return
        first = bisect_left(self._ends, start)  # the first run that touches from the left
        last = bisect_right(self._starts, stop)  # one past the last run that touches
        if first < last:
            start = min(start, self._starts[first])
            stop = max(stop, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [stop]

    def discard_below(self, offset: int) -> None:
        """Remove every offset smaller than `offset`."""
        gone = bisect_right(self._ends, offset)
        del self._starts[:gone], self._ends[:gone]
        if self._starts and self._starts[0] < offset:
            self._starts[0] = offset

    def end_of_run(self, offset: int) -> int:
        """One past the run that holds `offset`; `offset` itself when none does."""
        index = bisect_right(self._starts, offset) - 1
        return max(offset, self._ends[index]) if index >= 0 else offset

    def above(self, offset: int) -> list[tuple[int, int]]:
        """The runs of all offsets greater than `offset`."""
        found = [(max(s, offset + 1), e) for s, e in self]
        return [(s, e) for s, e in found if s < e]

    def clear(self) -> None:
        """Remove everything."""
        self._starts.clear()
        self._ends.clear()

    def __contains__(self, offset: int) -> bool:
        return self.end_of_run(offset) > offset

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._starts, self._ends, strict=True)

    def __len__(self) -> int:
        return sum(end - start for start, end in self)


def pack(position: int, runs: Sequence[tuple[int, int]]) -> tuple[str, int]:
    """Pack sorted runs above `position` into at most 4096 bytes of ASCII.

    Runs nearest to the position come first; those that do not fit are left out, which costs a
    look-up of their outcome when they are delivered again, and nothing else.

    Returns:
        The text ("" for no runs) and the number of offsets that were left out.
    """
    text = _encode(position, runs)
    if len(text) <= MAX_METADATA_BYTES:
        return text, 0
    fits, too_many = 0, len(runs)
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if len(_encode(position, runs[:middle])) <= MAX_METADATA_BYTES:
            fits = middle
        else:
            too_many = middle
    return _encode(position, runs[:fits]), sum(end - start for start, end in runs[fits:])


def unpack(position: int, text: str) -> list[tuple[int, int]]:
    """The runs in the metadata of a commit; none when it is not ours or damaged."""
    kind, _, packed = text.partition(":")
    if kind not in (PREFIX + "r", PREFIX + "z"):
        return []
    try:
        data = base64.b64decode(packed, validate=True)
        if kind == PREFIX + "z":
            data = zlib.decompressobj().decompress(data, MAX_UNPACKED_BYTES)
        return _read_runs(position, data)
    except (binascii.Error, zlib.error, ValueError):
        return []


def _encode(position: int, runs: Sequence[tuple[int, int]]) -> str:
    if not runs:
        return ""
    body = bytearray()
    at = position
    for start, end in runs:
        _put(body, start - at)
        _put(body, end - start)
        at = end
    small = zlib.compress(bytes(body), 9)
    kind, data = ("z", small) if len(small) < len(body) else ("r", bytes(body))
    return f"{PREFIX}{kind}:{base64.b64encode(data).decode('ascii')}"


def _put(body: bytearray, number: int) -> None:
    """Append an unsigned LEB128 number."""
    while number >= 0x80:
        body.append(number & 0x7F | 0x80)
        number >>= 7
    body.append(number)


def _read_runs(position: int, data: bytes) -> list[tuple[int, int]]:
    numbers = list(_numbers(data))
    if len(numbers) % 2 or len(numbers) > 2 * MAX_RUNS:
        raise ValueError("not pairs of gap and length")
    runs: list[tuple[int, int]] = []
    at = position
    for gap, length in zip(numbers[::2], numbers[1::2], strict=True):
        if not gap or not length or at + gap + length > MAX_OFFSET:
            raise ValueError("runs that touch, are empty or end beyond any offset")
        runs.append((at + gap, at + gap + length))
        at += gap + length
    return runs


def _numbers(data: bytes) -> Iterator[int]:
    number, shift = 0, 0
    for byte in data:
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            yield number
            number, shift = 0, 0
        elif (shift := shift + 7) > 63:
            raise ValueError("a number is longer than 64 bits")
    if shift:
        raise ValueError("the last number is cut off")
