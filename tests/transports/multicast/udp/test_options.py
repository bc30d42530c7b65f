"""Options: what may fail says so, and group requests have the kernel's layout."""

from __future__ import annotations

import socket

from transports.multicast.udp.options import (
    SOL_UDP,
    enlarge_receive_buffer,
    enlarge_send_buffer,
    group_request,
    try_option,
)


def test_an_option_the_kernel_does_not_know_is_reported_not_raised() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        assert not try_option(sock, SOL_UDP, 9999, 1)
        assert try_option(sock, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def test_buffers_say_what_they_got() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        assert 65536 <= enlarge_receive_buffer(sock, 1 << 20) <= 1 << 20
        assert 65536 <= enlarge_send_buffer(sock, 1 << 20) <= 1 << 20


def test_a_buffer_is_still_enlarged_where_forcing_is_not_allowed() -> None:
    class Unprivileged(socket.socket):
        def setsockopt(self, level: int, name: int, value: object, *rest: int) -> None:  # type: ignore[override]
            if name in (32, 33):
                raise PermissionError
            super().setsockopt(level, name, value)  # type: ignore[arg-type]

    with Unprivileged(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        assert enlarge_receive_buffer(sock, 65536) >= 65536


def test_group_requests_hold_index_and_addresses_where_the_kernel_looks() -> None:
    request = group_request(7, "239.1.2.3")
    assert len(request) == 8 + 128
    assert request[:4] == (7).to_bytes(4, "little" if request[0] == 7 else "big")
    assert request[8 + 4 : 8 + 8] == bytes([239, 1, 2, 3])
    request = group_request(7, "ff3e::1", "2001:db8::1")
    assert len(request) == 8 + 2 * 128
    assert request[8 + 8 : 8 + 24] == socket.inet_pton(socket.AF_INET6, "ff3e::1")
    assert request[136 + 8 : 136 + 24] == socket.inet_pton(socket.AF_INET6, "2001:db8::1")
