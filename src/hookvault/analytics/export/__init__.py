"""Recorded calls as a file: CSV, NDJSON or Parquet, written as it is read."""

from hookvault.analytics.export.file import FORMATS, Format, export, file_name, writer_of

__all__ = ["FORMATS", "Format", "export", "file_name", "writer_of"]
