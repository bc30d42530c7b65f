from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from bench.lab.stream import PIECE_BYTES, SOURCE_BYTES, main

COUNT = SOURCE_BYTES + PIECE_BYTES + 7
ANSWER_S = 60.0


def _start(*words: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "bench.lab.stream", *map(str, words)])


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@pytest.mark.parametrize("flows", [1, 3])
def test_what_is_sent_is_taken_to_the_last_byte(flows: int) -> None:
    port = _free_port()
    words = [word for _ in range(flows) for word in ("127.0.0.1", COUNT)]
    process = _start(port, flows * COUNT, *words)  # to itself
    assert process.wait(ANSWER_S) == 0


def test_who_gets_more_than_was_said_does_not_call_it_right() -> None:
    port = _free_port()
    process = _start(port, COUNT, "127.0.0.1", COUNT + 1)
    assert process.wait(ANSWER_S) == 1


def test_a_receiver_without_its_count_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="zip"):
        main(["1", "0", "127.0.0.1"])
