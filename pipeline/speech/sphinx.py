"""pocketsphinx without the interpreter's lock.

The wheel's Python class holds the lock for as long as a block takes, a second and more, during
which no other stage runs. The same library in the same file, called through its C interface
(`pocketsphinx.h`), lets them. A build that does not export it is used through its class.
"""

from __future__ import annotations

import ctypes
import threading
from functools import lru_cache
from typing import Any

Segment = tuple[str, int, int]
"""Name, first frame, last frame."""

_POINTER, _INT, _TEXT = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "ps_config_parse_json": (_POINTER, (_POINTER, _TEXT)),
    "ps_config_free": (_INT, (_POINTER,)),
    "ps_init": (_POINTER, (_POINTER,)),
    "ps_free": (_INT, (_POINTER,)),
    "ps_start_utt": (_INT, (_POINTER,)),
    "ps_process_raw": (_INT, (_POINTER, _TEXT, ctypes.c_size_t, _INT, _INT)),
    "ps_end_utt": (_INT, (_POINTER,)),
    "ps_seg_iter": (_POINTER, (_POINTER,)),
    "ps_seg_next": (_POINTER, (_POINTER,)),
    "ps_seg_word": (_TEXT, (_POINTER,)),
    "ps_seg_frames": (None, (_POINTER, ctypes.POINTER(_INT), ctypes.POINTER(_INT))),
}
_ONE_AT_A_TIME = threading.Lock()
"""As under the interpreter's lock: its log level and its allocator's state are the process's."""


def decode(settings: dict[str, Any], sound: bytes) -> list[Segment]:
    """Decode one utterance with a fresh decoder.

    Args:
        sound: 16-bit samples.

    Returns:
        Segments in order; nothing where the recogniser gives up.
    """
    import pocketsphinx

    library = _library()
    if library is None:
        return _by_class(pocketsphinx.Decoder(**settings), sound)
    text = pocketsphinx.Config(**settings).dumps().encode()
    with _ONE_AT_A_TIME:
        return _by_library(library, text, sound)


def _by_library(library: Any, settings: bytes, sound: bytes) -> list[Segment]:
    config = library.ps_config_parse_json(None, settings)
    if not config:
        raise RuntimeError("pocketsphinx does not take its settings")
    decoder = library.ps_init(config)
    library.ps_config_free(config)  # the decoder keeps a reference of its own
    if not decoder:
        raise RuntimeError("pocketsphinx does not start: its model cannot be loaded")
    try:
        failed = (
            library.ps_start_utt(decoder) < 0
            or library.ps_process_raw(decoder, sound, len(sound) // 2, 0, 1) < 0
            or library.ps_end_utt(decoder) < 0
        )
        return [] if failed else _segments(library, decoder)
    finally:
        library.ps_free(decoder)


def _segments(library: Any, decoder: int) -> list[Segment]:
    found: list[Segment] = []
    first, last = _INT(), _INT()
    segment = library.ps_seg_iter(decoder)
    while segment:
        library.ps_seg_frames(segment, ctypes.byref(first), ctypes.byref(last))
        found.append((library.ps_seg_word(segment).decode(), first.value, last.value))
        segment = library.ps_seg_next(segment)  # frees it at the end
    return found


def _by_class(decoder: Any, sound: bytes) -> list[Segment]:
    try:
        decoder.start_utt()
        decoder.process_raw(sound, full_utt=True)
        decoder.end_utt()
        segments = decoder.seg()
    except RuntimeError:
        return []
    return [(s.word, s.start_frame, s.end_frame) for s in segments or ()]


@lru_cache(maxsize=1)
def _library() -> Any:
    """The wheel's own shared object with its functions declared, None where they are hidden."""
    from pocketsphinx import _pocketsphinx

    library = ctypes.CDLL(_pocketsphinx.__file__)
    try:
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, list(arguments)
    except AttributeError:
        return None
    return library
