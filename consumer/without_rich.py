"""Keeps `rich` out of the service. Import before anything that imports structlog.

structlog imports rich (and with it pygments and attrs) whenever it is installed, for tracebacks in
colour: a fifth of the service's start, for lines that go out as JSON.
"""

from __future__ import annotations

import sys
from typing import Any

if "structlog" not in sys.modules and "rich" not in sys.modules:
    modules: dict[str, Any] = sys.modules
    modules["rich"] = None  # "not installed", for structlog alone
    try:
        import structlog  # noqa: F401
    finally:
        del modules["rich"]
