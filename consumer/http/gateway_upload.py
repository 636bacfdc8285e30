"""Takes a multipart upload (RFC 7578) straight to disk: bounded and digested on the way."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from consumer.disk import scratch_fault
from consumer.faults import Fault
from consumer.http.gateway_guard import MAX_JSON
from consumer.http.gateway_metrics import UPLOADED
from consumer.http.gateway_problems import Refused
from consumer.remote.sniff import HEAD, looks_like_text, media_kind
from schemas.codes import ErrorCode, Stage

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FILES = ("audio", "video")
TEXTS = ("request",)
TOTAL_S = 3600.0
ROOM_BYTES = 16 * 1024 * 1024
"""An upload asks for room anew after so much."""
IDLE_S = 60.0
"""Longest silence within an upload."""
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}$")


@dataclass(slots=True)
class Received:
    """One file of the upload."""

    path: Path
    suffix: str
    named: bool = True
    """Whether the part named a file; without `@`, curl sends the path itself as a text."""
    size: int = 0
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    head: bytearray = field(default_factory=bytearray)

    @property
    def sha256(self) -> str:
        """Hex digest."""
        return self.digest.hexdigest()


@dataclass(slots=True)
class Upload:
    """What an upload brought."""

    files: dict[str, Received] = field(default_factory=dict)
    texts: dict[str, bytearray] = field(default_factory=dict)


async def receive(
    request: Request, folder: Path, limit: int, check_room: Callable[[], None] = lambda: None
) -> Upload:
    """Take the files `audio` and `video`, and the text `request`, if it comes.

    Args:
        request: with a multipart/form-data body.
        limit: bytes of one file.
        check_room: raises Fault where the disk of the folder is nearly full; asked again and again,
            as others write there at the same time.

    Raises:
        Refused: INVALID_REQUEST for a broken body or unknown, repeated or missing parts.
        Fault: INPUT_TOO_LARGE, INPUT_UNREADABLE, SCRATCH_FULL.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise _invalid("the body must be JSON, or multipart/form-data with a boundary")
    taker = _Taker(folder, limit)
    try:
        parser = MultipartParser(boundary, taker.callbacks())
        async with asyncio.timeout(TOTAL_S):
            chunks = request.stream()
            taken = asked = 0
            while True:
                chunk = await asyncio.wait_for(anext(chunks, b""), IDLE_S)
                if not chunk:
                    break
                taken += len(chunk)
                if taken - asked >= ROOM_BYTES:
                    asked = taken
                    check_room()
                await asyncio.to_thread(parser.write, chunk)
                UPLOADED.inc(len(chunk))
            parser.finalize()
    except FormParserError as error:  # of the body, or of its boundary
        raise _invalid(f"the multipart body is broken: {error}") from error
    except (ClientDisconnect, TimeoutError) as error:
        raise _invalid("the upload broke off") from error
    except OSError as error:
        full = scratch_fault(error, "the upload")
        if full is None:
            raise
        raise full from error
    finally:
        taker.close()
    return taker.result()


class _Taker:
    """Callbacks of the parser. They run one after the other, in threads."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._upload = Upload()
        self._header = (bytearray(), bytearray())
        self._headers: dict[bytes, bytes] = {}
        self._ended = False
        self._file: Received | None = None
        self._text: bytearray | None = None
        self._out: BinaryIO | None = None

    def callbacks(self) -> MultipartCallbacks:
        """By the parser's names."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, a, b: self._add_header(0, data[a:b]),
            "on_header_value": lambda data, a, b: self._add_header(1, data[a:b]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._open,
            "on_part_data": lambda data, a, b: self._write(data[a:b]),
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        self._headers = {}
        self._header = (bytearray(), bytearray())

    def _add_header(self, which: int, data: bytes) -> None:
        self._header[which].extend(data)  # the parser bounds their size and number

    def _end_header(self) -> None:
        name, value = self._header
        self._headers[bytes(name).lower()] = bytes(value)
        self._header = (bytearray(), bytearray())

    def _open(self) -> None:
        kind, options = parse_options_header(self._headers.get(b"content-disposition"))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if kind != b"form-data" or name not in (*FILES, *TEXTS):
            raise _invalid(
                f"part {name[:40]!r} is unknown: send files 'audio' and 'video', text 'request'"
            )
        if name in self._upload.files or name in self._upload.texts:
            raise _invalid(f"part {name!r} is given twice")
        if name in TEXTS:
            self._text = self._upload.texts[name] = bytearray()
            return
        given = options.get(b"filename", b"").decode("utf-8", "replace")
        found = _SUFFIX.search(given)
        path = self._folder / f"upload-{name}"
        self._file = Received(path, found[0].lower() if found else "", b"filename" in options)
        self._upload.files[name] = self._file
        self._out = path.open("wb")

    def _write(self, data: bytes) -> None:
        if self._text is not None:
            self._text.extend(data)
            if len(self._text) > MAX_JSON:
                raise _invalid(f"part 'request' is larger than {MAX_JSON} bytes")
        elif self._file is not None and self._out is not None:
            self._file.size += len(data)
            if self._file.size > self._limit:
                raise Fault.of(
                    ErrorCode.INPUT_TOO_LARGE,
                    Stage.FETCH,
                    f"a file of the upload has more than {self._limit} bytes",
                    limit=self._limit,
                )
            if len(self._file.head) < HEAD:
                self._file.head.extend(data[: HEAD - len(self._file.head)])
            self._file.digest.update(data)
            self._out.write(data)

    def _end(self) -> None:
        self._text = self._file = None
        self.close()

    def _finish(self) -> None:
        self._ended = True

    def close(self) -> None:
        """Close the file that is being written."""
        if self._out is not None:
            self._out.close()
            self._out = None

    def result(self) -> Upload:
        """What came, once it is complete.

        Raises:
            Refused: the body is cut off, or a file is missing or given as a text.
            Fault: INPUT_UNREADABLE, for a file that is not media.
        """
        if not self._ended:
            raise _invalid("the multipart body ends before its last boundary")
        for name in FILES:
            file = self._upload.files.get(name)
            if file is None:
                raise _invalid(f"file {name!r} is missing from the upload")
            if media_kind(bytes(file.head)) is None:
                if not file.named:
                    text = f"part {name!r} is a text and no file; with curl: -F {name}=@FILE"
                    raise _invalid(text)
                kind = looks_like_text(bytes(file.head)) or "no audio, video or picture file"
                raise Fault.of(
                    ErrorCode.INPUT_UNREADABLE,
                    Stage.FETCH,
                    f"file {name!r} is {kind if file.size else 'empty'}",
                )
        return self._upload


def _invalid(text: str) -> Refused:
    return Refused.of(ErrorCode.INVALID_REQUEST, text)
