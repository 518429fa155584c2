# Copyright: aigo.onprem contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one exception of the package."""

from __future__ import annotations


class BackupError(Exception):
    """What was to be done was not; the text says what was seen and how to mend it.

    `told` is all that a tool said, of which the text has the end.
    """

    def __init__(self, text: str, told: str = "") -> None:
        super().__init__(text)
        self.told = told or text
