"""The web page: the files in ``web/``, which browsers ask about at every visit, so that an upgrade is seen whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.responses import Response
from starlette.staticfiles import StaticFiles

WEB = Path(__file__).parent / "web"


class Page(StaticFiles):
    """Serves the page. Its modules import each other by name: an old one beside a new one would not fit."""

    def __init__(self) -> None:
        super().__init__(directory=WEB, html=True)

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """Answer with a file, or with 304 when the browser has it."""
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response
