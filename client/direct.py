"""Restoring straight from the repository, apart from the CACHE, which takes as long to import again.

Imported after the first request is out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from client import early
from client.control import ControlClient
from client.manifests import checked_manifest
from client.order import Order
from client.preflight import OpenTarget, open_target
from client.proto.plan import RestorePlan
from client.readback import VerifyMode
from client.restoring import Restore, needs_of
from client.run import Run
from client.sinks.file import FileSink
from client.sources.base import Source
from client.sources.remote import RemoteSource
from client.target_reader import TargetReader, is_solid_state
from client.written import FileFrames
from core.errors import UsageError
from core.ids import ImageRef
from images.manifest import Manifest
from images.stores import ChunkReader
from transports import registry
from transports.control import SHORT_CHARS
from transports.methods import AUTO, Method, Target, parse_method
from transports.written import WrittenFrames

__all__ = ["chosen_method", "perform_direct", "remote_of", "restore_direct", "restore_of", "seeds_of"]


async def restore_direct(
    run: Run, control: ControlClient, ref: ImageRef, data: bytes, order: Order
) -> Mapping[str, Any]:
    """Restore from the repository; `data` is the manifest it gave for `ref`.

    Unless the order says not to seed, a process in the background goes on giving what a transport shared.
    """
    chosen = chosen_method(order.method, Target.DIRECT)
    manifest = checked_manifest(data, public_key=run.settings.public_key, asked=ref)
    with open_target(order.target, needs_of(manifest)) as opened:
        restore = await perform_direct(run, control, manifest, opened, chosen, order)
    return restore.result("restore", method=str(chosen))


def seeds_of(run: Run, order: Order) -> bool:
    """Whether to go on giving afterwards: as the order says, else as the settings do."""
    return run.settings.seed if order.seed is None else order.seed


def chosen_method(text: str | None, default: Target) -> Method:
    """The method meant by --method; without it, the protocol that works everywhere, to `default`.

    AUTO without a target means that of the command.
    """
    if text is not None and text.strip().upper() == AUTO:
        return Method(protocol=AUTO, target=default)
    if text is not None:
        method = parse_method(text)
        if not method.chooses:
            registry.by_protocol(method.protocol)
        return method
    known = list(registry.specs().values())
    spec = next((spec for spec in known if spec.capabilities.fallback), known[0])
    return Method(protocol=spec.protocol, target=default)


async def perform_direct(
    run: Run, control: ControlClient, manifest: Manifest, opened: OpenTarget, method: Method, order: Order
) -> Restore:
    """Restore from the repository, performed. The target stays the caller's."""
    with contextlib.ExitStack() as stack:
        target = _given_from(run, opened)
        reader = None
        frames = None
        if target is not None:
            reader = stack.enter_context(contextlib.closing(TargetReader(target, manifest, whole=False)))
        elif isinstance(opened.sink, FileSink):
            frames = stack.enter_context(contextlib.closing(FileFrames(opened.sink, RestorePlan(manifest))))
        remote = remote_of(run, control, method, order.options, order.fallback, cache=reader, written=frames)
        run.stage("restore", f"{method}: {manifest.ref} to {opened.sink.name}")  # nothing begins with what is refused
        restore = restore_of(run, manifest, opened, [remote], remote, order)
        if reader is not None:
            restore.on_written = reader.add
        elif frames is not None:
            restore.on_written = frames.add
        if seeds_of(run, order):
            kept = target if frames is None else opened.sink.name  # what lies on a file was not kept in memory as well
            restore.on_fetched = lambda: _give_from_memory(run, manifest, remote, kept)
        await restore.perform()
    return restore


def _given_from(run: Run, opened: OpenTarget) -> str | None:
    """The target, if peers are given from it what memory does not hold, while it is restored and afterwards."""
    target = opened.sink.name if run.settings.seed_from_target and opened.sink.reads_back else None
    if target is not None and not is_solid_state(target):
        run.notice(f"{target} is not known to be an SSD: what memory does not hold is not given from it")
        return None
    return target


def _give_from_memory(run: Run, manifest: Manifest, remote: RemoteSource, target: str | None) -> None:
    giver = next((giver for giver in remote.givers if giver.afterwards() is not None), None)
    if giver is not None:
        from client.background import Heritage, go_on_giving  # at the end, when there is time for it

        inherited, descriptors = giver.hand_over()
        heritage = Heritage(inherited=inherited, descriptors=descriptors, target=target)
        go_on_giving(run, manifest, giver.afterwards(), heritage)


def restore_of(
    run: Run,
    manifest: Manifest,
    opened: OpenTarget,
    sources: Sequence[Source],
    remote: RemoteSource,
    order: Order,
) -> Restore:
    """A restore as it is ordered, not yet begun."""
    verify = VerifyMode(order.verify)
    return Restore(run, manifest, opened, sources=sources, remote=remote, discard=order.discard, verify=verify)


def remote_of(
    run: Run,
    control: ControlClient,
    method: Method,
    options: str,
    fallback: bool,
    *,
    cache: ChunkReader | None = None,
    written: WrittenFrames | None = None,
) -> RemoteSource:
    """The repository as a source. It may be given a session that was opened early, which the first caller gets.

    `cache` and `written` are what peers may be given from; they are the caller's. UsageError for an option string that
    no message can carry, and as RemoteSource says. One that the protocol has no use for is said to change nothing.
    """
    if len(options) > SHORT_CHARS:
        raise UsageError(
            f"the option string has {len(options)} characters", hint=f"{SHORT_CHARS} at most; see --help for its form"
        )
    if options and not method.chooses and not registry.by_protocol(method.protocol).capabilities.options:
        run.notice(f"{method.protocol} has no option string; {options!a} changes nothing")
    settings = run.settings
    return RemoteSource(
        control,
        method=str(method),
        options=options,
        fallback=fallback,
        cached=method.target is Target.CACHE,
        interface=settings.interface,
        repository_host=settings.host,
        state_dir=settings.state_path,
        on_event=run.event,
        early=early.hand_over(),
        cache=cache,
        written=written,
    )
