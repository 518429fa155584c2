"""PostgreSQL: the truth."""

from aigo.db.pool import Database, Row, connection_string

__all__ = ["Database", "Row", "connection_string"]
