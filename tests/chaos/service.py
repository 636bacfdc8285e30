"""`python -m tests.chaos.service`: the whole service as a process, with null renders.

It is `face2face run` in all but the function that its workers call.
"""

from __future__ import annotations

import asyncio
from functools import partial

from consumer.local.console import exit_on_sigterm

if __name__ == "__main__":
    exit_on_sigterm()
    from consumer import app
    from consumer.processing import open_processor
    from consumer.settings.load import load
    from tests.support.null_render import RENDERER

    app.open_processor = partial(open_processor, renderer=RENDERER)  # type: ignore[attr-defined]
    asyncio.run(app.run(load()))
