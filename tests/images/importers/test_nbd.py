"""The NBD messages, against a server that misbehaves (a real qemu-nbd is in test_qemu.py)."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.errors import ImageFileError
from images.importers.nbd import NbdExport

GREETING = struct.pack(">QQH", 0x4E42444D41474943, 0x49484156454F5054, 3)
EXPORT = struct.pack(">QH", 4096, 3)


@contextmanager
def served(path: Path, answers: list[bytes | Callable[[bytes], bytes]]) -> Iterator[str]:
    """A server that sends the first answer at once and one more after each message, then hangs up."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(5)
            message = b""
            for last, answer in zip([False] * (len(answers) - 1) + [True], answers, strict=True):
                with contextlib.suppress(OSError):
                    connection.sendall(answer(message) if callable(answer) else answer)
                if last:
                    return
                with contextlib.suppress(OSError):  # the client hangs up on what it does not understand
                    message = connection.recv(1000)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield str(path)
    finally:
        thread.join()
        listener.close()


def reply(error: int, data: bytes, *, magic: int = 0x67446698) -> Callable[[bytes], bytes]:
    return lambda request: struct.pack(">II", magic, error) + request[8:16] + data


def test_a_read_gives_the_bytes(tmp_path: Path) -> None:
    with served(tmp_path / "s", [GREETING, EXPORT, reply(0, b"abcd")]) as path:
        export = NbdExport(path, timeout_s=5)
        view = memoryview(bytearray(4))
        export.read(16, view)
        export.close()
        assert export.size == 4096
        assert bytes(view) == b"abcd"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (reply(5, b""), "damaged"),
        (reply(0, b"abcd", magic=1), "unknown way"),
        (reply(0, b"ab"), "went away"),
        (b"", "went away"),
    ],
)
def test_a_bad_reply_is_told(tmp_path: Path, answer: bytes | Callable[[bytes], bytes], words: str) -> None:
    with served(tmp_path / "s", [GREETING, EXPORT, answer] if answer else [GREETING, EXPORT]) as path:
        export = NbdExport(path, timeout_s=5)
        with pytest.raises(ImageFileError, match=words):
            export.read(16, memoryview(bytearray(4)))
        export.close()


def test_whoever_speaks_otherwise_is_refused(tmp_path: Path) -> None:
    with served(tmp_path / "s", [b"HTTP/1.1 200 OK\r\n\r\n"]) as path, pytest.raises(ImageFileError, match="greeted"):
        NbdExport(path, timeout_s=5)


def test_nobody_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        NbdExport(str(tmp_path / "none"), timeout_s=5)
