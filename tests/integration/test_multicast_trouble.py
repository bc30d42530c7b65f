"""Rooms whose disks stop, whose clocks jump, and that share one wire: real programs on hosts of their own."""

from __future__ import annotations

import random
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.filesystems import find_program
from bench.lab import shell
from bench.lab.plan import Step
from bench.lab.topology import room
from bench.loops import loop_device
from tests.support.rooms import CHUNK_BYTES, Room, came_by_group, room_of

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(shell.missing()), reason=f"no lab here: {shell.missing()}"),
]

RATE = 200e6
MIB = 1 << 20
SHIFTED_CLOCK = Path(__file__).parents[1] / "support" / "shifted_clock.c"


def another_image(lab: Room, name: str, image_bytes: int) -> bytes:
    """A second image of the repository; returns its content."""
    content = random.Random(name).randbytes(image_bytes)
    source = lab.folder / f"{name}.raw"
    source.write_bytes(content)
    lab.repod_command("import", lab.repository, source, "--name", name, "--chunk-size", str(CHUNK_BYTES))
    return content


def test_two_images_share_the_wire_fairly(tmp_path: Path) -> None:
    budget = 60.0
    with room_of(room(4, rate_bits_per_s=RATE), tmp_path, image_bytes=64 * MIB, rate_mbit_per_s=budget) as lab:
        other = another_image(lab, "other", 64 * MIB)
        repod = lab.serve()
        clients = [lab.client(f"c{number}", image=("img", "other")[number % 2]) for number in (1, 2, 3, 4)]
        for client in clients:
            client.until_chunks(1)
        began, before = time.monotonic(), lab.rig.counters()["server"].from_bytes
        clients[0].until_chunks(10)
        stand = [client.named("progress")[-1]["chunks_done"] for client in clients]
        assert min(stand) >= 0.5 * max(stand), stand  # one after the other would be 0
        sent = lab.rig.counters()["server"].from_bytes - before
        assert sent * 8 / (time.monotonic() - began) < 1.15e6 * budget
        for client in clients:
            came_by_group(client.done())
        lab.check("c2", "c4")
        assert lab.target("c1").read_bytes() == lab.target("c3").read_bytes() == other
        assert len({made["group"] for made in repod.events("cast_made")}) == 2
        repod.stop()


@contextmanager
def disk_that_can_stop(folder: Path, size: int) -> Iterator[Path]:
    """A file system on a disk of its own; `fsfreeze` stops every write to it."""
    backing, place = folder / "disk.img", folder / "disk"
    with backing.open("wb") as file:
        file.truncate(size)
    place.mkdir()
    with loop_device(backing) as device:
        subprocess.run([find_program("mkfs.ext4") or "", "-q", str(device)], check=True, timeout=30)
        subprocess.run([find_program("mount") or "", str(device), str(place)], check=True, timeout=30)
        try:
            yield place
        finally:
            freeze(place, "--unfreeze")
            subprocess.run([find_program("umount") or "", str(place)], check=True, timeout=30)


def freeze(place: Path, how: str) -> bool:
    """Stop or release a file system; False if it is so already."""
    return subprocess.run([find_program("fsfreeze") or "", how, str(place)], timeout=60).returncode == 0


@pytest.mark.tools("fsfreeze", "mkfs.ext4")
def test_a_disk_that_stops_for_half_a_minute_costs_nobody_anything(tmp_path: Path) -> None:
    stop_s = 30.0
    with (
        disk_that_can_stop(tmp_path, 160 * MIB) as disk,
        room_of(room(3, rate_bits_per_s=RATE), tmp_path, image_bytes=64 * MIB, rate_mbit_per_s=60) as lab,
    ):
        repod = lab.serve()
        target = disk / "target.img"
        stopped = lab.client("c1", target=target)
        others = [lab.client("c2"), lab.client("c3")]
        for client in (stopped, *others):
            client.until_chunks(2)
        assert freeze(disk, "--freeze")
        frozen = time.monotonic()
        for client in others:
            done = client.done()
            came_by_group(done)
        assert stopped.process.poll() is None
        late = lab.client("c2")  # the cast is not held up for those who come now either
        assert late.done()["chunks_fetched"] == done["chunks"]
        time.sleep(max(0.0, frozen + stop_s - time.monotonic()))
        assert stopped.process.poll() is None
        assert freeze(disk, "--unfreeze")
        done = stopped.done()
        assert done["chunks_fetched"] == done["chunks"]
        assert target.read_bytes() == lab.content
        lab.check("c2", "c3")
        repod.stop()


class Clock:
    """The clock of the day of programs started with `words`: it can be set while they run."""

    def __init__(self, folder: Path, name: str) -> None:
        self._file = folder / f"{name}.clock"
        self.jump(0)
        library = folder / "clock.so"
        if not library.exists():
            line = [find_program("cc") or "", "-shared", "-fPIC", "-O1", "-o", str(library), str(SHIFTED_CLOCK)]
            subprocess.run(line, check=True, timeout=60)
        self.words = ("env", f"LD_PRELOAD={library}", f"SHIFTED_CLOCK={self._file}")

    def jump(self, days: int) -> None:
        """So many days away from the machine's."""
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("=q", days * 86_400))


@pytest.mark.tools("cc")
@pytest.mark.parametrize("days", [-400, 400])
def test_clocks_that_jump_midway_change_nothing(tmp_path: Path, days: int) -> None:
    with room_of(room(2, rate_bits_per_s=RATE, loss=0.01), tmp_path, image_bytes=48 * MIB, rate_mbit_per_s=60) as lab:
        server, client = Clock(tmp_path, "server"), Clock(tmp_path, "client")
        repod = lab.serve(before=server.words)
        clients = [lab.client("c1", before=client.words), lab.client("c2")]
        for one in clients:
            one.until_chunks(2)
        server.jump(days)
        client.jump(-days)
        for one in clients:
            done = one.done()
            came_by_group(done)
            assert done["reconnects"] == 0
        lab.check("c1", "c2")
        years = [repod.events(name)[-1]["timestamp"][:4] for name in ("cast_made", "session_closed")]
        assert years[0] != years[1], "the clock did not jump"
        repod.stop()


def test_a_host_that_counts_its_seconds_from_elsewhere_is_a_member_like_any_other(tmp_path: Path) -> None:
    """What a member echoes of the sender's clock is never compared with its own."""
    with room_of(room(2, rate_bits_per_s=RATE, loss=0.01), tmp_path, image_bytes=16 * MIB) as lab:
        repod = lab.serve()
        apart = ("unshare", "--time", "--monotonic", "900000000", "--boottime", "900000000", "--fork", "--kill-child")
        clients = [lab.client("c1", before=apart), lab.client("c2")]
        for client in clients:
            came_by_group(client.done())
        lab.check("c1", "c2")
        repod.stop()


def on_server(lab: Room, *commands: str) -> None:
    """Commands of `ip` on the repository's host."""
    for words in commands:
        shell.perform([Step(words=tuple(lab.rig.command("server", ["ip", *words.split()])))])


def test_a_repository_whose_interface_lost_its_address_offers_what_is_left(tmp_path: Path) -> None:
    with room_of(room(1, rate_bits_per_s=RATE), tmp_path) as lab:
        on_server(lab, "link add spare0 type veth peer name spare1", "link set spare0 up")
        with pytest.raises(AssertionError, match="no IPv4 address on interface 'spare0'"):
            lab.serve(interface="spare0")
        assert lab.processes[-1].wait(10) == 1
        on_server(lab, "addr add 10.99.0.1/24 dev spare0")
        repod = lab.serve(interface="spare0", listen="0.0.0.0")
        on_server(lab, "addr del 10.99.0.1/24 dev spare0")
        client = lab.client("c1")
        assert client.done()["bytes_by_source"].keys() == {"repository"}
        assert "no IPv4 address on interface 'spare0'" in client.named("transport")[0]["message"]
        lab.check("c1")
        assert repod.events("offer_refused")
        repod.stop()


def test_an_interface_that_is_down_is_refused_with_the_reason(tmp_path: Path) -> None:
    with room_of(room(1, rate_bits_per_s=RATE), tmp_path) as lab:
        on_server(lab, "link add spare0 type veth peer name spare1", "addr add 10.99.0.1/24 dev spare0")
        repod = lab.serve(interface="spare0", listen="0.0.0.0")
        client = lab.client("c1")
        assert client.done()["bytes_by_source"].keys() == {"repository"}
        assert "interface 'spare0' is down" in client.named("transport")[0]["message"]
        repod.stop()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"groups": "10.0.0.0/8"}, "no multicast group"),
        ({"groups": "232.1.0.0/16", "mode": "asm"}, "239.0.0.0/8"),
        ({"groups": "ff3e::/32"}, "ip = 4"),
        ({"ports": "0-70000"}, "ports"),
    ],
)
def test_groups_that_are_none_keep_the_repository_from_starting(
    tmp_path: Path, settings: dict[str, object], said: str
) -> None:
    with room_of(room(1, rate_bits_per_s=RATE), tmp_path, image_bytes=MIB, **settings) as lab:
        with pytest.raises(AssertionError) as caught:
            lab.serve()
        assert said in str(caught.value)
        assert "Traceback" not in str(caught.value)
        assert lab.processes[-1].wait(10) == 1


@pytest.mark.parametrize(
    "options", ["9000:full-duplex:10.1.1.1:100M:2:60", "0:full-duplex:239.1.1.1:100M:2:60", ":::::", "9000" * 200]
)
def test_an_option_string_that_makes_no_sense_is_the_clients_error(tmp_path: Path, options: str) -> None:
    with room_of(room(1, rate_bits_per_s=RATE), tmp_path, image_bytes=MIB) as lab:
        repod = lab.serve()
        error = lab.client("c1", "--options", options).failed()
        assert (error["event"], error["code"]) == ("error", 1)
        came_by_group(lab.client("c1").done())
        repod.stop()


def test_a_member_that_is_done_leaves_the_group(tmp_path: Path) -> None:
    with room_of(room(1, rate_bits_per_s=RATE), tmp_path, image_bytes=16 * MIB, rate_mbit_per_s=40) as lab:
        repod = lab.serve()
        client = lab.client("c1")
        client.until("multicast-probe")
        assert lab.rig.is_member(client.process.pid)
        bystander = lab.rig.start("c1", ["sleep", "600"])
        client.done()
        assert not lab.rig.is_member(bystander.pid)
        bystander.kill()
        bystander.wait()
        repod.stop()
