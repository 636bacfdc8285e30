"""The page at `/` and the documentation at `/docs`: plain files, nothing from elsewhere."""

from __future__ import annotations

from importlib.resources import files

from starlette.responses import Response
from starlette.routing import Route

_KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_PATHS = {
    "/": "index.html",
    "/docs": "docs.html",
    "/page/app.css": "app.css",
    "/page/app.js": "app.js",
    "/page/docs.js": "docs.js",
    "/favicon.ico": "icon.svg",
    "/page/icon.svg": "icon.svg",
}


def routes() -> list[Route]:
    """One route for each file."""
    folder = files("consumer.http") / "page"
    made = []
    for path, name in _PATHS.items():
        data = (folder / name).read_bytes()
        kind = _KINDS[name.rpartition(".")[2]]

        def serve(_: object, data: bytes = data, kind: str = kind) -> Response:
            return Response(data, media_type=kind, headers={"Cache-Control": "no-cache"})

        made.append(Route(path, serve, name=name))
    return made
