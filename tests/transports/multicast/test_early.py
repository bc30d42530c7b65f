"""Listening before anything else is there: what was sent meanwhile is not lost."""

from __future__ import annotations

import asyncio
import socket

import pytest

from core.arena import Arena
from core.errors import UsageError
from core.ids import SessionId
from core.wantmap import WantMap
from transports.base import ClientContext, Early, Offer, ServedSession, ServerContext
from transports.conformance.sample import sample_image
from transports.multicast.client import MulticastClient
from transports.multicast.early import JAMMED_FROM_BYTES, listen
from transports.multicast.server import MulticastServer
from transports.multicast.udp.group import Group
from transports.multicast.udp.incoming import TRAIN_MAX_BYTES
from transports.multicast.udp.interface import find_interface
from transports.multicast.udp.membership import queued_bytes

pytestmark = pytest.mark.asyncio

KEY = bytes(32)
CHUNKS = 80


async def fetched(
    server: MulticastServer, offer: Offer, name: str, early: Early | None, *, keep: int = 0
) -> tuple[int, int, dict[str, object]]:
    """Take the image with `early` at hand, the first `keep` chunks being there already.

    Returns how many chunks came, how many the server had sent when the lane was there, and the client's state."""
    manifest, store, _ = sample_image(chunks=CHUNKS)
    store.close()
    given = {"multicast": early}
    client = MulticastClient(
        ClientContext(
            repository_host="127.0.0.1",
            interface=None,
            state_dir=None,
            on_event=lambda event, fields: None,
            take_early=lambda transport: given.pop(transport, None),
        )
    )
    want, count = WantMap(CHUNKS), 0
    for chunk in range(keep):
        want.discard(chunk)
    arena = Arena(slot_bytes=1 << 18, slots=CHUNKS)
    session = SessionId(name)
    async with client.fetch(offer, session_id=session, key=KEY, manifest=manifest, want=want, arena=arena) as incoming:
        before = int(server.counters()["chunks_sent"])
        async for delivery in incoming:
            count += 1
            want.discard(delivery.chunk)
            incoming.accept(delivery)
            delivery.release()
        state = dict(client.state())
    return count, before, state


class Site:
    """A server on loopback, not adaptive and slow enough to be watched."""

    def __init__(self, **settings: object) -> None:
        self.manifest, self.store, _ = sample_image(chunks=CHUNKS)
        self.server = MulticastServer(
            ServerContext(
                host="127.0.0.1",
                advertise=None,
                interface=None,
                settings={"port": 0, "rate_mbit_per_s": 40, **settings},
                on_event=lambda event, fields: None,
            )
        )

    async def __aenter__(self) -> Site:
        await self.server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.stop(grace_s=1)
        self.store.close()

    def open(self, name: str, *, listening: bool) -> Offer:
        return self.server.open_session(
            ServedSession(id=SessionId(name), key=KEY, manifest=self.manifest, chunks=self.store, listening=listening)
        )

    async def until_sent(self, chunks: int) -> None:
        async with asyncio.timeout(60):
            while self.server.counters()["chunks_sent"] < chunks:  # noqa: ASYNC110 (the sender's thread tells nobody)
                await asyncio.sleep(0.01)


async def test_what_was_sent_before_the_lane_was_there_counts() -> None:
    async with Site() as site:
        offer = site.open("s", listening=True)
        early = listen(offer.parameters, interface=None)
        await site.until_sent(20)
        count, before, state = await fetched(site.server, offer, "s", early)
        assert count == CHUNKS
        assert before >= 20
        assert state["network_loss"] == 0
        assert site.server.counters()["chunks_sent_again"] <= 2  # of what left before the group was joined


@pytest.mark.parametrize(
    ("rate_bytes_per_s", "apart", "jams"), [(1e3, 2, False), (1e9, 1, False), (1e9, 2, True)], ids=str
)
async def test_a_link_on_which_a_part_of_what_is_sent_is_lost_is_jammed(
    rate_bytes_per_s: float, apart: int, jams: bool
) -> None:
    parameters = {"group": "239.77.2.9", "group_port": 47009, "source": "127.0.0.1", "source_specific": False}
    with (
        listen({**parameters, "rate_bytes_per_s": rate_bytes_per_s}, interface="lo") as early,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        assert not early.jams  # nothing came yet, which says nothing
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        count = 0
        while queued_bytes(early.sock) <= JAMMED_FROM_BYTES:
            # The others are lost on a link that is too narrow; of a cast that sends slowly there are no others.
            number = (apart * count + 5).to_bytes(4, "little")
            sender.sendto(b"\x11\0\0\0" + number + bytes(1400), (parameters["group"], 47009))
            count += 1
            assert count < 2000
        assert early.loss() == pytest.approx(1 - 1 / apart, abs=0.01)
        assert early.jams is jams
        for _ in range(count):  # all of it is still there
            early.sock.recv(TRAIN_MAX_BYTES)
        assert not early.hears


async def test_who_lacks_less_is_a_member_like_any_other() -> None:
    async with Site() as site:
        offer = site.open("s", listening=True)
        early = listen(offer.parameters, interface=None)
        await site.until_sent(5)
        count, _, _ = await fetched(site.server, offer, "s", early, keep=CHUNKS - 10)
        assert count == 10


async def test_a_socket_of_another_group_is_closed_and_not_used() -> None:
    async with Site() as site:
        offer = site.open("s", listening=True)
        other = listen({**offer.parameters, "group": "232.9.9.9"}, interface=None)
        count, _, _ = await fetched(site.server, offer, "s", other)
        assert count == CHUNKS
        assert other.sock.fileno() == -1


async def test_nothing_is_sent_early_where_the_cast_waits_for_others() -> None:
    async with Site(start_clients=2, start_wait_s=0.5) as site:
        offer = site.open("s", listening=True)
        early = listen(offer.parameters, interface=None)
        await asyncio.sleep(0)
        assert site.server.counters()["chunks_sent"] == 0
        count, before, _ = await fetched(site.server, offer, "s", early)
        assert (count, before) == (CHUNKS, 0)


async def test_one_that_never_comes_is_forgotten_with_its_session() -> None:
    async with Site() as site:
        site.open("s", listening=True)
        await site.until_sent(2)
        site.server.close_session(SessionId("s"), "expired")
        offer = site.open("other", listening=False)
        assert (await fetched(site.server, offer, "other", None))[0] == CHUNKS


async def test_one_that_takes_the_image_another_way_is_no_member_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transports.multicast.casting.EXPECTED_S", 0.3)
    async with Site() as site:
        site.open("s", listening=True)
        await site.until_sent(2)
        async with asyncio.timeout(60):
            while site.server.session_state(SessionId("s"))["lane"] != "gone":  # noqa: ASYNC110 (nothing tells of it)
                await asyncio.sleep(0.01)
            while site.server._casts[site.manifest.root].cast.members.lacking:  # noqa: ASYNC110 (its thread tells nobody)
                await asyncio.sleep(0.01)


async def test_what_came_says_how_much_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transports.multicast.early.BUFFER_BYTES", 256 * 1024)
    async with Site() as site:
        offer = site.open("s", listening=True)
        with listen(offer.parameters, interface=None) as early:
            assert early.loss() == 0.0  # nothing is there
            await site.until_sent(3)
            assert early.hears
            assert early.loss() == pytest.approx(0.0, abs=0.01)  # the buffer holds several chunks
            await site.until_sent(10)
            while early.hears:
                early.sock.recv(TRAIN_MAX_BYTES)
            await site.until_sent(40)  # more than twice of what the buffer holds
            assert early.sock.recv(TRAIN_MAX_BYTES)  # there is room again
            await site.until_sent(60)
            assert 0.3 < early.loss() < 1


async def test_an_offer_without_a_way_or_a_group_is_an_error() -> None:
    with pytest.raises(KeyError):
        listen({}, interface=None)
    parameters = {"group": "10.0.0.1", "group_port": 9, "source": "127.0.0.1", "source_specific": False}
    with pytest.raises(OSError, match="assign"):
        listen(parameters, interface=None)
    with pytest.raises(OSError, match="interface"):
        listen({**parameters, "group": "232.9.9.9"}, interface="none0")
    with pytest.raises(UsageError):
        listen({**parameters, "source": "no-address"}, interface=None)


async def test_what_was_adopted_goes_on_when_nobody_listens_early_any_more() -> None:
    async with Site() as site:
        offer = site.open("s", listening=True)
        early = listen(offer.parameters, interface="lo")
        group = Group(address=offer.parameters["group"], port=offer.parameters["group_port"], source="127.0.0.1")
        receiver = early.adopt(group, find_interface("lo"))
        early.close()
        assert receiver.fileno() >= 0
        receiver.close()
