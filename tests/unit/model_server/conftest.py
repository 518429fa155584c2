"""Makes the model server importable: it is a package of its own that the role ships to hosts."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "roles/model/files/server/src"))
