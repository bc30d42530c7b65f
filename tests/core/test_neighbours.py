"""A question for a neighbour's address that nobody hears is repeated, and its answer taken."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from core.connecting import connect_blocking
from core.neighbours import ask_again
from tests.support.netns import INTERFACE, IPV4, ip, namespaces_usable, run_apart

apart = pytest.mark.skipif(not namespaces_usable(), reason="may not make network namespaces")
NEIGHBOUR = "192.0.2.77"
PEER = "ogpeer0"
ARP = 0x0806
FROM_KERNEL = 3
"""Questions the kernel may have sent in two seconds and a half."""


class Line:
    """The other end of the interface: hears questions, and answers as a computer would, from the `after`-th on."""

    def __init__(self, *, after: int = 1 << 30) -> None:
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ARP))
        self.sock.bind((PEER, ARP))
        self.sock.settimeout(0.2)
        self.questions: list[bytes] = []
        self._after = after
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        mine = self.sock.getsockname()[4]
        while not self._over.is_set():
            try:
                frame = self.sock.recv(2048)
            except TimeoutError:
                continue
            wanted = socket.inet_aton(NEIGHBOUR)
            if frame[20:22] != b"\x00\x01" or frame[38:42] != wanted:
                continue
            self.questions.append(frame)
            if len(self.questions) >= self._after:
                asker = frame[22:32]
                answer = frame[14:20] + b"\x00\x02" + mine + wanted + asker
                self.sock.send(frame[6:12] + mine + frame[12:14] + answer)

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self.sock.close()


@apart
def test_it_asks_as_the_kernel_does_and_many_times_as_often() -> None:
    def work() -> None:
        line = Line()
        try:
            with pytest.raises(OSError):  # noqa: PT011  # no answer, or no route: as the kernel has it
                connect_blocking(NEIGHBOUR, 80, timeout_s=2.0)
        finally:
            line.close()
        assert len(line.questions) > FROM_KERNEL
        assert len({question[:42] for question in line.questions}) == 1, "each is the kernel's own question"

    run_apart(work)


@apart
def test_an_answer_to_a_repeated_question_counts() -> None:
    def known() -> bool:
        with open("/proc/thread-self/net/arp") as table:
            return any(row.split()[0] == NEIGHBOUR and row.split()[2] == "0x2" for row in table)

    def work() -> None:
        ip("neigh", "flush", "dev", INTERFACE)
        line = Line(after=2)
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asks:
                asks.sendto(b"", (NEIGHBOUR, 9))
            until = time.monotonic() + 5
            while not line.questions and time.monotonic() < until:
                time.sleep(0.01)
            assert ask_again() == 1
            while not known() and time.monotonic() < until:
                time.sleep(0.01)
            assert known()
            assert ask_again() == 0, "nobody is asked for any more"
        finally:
            line.close()

    run_apart(work)


@apart
def test_the_question_names_the_address_packets_to_there_come_from() -> None:
    def work() -> None:
        line = Line()
        try:
            with pytest.raises(OSError):  # noqa: PT011
                connect_blocking(NEIGHBOUR, 80, timeout_s=0.5)
        finally:
            line.close()
        assert {question[28:32] for question in line.questions} == {socket.inet_aton(IPV4)}

    run_apart(work)


def test_where_nobody_is_asked_for_nothing_happens() -> None:
    if namespaces_usable():
        assert run_apart(ask_again) == 0
