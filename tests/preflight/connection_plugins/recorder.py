"""A connection that reaches nothing and writes down that somebody tried."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: recorder
short_description: Writes down every attempt to reach a host
description: Every attempt is written to the file that the environment variable PREFLIGHT_RECORD names, and fails.
"""


class Connection(ConnectionBase):  # type: ignore[misc]
    """Every way to a host ends here."""

    transport = "recorder"
    has_pipelining = True

    def _record(self, *_arguments: Any, **_options: Any) -> Any:
        with Path(os.environ["PREFLIGHT_RECORD"]).open("a", encoding="utf-8") as stream:
            stream.write(f"{self._play_context.remote_addr}\n")
        raise AnsibleConnectionFailure("the recorder reaches nothing")

    _connect = exec_command = put_file = fetch_file = _record

    def close(self) -> None:
        """Nothing was opened."""
