from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from client.control import ControlClient
from client.sources import remote
from client.sources.failures import REFUSALS_MAX
from client.sources.remote import RemoteSource
from core.arena import Arena
from core.errors import (
    AuthenticationError,
    ConnectionFailedError,
    NotFoundError,
    OgcastError,
    PathError,
    ProtocolError,
    TransferError,
    UsageError,
)
from core.ids import ImageRef
from core.wantmap import WantMap
from images.extents import Extents
from images.manifest import Manifest, parse_manifest
from images.memstore import MemoryStore
from tests.support.images import make_image
from transports.base import Capabilities, Delivery, Incoming, Outlook, TransportSpec
from transports.control import (
    ImageInfo,
    OfferBody,
    RoomInfo,
    SessionAdvice,
    SessionOpened,
    SessionReport,
    SessionRequest,
)

pytestmark = pytest.mark.asyncio

REPORT = SessionReport(state="transferring", have=0)
LAST = SessionReport(state="done", have=0)


class Control:
    """The control API of a repository that can forget its sessions."""

    def __init__(self, manifest: Manifest, offers: list[str]) -> None:
        self.root = manifest.root.hex()
        self.offers = offers
        self.opened: list[SessionRequest] = []
        self.closed: list[str] = []
        self.reported: list[str] = []
        self.gone = False
        self.error: OgcastError | None = None
        self.room = RoomInfo()
        self.asked = 0
        self.kept: list[object] = []

    def keep(self, line: object) -> None:
        self.kept.append(line)

    async def image(self, ref: ImageRef, *, patient: bool = True) -> None:
        assert not patient
        self.asked += 1
        if self.error is not None:
            raise self.error

    async def open_session(self, request: SessionRequest) -> SessionOpened:
        self.opened.append(request)
        image = ImageInfo(
            name="room1",
            version=1,
            root=self.root,
            size=1,
            data_bytes=1,
            chunk_size=65536,
            chunks=1,
            stored_bytes=1,
            fs_type="",
            created="",
        )
        return SessionOpened(
            session=f"s{len(self.opened)}",
            key=bytes(32),
            image=image,
            offers=[OfferBody(transport=name, parameters={}) for name in self.offers],
            room=self.room,
        )

    async def report(self, session: str, report: SessionReport) -> SessionAdvice:
        if self.error is not None:
            raise self.error
        if self.gone:
            raise NotFoundError("no such session")
        self.reported.append(session)
        return SessionAdvice(room=self.room)

    async def close_session(self, session: str) -> None:
        self.closed.append(session)


class Nothing:
    """An Incoming that brings nothing until it is left."""

    def accept(self, delivery: Delivery) -> None: ...

    def reject(self, delivery: Delivery, reason: str) -> None: ...

    def outlook(self) -> Outlook:
        return Outlook(under_way=frozenset())

    async def __anext__(self) -> Delivery:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")


class Transport:
    """Ends with the error it was given."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error

    @asynccontextmanager
    async def fetch(self, offer: Any, **_: Any) -> AsyncIterator[Incoming]:
        if self.error is not None:
            error, self.error = self.error, self.error if not isinstance(self.error, Once) else None
            raise error
        yield cast(Incoming, Nothing())


class Once(PathError):
    """A refusal that is not repeated."""


Make = Callable[..., tuple[RemoteSource, Control, list[tuple[str, Mapping[str, Any]]]]]


@pytest.fixture
def manifest() -> Manifest:
    with MemoryStore() as store:
        return parse_manifest(make_image(store, Extents.all_data(70000)).manifest)


@pytest.fixture
def make(manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> Make:
    def build(
        *, fallback: bool = True, auto: bool = False, **transports: Exception | None
    ) -> tuple[RemoteSource, Control, list[tuple[str, Mapping[str, Any]]]]:
        able = Capabilities
        specs = {
            name: TransportSpec(
                name=name,
                protocol=name,
                server="",
                client="",
                capabilities=able(shared_send=name == "group", needs_peers=name == "peers"),
            )
            for name in transports
        }
        monkeypatch.setattr(remote.registry, "specs", lambda: specs)
        monkeypatch.setattr(
            remote.registry, "load_client", lambda spec: lambda context: Transport(transports[spec.name])
        )
        control = Control(manifest, ["unheard-of", *transports])
        events: list[tuple[str, Mapping[str, Any]]] = []
        source = RemoteSource(
            cast(ControlClient, control),
            method=f"{'AUTO' if auto else next(iter(transports), 'unicast')}-DIRECT",
            options="",
            fallback=fallback,
            interface=None,
            repository_host="h",
            state_dir=None,
            on_event=lambda name, fields: events.append((name, fields)),
        )
        return source, control, events

    return build


async def _fetch(source: RemoteSource, manifest: Manifest) -> str:
    arena = Arena(slot_bytes=65536, slots=1)
    async with source.fetch(manifest=manifest, want=WantMap(manifest.chunk_count), arena=arena):
        return source.path


async def test_the_first_offer_with_a_known_transport_is_taken(make: Make, manifest: Manifest) -> None:
    source, control, _ = make(first=None, second=None)
    assert await _fetch(source, manifest) == "first"
    assert await _fetch(source, manifest) == "first"
    assert [request.image for request in control.opened] == ["room1@1"]
    assert control.opened[0].want == manifest.chunk_count


async def test_an_interface_that_is_not_there_is_said_before_anything_is_asked_for(manifest: Manifest) -> None:
    control = Control(manifest, ["group"])
    with pytest.raises(UsageError, match="nosuch0") as caught:
        RemoteSource(
            cast(ControlClient, control),
            method="MULTICAST-DIRECT",
            options="",
            fallback=False,
            interface="nosuch0",
            repository_host="h",
            state_dir=None,
            on_event=lambda name, fields: None,
        )
    assert caught.value.exit_code == 1
    assert control.opened == []


@pytest.mark.parametrize(
    ("fallback", "auto", "alone"), [(True, False, False), (False, False, True), (False, True, False)]
)
async def test_a_transport_is_told_whether_another_could_take_its_place(
    make: Make, fallback: bool, auto: bool, alone: bool
) -> None:
    source, _, _ = make(fallback=fallback, auto=auto, group=None, unicast=None)
    assert source._context.alone == alone


async def test_a_transport_that_breaks_the_protocol_is_given_up_for_the_next(make: Make, manifest: Manifest) -> None:
    source, _, events = make(first=ProtocolError("rubbish"), second=None)
    assert await _fetch(source, manifest) == "second"
    assert [name for name, _ in events] == ["transport", "transport-given-up", "transport"]


@pytest.mark.parametrize("error", [AuthenticationError("unknown session"), TransferError("stopping")])
async def test_a_session_that_ended_is_opened_again_a_bounded_number_of_times(
    make: Make, manifest: Manifest, error: Exception
) -> None:
    source, control, _ = make(only=error)
    for _ in range(REFUSALS_MAX + 1):
        with pytest.raises(ConnectionFailedError):
            await _fetch(source, manifest)
    assert len(control.opened) == REFUSALS_MAX + 1
    assert control.closed == ["s1", "s2", "s3"], "else its room counts this client several times"
    with pytest.raises(TransferError, match="no transport left") as left:
        await _fetch(source, manifest)
    assert "--no-fallback" not in (left.value.hint or ""), "it was not given"


async def test_a_broken_path_keeps_its_session(make: Make, manifest: Manifest) -> None:
    source, control, _ = make(only=ConnectionFailedError("cut"))
    for _ in range(5):
        with pytest.raises(ConnectionFailedError):
            await _fetch(source, manifest)
    assert len(control.opened) == 1


async def test_a_lane_that_cannot_be_reached_is_left_while_the_repository_answers(
    make: Make, manifest: Manifest
) -> None:
    """A firewall that knows the port of the control API and of unicast, and not that of the method."""
    source, control, events = make(first=ConnectionFailedError("no answer from port 8719"), second=None)
    with pytest.raises(ConnectionFailedError):
        await _fetch(source, manifest)
    assert await _fetch(source, manifest) == "second"
    assert events[1] == ("transport-resting", {"transport": "first", "message": "no answer from port 8719"})
    assert len(control.opened) == control.asked == 1


async def test_where_the_repository_does_not_answer_no_lane_is_blamed(make: Make, manifest: Manifest) -> None:
    source, control, events = make(first=ConnectionFailedError("cut"), second=None)
    control.error = ConnectionFailedError("away")
    for _ in range(4):
        with pytest.raises(ConnectionFailedError):
            await _fetch(source, manifest)
    assert source.path == "first"
    assert [name for name, _ in events] == ["transport"]


async def test_without_fallback_a_lane_is_tried_again(make: Make, manifest: Manifest) -> None:
    source, control, _ = make(fallback=False, first=ConnectionFailedError("no answer"), second=None)
    for _ in range(3):
        with pytest.raises(ConnectionFailedError):
            await _fetch(source, manifest)
    assert source.path == "first"
    assert control.asked == 3  # whether it is the lane or the repository


async def test_without_a_known_transport_the_error_names_what_there_is(make: Make, manifest: Manifest) -> None:
    source, control, _ = make(only=None)
    control.offers = ["unheard-of"]
    with pytest.raises(TransferError, match="unheard-of"):
        await _fetch(source, manifest)


async def test_another_image_under_the_same_name_is_refused(make: Make, manifest: Manifest) -> None:
    source, control, _ = make(only=None)
    control.root = "00" * 32
    with pytest.raises(TransferError, match="another"):
        await _fetch(source, manifest)
    assert control.closed == ["s1"]


async def test_a_forgotten_session_is_opened_again_after_the_report(make: Make, manifest: Manifest) -> None:
    source, control, events = make(only=None)
    assert await source.report(REPORT) > 0  # no session yet: nothing to say
    await _fetch(source, manifest)
    assert await source.report(REPORT) == 2.0
    control.error = ConnectionFailedError("away")
    await source.report(REPORT)
    assert events[-1] == ("report-failed", {"message": "away"})
    control.error = None
    control.gone = True
    await source.report(REPORT)
    control.gone = False
    await _fetch(source, manifest)
    assert len(control.opened) == 2
    await source.close(LAST)
    await source.close(LAST)
    assert control.reported == ["s1", "s2"]
    assert control.closed == []  # the last report ends it


async def test_a_session_without_a_last_report_is_closed(make: Make, manifest: Manifest) -> None:
    source, control, _ = make(only=None)
    await _fetch(source, manifest)
    await source.close(None)
    await source.close(None)
    assert (control.reported, control.closed) == ([], ["s1"])


async def test_after_a_session_that_was_opened_early_nothing_is_reported_for_a_while(
    make: Make, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, control, _ = make(only=None)
    opened = await control.open_session(SessionRequest(image="x", method="ONLY-DIRECT"))

    source._early = early = Listened(opened, jammed={})  # type: ignore[assignment]
    await _fetch(source, manifest)
    assert control.kept == [early]  # what is asked from now on goes by the connection that is there
    assert 0 < await source.report(REPORT) <= remote.QUIET_S
    assert control.reported == []
    source._quiet_until = 0.0
    assert await source.report(REPORT) == 2.0
    assert control.reported == ["s1"]


class Listened:
    """A session that was opened early, and how its group was heard meanwhile."""

    def __init__(self, opened: SessionOpened, *, heard: str = "", jammed: Mapping[str, float]) -> None:
        self.opened = opened
        self.heard = heard
        self.jammed = jammed

    def take(self, **_: object) -> SessionOpened:
        return self.opened

    def take_line(self) -> object:
        return self


@pytest.mark.parametrize(("heard", "path"), [("group", "group"), ("", "plain")])
async def test_who_chooses_begins_with_the_group_it_heard(
    make: Make, manifest: Manifest, heard: str, path: str
) -> None:
    """Though it knows of nobody else yet."""
    source, control, _ = make(auto=True, group=None, plain=None)
    opened = await control.open_session(SessionRequest(image="x", method="AUTO-DIRECT"))
    source._early = Listened(opened, heard=heard, jammed={})  # type: ignore[assignment]
    assert await _fetch(source, manifest) == path


@pytest.mark.parametrize(
    ("loss", "others", "path"), [(0.75, True, "plain"), (0.3, True, "group"), (0.75, False, "group")]
)
async def test_a_group_that_filled_the_link_before_is_not_joined(
    make: Make, manifest: Manifest, loss: float, others: bool, path: str
) -> None:
    source, control, events = make(group=None, plain=None, fallback=others)
    opened = await control.open_session(SessionRequest(image="x", method="GROUP-DIRECT"))
    source._early = Listened(opened, jammed={"group": loss})  # type: ignore[assignment]
    assert await _fetch(source, manifest) == path
    assert ("transport-resting" in dict(events)) is (path == "plain")


async def test_a_transport_that_cannot_serve_this_client_is_left_and_its_reason_told(
    make: Make, manifest: Manifest
) -> None:
    source, _, events = make(first=PathError("no IGMP querier"), second=None)
    assert await _fetch(source, manifest) == "second"
    assert events[1] == ("transport-given-up", {"transport": "first", "message": "no IGMP querier"})


async def test_a_resting_transport_is_returned_to_when_its_rest_is_over(make: Make, manifest: Manifest) -> None:
    source, control, events = make(group=Once("too lossy", again_after_s=0.01), second=None)
    arena, want = Arena(slot_bytes=65536, slots=4), WantMap(1000)
    async with source.fetch(manifest=manifest, want=want, arena=arena) as incoming:
        assert source.path == "second"
        assert events[1][0] == "transport-resting"
        waiting = asyncio.ensure_future(incoming.__anext__())
        await _until(lambda: source.path == "group")
        waiting.cancel()
    assert len(control.opened) == 1


async def test_auto_says_what_it_picks_and_changes_with_the_room(make: Make, manifest: Manifest) -> None:
    source, control, events = make(auto=True, group=None, plain=None)
    arena = Arena(slot_bytes=65536, slots=4)
    async with source.fetch(manifest=manifest, want=WantMap(1000), arena=arena) as incoming:
        assert source.path == "plain"
        assert "no other client" in source.picked
        control.room = RoomInfo(sessions=3, near=3)
        await source.report(REPORT)
        waiting = asyncio.ensure_future(incoming.__anext__())
        await _until(lambda: source.path == "group")
        waiting.cancel()
    assert [fields["transport"] for name, fields in events if name == "picked"] == ["plain", "group"]
    assert "3 clients" in source.picked


async def test_what_reports_told_of_the_room_holds_also_after_a_break(make: Make, manifest: Manifest) -> None:
    source, control, _ = make(auto=True, group=None, plain=None)
    assert await _fetch(source, manifest) == "plain"
    control.room = RoomInfo(sessions=3, near=3)
    await source.report(REPORT)
    assert await _fetch(source, manifest) == "group"
    assert len(control.opened) == 1


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.02)


async def test_without_fallback_the_reason_is_the_error(make: Make, manifest: Manifest) -> None:
    source, _, _ = make(fallback=False, first=PathError("no IGMP querier"), second=None)
    with pytest.raises(PathError, match="querier"):
        await _fetch(source, manifest)
    with pytest.raises(TransferError, match="querier"):
        await _fetch(source, manifest)
