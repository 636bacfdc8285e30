"""A transport stream of two programmes, as a broadcaster's multiplex is (ISO/IEC 13818-1)."""

from __future__ import annotations

import struct
from pathlib import Path

_PACKET = 188
_TABLES = (0x0000, 0x0011)
"""PIDs that each stream has for itself: PAT, SDT."""


Programme = tuple[Path, int, int]
"""A file, the number of its programme, and the PID of its map."""


def join_programmes(path: Path, first: Programme, second: Programme) -> Path:
    """Two transport streams as one.

    Args:
        path: where to.
        first: one of them.
        second: the other one; no PID of it may be one of the first's.
    """
    lists = [_without_tables(each[0].read_bytes()) for each in (first, second)]
    table = _table([each[1:] for each in (first, second)])
    joined = [table]
    for n in range(max(map(len, lists))):
        joined += [packets[n] for packets in lists if n < len(packets)]
    path.write_bytes(b"".join(joined))
    return path


def _without_tables(stream: bytes) -> list[bytes]:
    packets = [stream[at : at + _PACKET] for at in range(0, len(stream), _PACKET)]
    return [each for each in packets if (each[1] & 0x1F) << 8 | each[2] not in _TABLES]


def _table(programmes: list[tuple[int, int]]) -> bytes:
    """The packet that says which programmes there are (2.4.4.3)."""
    entries = b"".join(struct.pack(">HH", number, 0xE000 | pid) for number, pid in programmes)
    body = struct.pack(">HBBB", 1, 0xC1, 0, 0) + entries
    section = struct.pack(">BH", 0, 0xB000 | (len(body) + 4)) + body
    section += struct.pack(">I", _crc(section))
    return (b"G\x40\x00\x10\x00" + section).ljust(_PACKET, b"\xff")


def _crc(data: bytes) -> int:
    """CRC-32/MPEG-2."""
    rest = 0xFFFFFFFF
    for byte in data:
        rest ^= byte << 24
        for _ in range(8):
            rest = (rest << 1 ^ 0x04C11DB7 if rest & 0x80000000 else rest << 1) & 0xFFFFFFFF
    return rest
