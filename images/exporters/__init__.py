"""Exporters: images as files other tools read."""

from images.exporters.feed import ExportProgress
from images.exporters.partclone import export_partclone
from images.exporters.raw import export_raw
from images.exporters.seekable_zst import export_zst

__all__ = ["ExportProgress", "export_partclone", "export_raw", "export_zst"]
