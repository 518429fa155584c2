"""``python -m aigo`` is the same as the ``aigo`` command."""

from aigo.cli import main

main()
