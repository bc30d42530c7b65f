"""What all sources share."""

from __future__ import annotations

from images.extents import Extent
from images.importers.source import FileSystemUse, ImageSource, ImportOptions, SourceFormat


class Closing(ImageSource):
    kind, ordered, size, extents = "raw", False, None, None
    closed = 0

    def read_data(self, extent: Extent, view: memoryview) -> int:
        return 0

    def close(self) -> None:
        self.closed += 1


def test_a_source_is_closed_at_the_end_of_its_block() -> None:
    with Closing() as source:
        source.finish()
        assert source.closed == 0
    assert source.closed == 1


def test_options_are_careful_unless_told() -> None:
    options = ImportOptions()
    assert not options.force
    assert (options.format, options.fs) == (SourceFormat.AUTO, FileSystemUse.AUTO)
