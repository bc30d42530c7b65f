"""Importers: everything an image can be made from."""

from images.importers.opening import open_source
from images.importers.source import FileSystemUse, ImageSource, ImportOptions, SourceFormat

__all__ = ["FileSystemUse", "ImageSource", "ImportOptions", "SourceFormat", "open_source"]
