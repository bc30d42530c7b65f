"""Multicast: one sending serves a whole room, repaired by erasure coding (docs/wire-multicast.md)."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from transports.multicast.spec import TRANSPORT

__all__ = ["TRANSPORT"]


def __getattr__(name: str) -> object:
    """Later, for what listens early lives in this package, and has no time for the contract's classes."""
    if name == "TRANSPORT":
        from transports.multicast.spec import TRANSPORT

        return TRANSPORT
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
