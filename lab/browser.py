"""Have a headless Chromium on this machine, which the tests of the application's page drive.

.venv/bin/python lab/browser.py
"""

from __future__ import annotations

import shutil
import sys

import engine

NAMES = ("chromium", "chromium-browser", "google-chrome")


def ensure() -> None:
    """Install Debian's Chromium where there is none."""
    if not any(map(shutil.which, NAMES)):
        engine.install("chromium")


if __name__ == "__main__":
    try:
        ensure()
    except engine.EngineError as error:
        sys.exit(f"browser: {error}")
