"""A real system image, which compresses and has free space: how long does a room take, against udpcast?"""

from __future__ import annotations

from pathlib import Path

from bench.filesystems import find_program
from bench.lab import shell
from bench.lab.classroom import Classroom, Transfer
from bench.lab.peers import run_udpcast, udpcast_installed
from bench.lab.rig import Rig
from bench.lab.scratch import scratch
from bench.lab.topology import room
from bench.lab.verdict import NOT_INSTALLED, outcome, peer_row, transfer_row
from bench.limits import patience_s, seconds_on_wire
from bench.loops import loop_device
from bench.material import make_material
from bench.measure import run_pipeline
from bench.scenario import Options, Outcome, Row, Scenario

__all__ = ["SCENARIO"]

MIB = 1 << 20
CLIENTS = 8
RATE = 200e6


def run(options: Options) -> Outcome:
    """Ours end with the file system written and verified; udpcast ends with the compressed file received, no more."""
    rows: list[Row] = []
    hosts = [f"c{number + 1}" for number in range(CLIENTS)]
    with scratch(options.folder) as folder:
        options.say("making a file system from this machine's files")
        material = make_material(folder, fs="ext4", used_bytes=options.size)
        image = folder / "today.img"
        with loop_device(material.first, read_only=True) as device:
            classroom = Classroom(folder, material.first, device=device)
            partclone = find_program("partclone.ext4") or "partclone.ext4"
            capture: list[str | Path] = [partclone, "-c", "-s", device, "-o", "-", "-L", folder / "partclone.log"]
            run_pipeline([capture, ["lzop", "-c"]], stdout=image)
        limit_s = seconds_on_wire(classroom.stored_bytes, RATE)
        ours: list[Transfer] = []
        with Rig(room(CLIENTS, rate_bits_per_s=RATE)) as rig:
            with classroom.open(rig, multicast={"rate_mbit_per_s": RATE / 1e6}) as lesson:
                for number in range(options.runs):
                    options.say(f"ogcast, run {number + 1} of {options.runs}")
                    ours.append(lesson.fetch(hosts, timeout_s=patience_s(limit_s)))
            rows.append(
                _with_data(transfer_row("ogcast", ours, image_bytes=classroom.stored_bytes, limit_s=limit_s), classroom)
            )
            if udpcast_installed():
                options.say("udpcast of partclone | lzop")
                peer = run_udpcast(rig, image, hosts, folder=folder, timeout_s=patience_s(limit_s))
                size = image.stat().st_size
                row = peer_row("udpcast of partclone | lzop", [peer], image_bytes=size, limit_s=limit_s)
                rows.append(_with_data(row, classroom, size))
            else:
                rows.append(Row(label="udpcast", note=NOT_INSTALLED))
    return outcome(rows, material=material.description, transfers=ours)


def _with_data(row: Row, classroom: Classroom, sent: int | None = None) -> Row:
    """The row with what matters to a room: data restored, and how fast."""
    seconds = row.figures["s"]
    rate = classroom.data_bytes / seconds / 1e6 if isinstance(seconds, float) and seconds else None
    more = {
        "data MiB": classroom.data_bytes / MIB,
        "sent MiB": (classroom.stored_bytes if sent is None else sent) / MIB,
        "data MB/s to each": rate,
    }
    return Row(label=row.label, figures={**row.figures, **more}, note=row.note)


SCENARIO = Scenario(
    name="multicast-system",
    question="A real system image, compressed: how long does a room of 8 take at 200 Mbit/s, against udpcast?",
    run=run,
    size=512 * MIB,
    runs=1,
    goal="compression and free space come on top of the wire's rate",
    missing=shell.missing,
)
