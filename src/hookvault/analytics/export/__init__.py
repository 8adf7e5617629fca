"""Recorded calls as a file: CSV, NDJSON or Parquet, written as it is read."""

from hookvault.analytics.export.file import FORMATS, Format, Writer, export, file_name, writer_of

__all__ = ["FORMATS", "Format", "Writer", "export", "file_name", "writer_of"]
