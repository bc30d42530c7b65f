from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from client.proto.paths import RESTS_MAX, PathPolicy
from client.sources.failures import BROKEN_PAUSE_S, LANE_PATIENCE_S, LANE_REST_S, REFUSALS_MAX, Failures
from core.errors import (
    AuthenticationError,
    ChunkError,
    ConnectionFailedError,
    OgcastError,
    PathError,
    ProtocolError,
    SessionOverError,
    TransferError,
)
from transports.control import ImageInfo, SessionOpened

OFFERED = ["group", "plain"]


def _session(**refusals: str) -> SessionOpened:
    image = ImageInfo(
        name="a",
        version=1,
        root="0" * 64,
        size=1,
        data_bytes=1,
        chunk_size=65536,
        chunks=1,
        stored_bytes=1,
        fs_type="",
        created="2026-01-01T00:00:00Z",
    )
    return SessionOpened(session="0" * 32, key="", image=image, offers=[], refusals=refusals)


class Scene:
    """Failures with a clock that stands still until it is set."""

    def __init__(self, *, fallback: bool = True) -> None:
        self.paths = PathPolicy(first="group", fallback=fallback)
        self.events: list[str] = []
        self.sessions_over = 0
        self.now = 0.0
        self.failures = Failures(self.paths, on_event=self._note, on_session_over=self._over, clock=lambda: self.now)

    def _note(self, name: str, fields: Mapping[str, Any]) -> None:
        self.events.append(f"{name} {fields['transport']}")

    def _over(self) -> None:
        self.sessions_over += 1

    def judge(
        self, error: Exception, *, alone: bool = True, helps: bool = False, opened: bool = True
    ) -> Exception | None:
        return self.failures.judge("group", error, alone=alone, helps=helps, opened=opened, offered=OFFERED)


def test_a_path_that_does_not_work_is_given_up_for_another_without_a_word_to_the_session() -> None:
    scene = Scene()
    assert scene.judge(PathError("blocked")) is None
    assert scene.paths.poll_choice(OFFERED, 0.0) == "plain"
    assert scene.events == ["transport-given-up group"]


def test_without_another_its_reason_is_the_sessions() -> None:
    scene, error = Scene(fallback=False), PathError("blocked")
    assert scene.judge(error) is error


def test_a_path_that_asks_for_rest_gets_it_a_few_times() -> None:
    scene = Scene()
    for _ in range(RESTS_MAX):
        assert scene.judge(PathError("lossy", again_after_s=9.0)) is None
    assert scene.paths.given_up == {}
    assert scene.judge(PathError("lossy", again_after_s=9.0)) is None
    assert "group" in scene.paths.given_up


def test_where_it_is_the_only_one_the_session_waits_for_its_rest() -> None:
    assert isinstance(Scene(fallback=False).judge(PathError("lossy", again_after_s=9.0)), ConnectionFailedError)


@pytest.mark.parametrize("error", [AuthenticationError("who?"), TransferError("stopping")])
def test_a_session_that_is_over_is_opened_again_a_bounded_number_of_times(error: OgcastError) -> None:
    scene = Scene()
    for _ in range(REFUSALS_MAX):
        assert isinstance(scene.judge(error), ConnectionFailedError)
    assert scene.paths.given_up == {}
    scene.failures.handle_progress()
    for _ in range(REFUSALS_MAX + 1):
        scene.judge(error)
    assert "group" in scene.paths.given_up
    assert scene.sessions_over == 2 * REFUSALS_MAX + 1


def test_the_first_word_that_a_session_is_over_says_so_since_another_can_be_opened_at_once() -> None:
    scene = Scene()
    for _ in range(2):
        assert isinstance(scene.judge(AuthenticationError("who?")), SessionOverError)
        assert not isinstance(scene.judge(AuthenticationError("who?")), SessionOverError)
        scene.failures.handle_progress()


def test_a_cut_connection_is_the_sessions_only_if_no_lane_is_left() -> None:
    scene, error = Scene(), ConnectionFailedError("cut")
    assert scene.judge(error) is error
    assert scene.failures.failed == "group"
    assert scene.judge(error, alone=False) is None
    assert scene.failures.failed == ""
    assert not scene.paths.is_able("group", 0.0)
    assert scene.paths.is_able("group", BROKEN_PAUSE_S)
    assert scene.events == []


def test_a_lane_that_cannot_be_reached_rests_while_others_go_on() -> None:
    scene, error = Scene(), ConnectionFailedError("no answer from port 8719")
    for _ in range(RESTS_MAX):
        assert scene.judge(error, alone=False, opened=False) is None
        assert not scene.paths.is_able("group", LANE_REST_S - 0.1)
    scene.failures.handle_unreachable("group", error, others=True)
    assert "group" in scene.paths.given_up


def test_the_only_lane_is_given_up_after_a_while_in_which_it_could_not_be_reached() -> None:
    scene = Scene()
    error = ConnectionFailedError("no answer")
    for scene.now in (0.0, LANE_PATIENCE_S - 0.1):
        scene.failures.handle_unreachable("group", error, others=False)
        assert scene.paths.is_able("group", scene.now)  # it is tried again and again
    scene.failures.handle_progress()
    for scene.now in (LANE_PATIENCE_S, 2 * LANE_PATIENCE_S - 0.1):
        scene.failures.handle_unreachable("group", error, others=False)
        assert "group" not in scene.paths.given_up
    scene.now = 2 * LANE_PATIENCE_S
    scene.failures.handle_unreachable("group", error, others=False)
    assert scene.paths.given_up == {"group": "no answer"}


@pytest.mark.parametrize("error", [ProtocolError("rubbish"), TransferError("banned"), ChunkError("bad")])
def test_a_lane_that_only_helped_is_given_up_quietly(error: OgcastError) -> None:
    scene = Scene()
    assert scene.judge(error, helps=True) is None
    assert "group" in scene.paths.given_up
    assert scene.sessions_over == 0


def test_a_lane_that_helped_and_lost_its_session_is_tried_again() -> None:
    scene = Scene()
    assert scene.judge(AuthenticationError("who?"), helps=True, alone=False) is None
    assert scene.paths.given_up == {}


def test_rubbish_ends_a_transport_and_the_session_only_without_another() -> None:
    assert Scene().judge(ProtocolError("rubbish")) is None
    assert isinstance(Scene(fallback=False).judge(ProtocolError("rubbish")), ConnectionFailedError)


def test_a_chunk_nobody_else_can_have_is_the_sessions() -> None:
    error = ChunkError("damaged at the repository")
    assert Scene().judge(error) is error
    assert Scene().judge(error, alone=False) is None


def test_what_is_no_failure_of_a_path_goes_to_the_session_as_it_is() -> None:
    error = ValueError("a fault of ours")
    assert Scene().judge(error) is error


def test_what_the_repository_is_out_of_is_no_fault_of_this_program() -> None:
    busy = _session(group="all 99 groups are in use")
    error = Scene(fallback=False).failures.nothing_left(busy)
    assert "all 99 groups are in use" in str(error)
    assert "no --no-fallback" in str(error.hint)
    assert "widen" in str(error.hint)
    assert "--no-fallback" not in str(Scene().failures.nothing_left(busy).hint)
    assert "this ogcast knows" in str(Scene().failures.nothing_left(_session()).hint)


def test_what_was_given_up_is_looked_for_on_the_way() -> None:
    scene = Scene(fallback=False)
    scene.paths.handle_given_up("group", "silent")
    assert "between this client and the repository" in str(scene.failures.nothing_left(_session(group="busy")).hint)
