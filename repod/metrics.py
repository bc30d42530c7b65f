"""Prometheus metrics: collected from the parts' own totals when somebody asks."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from core.version import __version__
from repod.daemon import Daemon

__all__ = ["CONTENT_TYPE", "DaemonCollector", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

GAUGES = frozenset({"casts", "clients", "rate_bytes_per_s", "swarms", "waiting"})
"""Transport counters that go down as well."""


class DaemonCollector(Collector):
    """Turns the daemon's totals into metrics. Use on the event loop only."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def collect(self) -> Iterator[Metric]:
        """One family a figure; docs/operations.md lists them."""
        daemon = self._daemon
        info = GaugeMetricFamily("ogcast_build_info", "Version of the daemon.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        yield GaugeMetricFamily("ogcast_sessions", "Running sessions.", value=len(daemon.sessions.table))
        yield GaugeMetricFamily(
            "ogcast_captures", "Captures that hold the lock of a name.", value=len(daemon.captures.table)
        )
        yield GaugeMetricFamily("ogcast_manifests_pinned", "Manifests held in memory.", value=daemon.catalogue.pinned)
        happened = CounterMetricFamily("ogcast_events", "What happened, by event.", labels=["event"])
        for name, count in sorted(daemon.telling.counts.items()):
            happened.add_metric([name], count)
        yield happened
        limits = CounterMetricFamily(
            "ogcast_limit_reached", "Times a bound of repod.toml was reached.", labels=["limit"]
        )
        for name, count in (
            ("connections", daemon.connections_refused),
            ("strangers", daemon.strangers_displaced),
            ("sessions", daemon.sessions.table.refused),
            ("sessions_per_address", daemon.sessions.table.refused_address),
            ("captures", daemon.captures.table.refused),
            ("event_subscribers", daemon.events.refused),
            ("torrents.peers", daemon.torrents.tracker.refused + daemon.torrents.tracker.crowded_out),
            ("torrents.transfers", daemon.torrents.refused),
        ):
            limits.add_metric([name], count)
        yield limits
        yield CounterMetricFamily(
            "ogcast_events_dropped",
            "Events lost because a reader of the stream, or the loop, was too slow.",
            value=daemon.events.dropped + daemon.lanes.events_dropped,
        )
        yield CounterMetricFamily(
            "ogcast_logins_refused", "Requests with no, a wrong or an expired token.", value=daemon.failures.total
        )
        yield from self._torrents()
        yield from self._transports()
        yield from self._samples()

    def _torrents(self) -> Iterator[Metric]:
        torrents = self._daemon.torrents
        yield GaugeMetricFamily(
            "ogcast_torrent_peers", "BitTorrent clients the tracker remembers.", value=torrents.tracker.peers
        )
        yield GaugeMetricFamily("ogcast_torrent_transfers", "Web seed downloads under way.", value=torrents.sending)
        yield CounterMetricFamily("ogcast_torrent_bytes_sent", "Bytes the web seed sent.", value=torrents.bytes_sent)
        announces = CounterMetricFamily(
            "ogcast_torrent_announces", "Announces, by what became of them.", labels=["outcome"]
        )
        for outcome, count in (
            ("answered", torrents.tracker.announces - torrents.tracker.early - torrents.tracker.refused),
            ("early", torrents.tracker.early),
            ("malformed", torrents.malformed),
            ("refused", torrents.tracker.refused),
        ):
            announces.add_metric([outcome], count)
        yield announces

    def _transports(self) -> Iterator[Metric]:
        """`bytes_sent` of unicast becomes ogcast_transport_bytes_sent_total{transport="unicast"}."""
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for transport, counters in self._daemon.lanes.counters().items():
            for name, value in counters.items():
                if name not in families:
                    kind = GaugeMetricFamily if name in GAUGES else CounterMetricFamily
                    text = f"Transport total: {name.replace('_', ' ')}."
                    families[name] = kind(f"ogcast_transport_{name}", text, labels=["transport"])
                families[name].add_metric([transport], value)
        yield from families.values()

    def _samples(self) -> Iterator[Metric]:
        """Figures of transports that have further labels."""
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for transport, sample in self._daemon.lanes.samples():
            if sample.name not in families:
                kind = CounterMetricFamily if sample.rises else GaugeMetricFamily
                labels = ["transport", *sample.labels]
                families[sample.name] = kind(f"ogcast_transport_{sample.name}", sample.text, labels=labels)
            families[sample.name].add_metric([transport, *sample.labels.values()], sample.value)
        yield from families.values()


class Metrics:
    """The daemon's registry: its own figures and those of the process."""

    def __init__(self, daemon: Daemon) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(DaemonCollector(daemon))
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """All metrics in the text format."""
        return generate_latest(self._registry)
