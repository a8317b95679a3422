"""Reads another tool's SQLite file from a copy of its bytes: the original gains no side files and no lock."""

from __future__ import annotations

from pathlib import Path

from providers.types import JSONObject
from sessions.importers.imported import NotASession, Source

MAGIC = b"SQLite format 3\x00"


def tables(source: Source, *queries: str) -> list[list[JSONObject]]:
    """Each query's rows as objects. Raises NotASession where the file hasn't these tables.

    A file that was in WAL mode may come without its WAL; one that lies beside it is read along.
    """
    import sqlite3  # a native library that only importing needs
    import tempfile

    with tempfile.TemporaryDirectory(prefix="cachet-import-") as folder:
        copy = Path(folder) / "copy.db"
        copy.write_bytes(source.data)
        log = source.path.with_name(f"{source.path.name}-wal")
        if log.is_file():
            copy.with_name("copy.db-wal").write_bytes(log.read_bytes())
        try:
            connection = sqlite3.connect(copy)
            try:
                connection.row_factory = sqlite3.Row
                return [[dict(row) for row in connection.execute(query)] for query in queries]
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise NotASession(f"Cannot read {source.path} as a session database: {error}.") from error


def has_columns(source: Source, table: str, columns: frozenset[str]) -> bool:
    """Whether the database has the table with these columns."""
    (found,) = tables(source, f"SELECT name FROM pragma_table_info('{table}')")
    return columns <= {str(row["name"]) for row in found}
