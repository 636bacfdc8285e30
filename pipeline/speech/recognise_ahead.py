"""Phones of a speech, recognised beside the stages that do not need them yet."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.speech.perception import perceive

if TYPE_CHECKING:
    from pipeline.reading.audio import Speech


@contextmanager
def recognised_ahead(speech: Speech) -> Iterator[Speech]:
    """The same speech, whose phones a thread begins to recognise now.

    `pipeline.speech.mouth.listen` waits for them, and raises what went wrong. Leaving stops the
    thread after the block that it is at.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(1, "f2f-phones") as pool:
        heard = [replace(speech, recognition=pool.submit(perceive, speech.samples, stop))]
        del speech  # whoever enters may drop the samples before leaving
        try:
            yield heard.pop()
        finally:
            stop.set()
