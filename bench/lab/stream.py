"""Bytes and nothing else: what the kernel of this machine takes to move them, to compare a transport with.

    python -m bench.lab.stream PORT BYTES [HOST BYTES]...

Takes BYTES in all at PORT, into memory that is there, and sends each HOST its own at the same time, from memory by
`sendfile`. It thinks about nothing, keeps nothing and looks at nothing.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Sequence

__all__ = ["main"]

PIECE_BYTES = 1 << 20
SOURCE_BYTES = 16 << 20
CONNECT_WITHIN_S = 20.0
"""All start at once; who is called too soon is called again."""
LOOK_S = 0.01
BACKLOG = 64


def main(words: Sequence[str]) -> int:
    """0 when everything was sent and taken."""
    port, expected = int(words[0]), int(words[1])
    receivers = [(host, int(count)) for host, count in zip(words[2::2], words[3::2], strict=True)]
    taken = [0]
    with socket.create_server(("", port), backlog=BACKLOG) as listener:
        threads = [threading.Thread(target=_send, args=(host, port, count), daemon=True) for host, count in receivers]
        threads.append(threading.Thread(target=_take_all, args=(listener, expected, taken), daemon=True))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return 0 if taken[0] == expected else 1


def _take_all(listener: socket.socket, expected: int, taken: list[int]) -> None:
    lock, left = threading.Lock(), [expected]
    takers: list[threading.Thread] = []
    while left[0] > 0 and sum(taker.is_alive() for taker in takers) < BACKLOG:
        listener.settimeout(LOOK_S * 10)
        try:
            sock = listener.accept()[0]
        except TimeoutError:
            continue
        sock.settimeout(None)
        takers.append(threading.Thread(target=_take, args=(sock, lock, left), daemon=True))
        takers[-1].start()
    for taker in takers:
        taker.join()
    taken[0] = expected - left[0]


def _take(sock: socket.socket, lock: threading.Lock, left: list[int]) -> None:
    buffer = bytearray(PIECE_BYTES)
    with sock:
        while count := sock.recv_into(buffer, PIECE_BYTES, socket.MSG_WAITALL):
            with lock:
                left[0] -= count


def _send(host: str, port: int, count: int) -> None:
    source = os.memfd_create("stream")
    os.truncate(source, SOURCE_BYTES)
    for start in range(0, SOURCE_BYTES, PIECE_BYTES):
        os.pwrite(source, bytes(PIECE_BYTES), start)
    with _connect(host, port) as sock:
        while count:
            at = count % SOURCE_BYTES
            count -= os.sendfile(sock.fileno(), source, at, min(count, SOURCE_BYTES - at))
    os.close(source)


def _connect(host: str, port: int) -> socket.socket:
    until = time.monotonic() + CONNECT_WITHIN_S
    while True:
        try:
            return socket.create_connection((host, port), timeout=None)
        except ConnectionRefusedError:
            if time.monotonic() >= until:
                raise
            time.sleep(LOOK_S)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
