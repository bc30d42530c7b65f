"""A writer that can be taken away: nothing gets in after that, and what arrived stays."""

from __future__ import annotations

import pytest

from core.errors import CaptureError
from images.digest import digest_of
from images.repository import Repository
from images.stores import Encoding
from repod.guarded_writer import GuardedWriter
from repod.layout import Layout


def test_what_arrived_before_closing_stays_and_nothing_comes_after(layout: Layout) -> None:
    with Repository.open(layout.root) as repository:
        writer = GuardedWriter(repository, purpose="test")
        digest = digest_of(b"one")
        writer.append(digest, b"one", encoding=Encoding.RAW, raw_length=3)
        assert writer.contains([digest]) == [True]
        with writer:
            assert writer.store.bytes_new == 3
        writer.close()
        writer.close()
        assert repository.contains([digest]) == [True]
        for call in (
            lambda: writer.contains([digest]),
            lambda: writer.append(digest, b"one", encoding=Encoding.RAW, raw_length=3),
            writer.__enter__,
        ):
            with pytest.raises(CaptureError):
                call()
