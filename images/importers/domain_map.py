"""The domain log of `partclone.<fs> -D`: which ranges of a device the file system uses, as ddrescue writes maps.

Lines: comments begin with `#`; the first other line is `0xEND ?` and states how many bytes the map covers; each
further one is `0xSTART 0xLENGTH +|?`, used or free, in order and without gap.
"""

from __future__ import annotations

from core.errors import FileSystemError
from images.extents import IMAGE_SIZE_MAX, ExtentsBuilder, Kind

__all__ = ["LINE_BYTES_MAX", "DomainMap"]

LINE_BYTES_MAX = 512
"""No line of a map is longer; the comment with the device's path is cut by no one, and paths in /dev are short."""
_COMMENT_BYTES_MAX = 8192
_KINDS = {b"+": Kind.DATA, b"?": Kind.SKIP}


class DomainMap:
    """Parses a map in pieces and adds its runs to a builder. Raises FileSystemError for what no partclone writes."""

    def __init__(self, builder: ExtentsBuilder) -> None:
        self._builder = builder
        self._line = b""
        self.total: int | None = None
        """Bytes the map says it covers; None until its first line."""
        self.done = 0
        """Bytes covered by the runs so far."""
        self.used = 0
        """Bytes of used runs so far."""

    @property
    def complete(self) -> bool:
        """The runs cover all the map promised."""
        return self.total is not None and self.done == self.total

    def feed(self, data: bytes) -> None:
        """The next piece of the map, cut anywhere."""
        lines = (self._line + data).split(b"\n")
        self._line = lines.pop()
        if len(self._line) > _COMMENT_BYTES_MAX:
            raise FileSystemError("partclone wrote a map with an endless line")
        for line in lines:
            self._take(line)

    def finish(self) -> None:
        """The map has ended: raise unless it is complete."""
        self._take(self._line)
        self._line = b""
        if not self.complete:
            raise FileSystemError(f"partclone's map ends at byte {self.done} of {self.total}")

    def _take(self, line: bytes) -> None:
        line = line.strip()
        if not line or line.startswith(b"#"):
            return
        words = line.split() if len(line) <= LINE_BYTES_MAX else []
        if self.total is None and len(words) == 2:
            self.total = _number(words[0], line)
        elif self.total is not None and len(words) == 3 and words[2] in _KINDS:
            start, length = _number(words[0], line), _number(words[1], line)
            if start != self.done or not 0 < length <= self.total - start:
                raise FileSystemError(
                    f"partclone's map has a run of {length} bytes at {start} where {self.done} is due"
                )
            kind = _KINDS[words[2]]
            self._builder.add(length, kind)
            self.done += length
            self.used += length if kind is Kind.DATA else 0
        else:
            raise _not_a_map(line)


def _number(word: bytes, line: bytes) -> int:
    try:
        value = int(word, 16) if word.startswith(b"0x") and b"_" not in word else -1
    except ValueError:
        value = -1
    if not 0 <= value <= IMAGE_SIZE_MAX:
        raise _not_a_map(line)
    return value


def _not_a_map(line: bytes) -> FileSystemError:
    return FileSystemError(f"partclone wrote a map with a line that is none: {line[:60]!a}")
