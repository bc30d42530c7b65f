"""Every port of a running daemon is sent noise and mangled messages, by those with a token and by those with none.

It goes on serving, forgets who was cut off, and its memory stays bounded. `make fuzz SECONDS=600` fires for longer,
with another seed each time; FUZZ_SEED repeats one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import resource
import socket
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import numpy as np

from client.config import ClientSettings, load_settings
from client.control import ControlClient
from core.errors import OgcastError
from core.ids import ImageRef
from transports.base import Offer
from transports.control import SessionOpened, SessionReport, SessionRequest
from transports.member.handshake import enter
from transports.member.proto.framing import encode_message
from transports.member.proto.maps import pack_wants
from transports.multicast.keys import report_key
from transports.multicast.offer import CastOffer
from transports.multicast.proto import lane as cast_lane
from transports.multicast.proto.reports import Report
from transports.p2p.proto import messages as swarm
from transports.unicast.proto.frames import Op
from transports.unicast.proto.messages import pack_chunks, request

ROOT = Path(__file__).parents[2]
FIRE_S = float(os.environ.get("FUZZ_SECONDS", "15"))
SEED = int(os.environ.get("FUZZ_SEED", "7"))
PATIENCE_S = 60.0
ANSWER_S = 0.5
IMAGE_BYTES = 16 << 20
CHUNK_BYTES = 4 << 20
GROWTH_MAX_BYTES = 256 << 20
"""Of the daemon's memory: buffers of its casts and lanes, and what the allocator keeps; a leak of one message each
would be more."""
AT_ONCE = 3
LISTENING = "0A"

Shot = Callable[["Battle"], Awaitable[None]]


def mangled(data: bytes, rng: random.Random) -> bytes:
    """A message as no honest program sends it; now and then as it is."""
    for _ in range(rng.choice((0, 1, 1, 2, 5))):
        spot = rng.randrange(len(data) + 1)
        match rng.randrange(6):
            case 0:
                data = data[:spot]
            case 1:
                data = data[:spot] + rng.randbytes(rng.choice((1, 4, 300))) + data[spot:]
            case 2:
                data = data[:spot] + bytes([rng.choice((0, 1, 0x7F, 0x80, 0xFF))]) + data[spot + 1 :]
            case 3:
                data = data[:spot] + b"\xff\xff\xff\xff" + data[spot + 4 :]
            case 4:
                data = data[:spot] + data[spot : spot + 40] * 3 + data[spot + 40 :]
            case 5:
                data += data
    return data


def ports_of(pid: int, kind: str) -> list[int]:
    """Ports a process listens on (tcp) or takes datagrams at (udp)."""
    inodes = set()
    for name in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            inodes.add(str(name.readlink()).partition("socket:[")[2].rstrip("]"))
    found = set()
    for table in (kind, f"{kind}6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            if columns[9] in inodes and (kind == "udp" or columns[3] == LISTENING):
                found.add(int(columns[1].rsplit(":", 1)[1], 16))
    return sorted(found)


def memory_bytes(pid: int) -> int:
    """Memory of a process that is in use now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


class Battle:
    """The daemon from outside, and what a client of it knows."""

    def __init__(self, settings: ClientSettings, control: ControlClient, pid: int) -> None:
        self.settings = settings
        self.control = control
        self.rng = random.Random(SEED)
        self.fired: Counter[str] = Counter()
        self.until = time.monotonic() + FIRE_S
        self.tcp = ports_of(pid, "tcp")
        self.udp = ports_of(pid, "udp")

    async def keep_firing(self, shot: Shot) -> None:
        """One kind of shot after the other, until it is over."""
        while time.monotonic() < self.until:
            with contextlib.suppress(OSError, OgcastError, TimeoutError, asyncio.IncompleteReadError, ssl.SSLError):
                await shot(self)
            self.fired[shot.__name__] += 1
            await asyncio.sleep(0)

    async def session(self, method: str) -> SessionOpened:
        """A session as any client has one."""
        return await self.control.open_session(SessionRequest(image="img", method=method, host="mallory"))

    async def shoot(self, port: int, *volleys: bytes, key: SessionOpened | None = None, tls: bool = False) -> None:
        """Connect, prove the session's key if there is one, send, hear a little, hang up: in order or not."""
        context = ssl._create_unverified_context() if tls else None
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            try:
                if key is not None:
                    await enter(reader, writer, session_id=key.session, key=key.key)
                for volley in volleys:
                    writer.write(volley)
                    if self.rng.random() < 0.3:
                        await asyncio.sleep(0.01)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.rng.choice((0.0, 0.05, ANSWER_S))):
                        await reader.read(1 << 16)
            finally:
                if self.rng.random() < 0.5:
                    writer.transport.abort()
                else:
                    writer.close()


def offered(session: SessionOpened, transport: str) -> dict[str, object]:
    """Parameters of one offer."""
    return next(offer.parameters for offer in session.offers if offer.transport == transport)


async def noise(battle: Battle) -> None:
    """Anything, to any port."""
    rng = battle.rng
    volley = rng.choice((b"", rng.randbytes(rng.randrange(1, 3000)), b"OG" + rng.randbytes(60), b"\x16\x03\x01" * 500))
    await battle.shoot(rng.choice(battle.tcp), volley, tls=rng.random() < 0.3)


async def silence(battle: Battle) -> None:
    """Half a message, and nothing more for as long as it lasts."""
    await battle.shoot(battle.rng.choice(battle.tcp), request(Op.NEGOTIATE, message=1, payload=bytes(36))[:11])
    reader, writer = await asyncio.open_connection("127.0.0.1", battle.rng.choice(battle.tcp))
    await asyncio.sleep(2.0)
    writer.close()
    del reader


async def requests_of_a_token(battle: Battle) -> None:
    """HTTP that is nearly right."""
    rng, port = battle.rng, urlsplit(battle.settings.base_url).port or 0
    bodies = (
        msgspec.json.encode(SessionRequest(image="img", method="MULTICAST-DIRECT", options="9000:x:239.1.1.1:9M:2:3")),
        msgspec.json.encode(SessionReport(state="transferring", have=3)),
        b'{"name":"img","host":"x","size":4096,"chunk_size":65536}',
    )
    paths = (
        "sessions",
        "sessions/x/reports",
        "captures",
        "captures/x/commit",
        "images/img/manifest",
        "events",
        "a/../..",
    )
    body = mangled(rng.choice(bodies), rng)
    head = (
        f"{rng.choice(('POST', 'GET', 'DELETE', 'PUT', 'BREW'))} /v1/{rng.choice(paths)} HTTP/1.1\r\nhost: x\r\n"
        f"authorization: Bearer {battle.settings.token if rng.random() < 0.8 else 'no'}\r\n"
        f"content-type: application/json\r\ncontent-length: {rng.choice((len(body), len(body), 10**9))}\r\n\r\n"
    ).encode()
    await battle.shoot(port, mangled(head, rng) if rng.random() < 0.5 else head, body, tls=True)


async def members_of_a_cast(battle: Battle) -> None:
    """The lane of multicast, and reports to its UDP port."""
    session = await battle.session("MULTICAST-DIRECT")
    offer = CastOffer.read(Offer(transport="multicast", parameters=offered(session, "multicast")))
    wants = pack_wants(np.ones(session.image.chunks, dtype=np.bool_))
    said = [
        cast_lane.Join(wanted=wants),
        cast_lane.Without(chunks=wants),
        cast_lane.Again(chunks=wants),
        cast_lane.Probed(outcome="good", received=16, sent=16, loss=0.0),
        cast_lane.Leave(reason="no"),
        cast_lane.Done(),
        cast_lane.Joined(member=1, sequence=2, report_interval_ms=1, probes=3),
    ]
    volleys = [mangled(encode_message(each), battle.rng) for each in battle.rng.sample(said, 4)]
    with contextlib.suppress(OSError, TimeoutError, OgcastError):
        await battle.shoot(offer.port, *volleys, key=session)
    key = report_key(session.key, cast=offer.cast, member=offer.member)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for number in range(1, 20):
            report = Report(
                cast_id=offer.cast, member=offer.member, number=number, as_of=0, span=0, received=0, overflow=0
            )
            for port in {offer.report_port, battle.rng.choice(battle.udp or [offer.report_port])}:
                sock.sendto(mangled(report.encode(key), battle.rng)[:1400], ("127.0.0.1", port))
    await battle.control.close_session(session.session)


async def members_of_a_swarm(battle: Battle) -> None:
    """The lane of p2p, and the port its chunks come from."""
    session = await battle.session("TORRENT-DIRECT")
    parameters = offered(session, "p2p")
    wants = pack_wants(np.ones(session.image.chunks, dtype=np.bool_))
    none = pack_wants(np.zeros(session.image.chunks, dtype=np.bool_))
    said = [
        swarm.Announce(port=4000, subnet="", mode="peer", wanted=wants, held=none),
        swarm.Announce(port=4000, subnet="10.0.0.0/8", mode="seeder", wanted=none, held=wants),
        swarm.Done(),
        swarm.Leave(reason="x"),
    ]
    volleys = [mangled(encode_message(each), battle.rng) for each in battle.rng.sample(said, 3)]
    with contextlib.suppress(OSError, TimeoutError, OgcastError):
        await battle.shoot(int(str(parameters["port"])), *volleys, key=session)
        await lanes_of_chunks(battle, session=session)
    await battle.control.close_session(session.session)


async def lanes_of_chunks(battle: Battle, session: SessionOpened | None = None) -> None:
    """Unicast frames to every port that may speak them."""
    own = session or await battle.session("UNICAST-DIRECT")
    root = bytes.fromhex(own.image.root)
    frames = [
        request(Op.OPEN, message=11, payload=root),
        request(Op.READ, message=12, payload=pack_chunks([0, 1, 2]), subject=1, credits=3),
        request(Op.READ, message=13, payload=pack_chunks([1 << 23] * 8), subject=1, credits=65535),
        request(Op.CANCEL, message=14, subject=12),
        request(Op.NEGOTIATE, message=15, payload=bytes(36)),
    ]
    volleys = [frames[0], *(mangled(frame, battle.rng) for frame in battle.rng.sample(frames, 3))]
    try:
        port = int(str(offered(own, "unicast")["port"])) if battle.rng.random() < 0.5 else battle.rng.choice(battle.tcp)
        await battle.shoot(port, *volleys, key=own)
    finally:
        if session is None:
            await battle.control.close_session(own.session)


async def honest(battle: Battle) -> None:
    """Somebody who only wants to know what there is; must always be answered."""
    info = await battle.control.image(ImageRef("img"))
    assert info.chunks == IMAGE_BYTES // CHUNK_BYTES
    await asyncio.sleep(0.2)


SHOTS: tuple[Shot, ...] = (
    noise,
    silence,
    requests_of_a_token,
    members_of_a_cast,
    members_of_a_swarm,
    lanes_of_chunks,
)


@contextlib.contextmanager
def daemon(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """`repod serve` on free ports, with everything it can offer."""
    repository = folder / "repository"
    (folder / "raw").write_bytes(random.Random(1).randbytes(IMAGE_BYTES))
    import_it = ["import", repository, folder / "raw", "--name", "img", "--chunk-size", CHUNK_BYTES]
    for words in (["init", repository], import_it):
        line = [sys.executable, "-m", "repod", *map(str, words)]
        subprocess.run(line, cwd=ROOT, check=True, capture_output=True, timeout=PATIENCE_S)
    with socket.create_server(("127.0.0.1", 0)) as free:
        http_port = free.getsockname()[1]
    settings = repository / "repod.toml"
    text, count = re.subn(r"(?m)^# ?http_port = .*$|^http_port = .*$", f"http_port = {http_port}", settings.read_text())
    assert count == 1
    settings.write_text(text)
    log = folder / "log"
    line = [sys.executable, "-m", "repod", "serve", str(repository), "--host", "127.0.0.1", "--port", "0"]
    with log.open("wb") as out:
        process = subprocess.Popen(line, cwd=ROOT, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while b"repod: serving" not in log.read_bytes():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield process, log
    finally:
        process.kill()
        process.wait()


def restored(folder: Path, url: str, method: str) -> None:
    """A client gets the image."""
    words = ["--config", folder / "repository" / "client.toml", "--repo", url, "--json", "restore", "img"]
    line = [sys.executable, "-m", "client", *map(str, words), str(folder / "target"), "--method", method, "--no-seed"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=3 * PATIENCE_S)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-1000:]
    assert json.loads(done.stdout.splitlines()[-1])["bad_chunks"] == 0
    assert (folder / "target").read_bytes() == (folder / "raw").read_bytes()


async def fire(settings: ClientSettings, pid: int) -> Battle:
    """All at once, for a while."""
    async with ControlClient(settings) as control:
        battle = Battle(settings, control, pid)
        assert len(battle.tcp) >= 6, battle.tcp  # control, three lanes, the origin, torrents
        shots = [battle.keep_firing(shot) for shot in SHOTS for _ in range(AT_ONCE)]
        await asyncio.gather(*shots, battle.keep_firing(honest))
        await honest(battle)
        return battle


def test_noise_and_mangled_messages_to_every_port_leave_the_daemon_serving(tmp_path: Path) -> None:
    with daemon(tmp_path) as (process, log):
        url = re.search(r"https://\S+", log.read_text())
        assert url is not None
        settings = load_settings(tmp_path / "repository" / "client.toml", repo=url[0], interface=None)
        for method in ("UNICAST-DIRECT", "MULTICAST-DIRECT", "TORRENT-DIRECT"):
            restored(tmp_path, url[0], method)
        before = memory_bytes(process.pid)
        battle = asyncio.run(fire(settings, process.pid))
        grown = memory_bytes(process.pid) - before
        sys.stdout.write(f"seed {SEED}, {FIRE_S:.0f} s: {dict(battle.fired)}; memory grew by {grown >> 20} MiB\n")
        assert min(battle.fired[shot.__name__] for shot in SHOTS) > 3, battle.fired
        assert process.poll() is None, log.read_text()[-2000:]
        assert grown < GROWTH_MAX_BYTES, grown
        for method in ("UNICAST-DIRECT", "MULTICAST-DIRECT", "TORRENT-DIRECT"):
            restored(tmp_path, url[0], method)
        said = log.read_text()
        assert "Traceback" not in said
        assert "never retrieved" not in said
        process.terminate()
        assert process.wait(4 * PATIENCE_S) == 0, log.read_text()[-2000:]
