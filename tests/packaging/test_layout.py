"""Every source file has its test file at the same path, and none grows beyond what one sitting can read."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("core", "images", "transports", "repod", "client", "bench")
LINES_LIMIT = 400
WITHOUT_TEST = {
    "core/version.py": "one constant",
    "core/errors.py": "a table of classes; every test that expects an error uses it",
    "images/stores.py": "interfaces; tests/contract checks what implements them",
    "transports/base.py": "interfaces; the conformance checks are their test",
    "transports/multicast/fec/code.py": "an interface; the test of each code checks it",
    "transports/paths.py": "one constant",
    "transports/written.py": "an interface; tests/client/test_written.py checks what implements it",
    "transports/multicast/spec.py": "one value; test_registry.py and test_listeners.py look at it",
    "transports/p2p/spec.py": "one value; test_registry.py and test_listeners.py look at it",
    "transports/control.py": "message shapes; used whole by the tests of both sides",
    "client/sources/base.py": "an interface; test_session.py uses it with every kind of source",
    "client/figures.py": "a table of counters; every command's test reads it",
    "client/commands/options.py": "declarations; the tests of the commands use them",
    "client/direct.py": "puts tested parts together; tests/client/commands runs it against the real daemon",
    "client/deployment.py": "puts tested parts together; tests/client/commands runs it against the real daemon",
    "client/restoring.py": "puts tested parts together; tests/client/commands/test_restore.py runs it",
    "client/updating.py": "puts tested parts together; tests/client/commands/test_update_cache.py runs it",
    "client/upkeep.py": "puts tested parts together; tests/client/commands/test_cache.py runs it",
    "client/capturing.py": "puts tested parts together; tests/client/commands/test_capture.py runs it",
    "client/giving.py": "puts tested parts together; tests/client/commands/test_seed.py runs it",
    "client/seeding.py": "puts tested parts together; tests/client/commands/test_seed.py runs it",
    "client/seeding_upkeep.py": "puts tested parts together; tests/client/commands/test_seed.py runs it",
    "transports/multicast/proto/burst.py": "data handed to the shell; test_cast.py looks at all of it",
    "transports/multicast/proto/received.py": "data handed to the shell; test_reception.py looks at all of it",
    "transports/unicast/proto/answers.py": "data handed to the shell; test_asking.py looks at all of it",
    "transports/unicast/gate.py": "an interface; tests/transports/p2p/test_origin.py sends chunks through one",
    "transports/p2p/proto/asking.py": "data handed to the shell; test_swarm.py looks at all of it",
    "bench/simnet/swarm/ground.py": "an interface; test_campus.py runs peers on what implements it",
    "bench/scenarios/": "measurements are run, not tested; test_scenario.py loads each",
    "bench/__main__.py": "argument handling around tested parts",
}


def _sources() -> list[Path]:
    found = []
    for package in PACKAGES:
        found += [path for path in sorted((ROOT / package).rglob("*.py")) if path.name != "__init__.py"]
    return found


def _excused(name: str) -> bool:
    return any(name == entry or (entry.endswith("/") and name.startswith(entry)) for entry in WITHOUT_TEST)


def test_every_source_file_has_its_test_file() -> None:
    missing = []
    for path in _sources():
        name = path.relative_to(ROOT)
        stem = "main" if name.stem == "__main__" else name.stem
        test = Path("tests") / name.parent / f"test_{stem}.py"
        if not _excused(str(name)) and not (ROOT / test).exists():
            missing.append(str(test))
    assert not missing, "\n".join(missing)


def test_every_file_stays_readable() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in _sources()}
    assert {name: length for name, length in lengths.items() if length > LINES_LIMIT} == {}


def test_no_excuse_outlives_its_file() -> None:
    assert [entry for entry in WITHOUT_TEST if not (ROOT / entry).exists()] == []
