"""P2P: repod gives each chunk once to a subnet, and its clients give it to each other (docs/wire-p2p.md)."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from transports.p2p.spec import TRANSPORT

__all__ = ["TRANSPORT"]


def __getattr__(name: str) -> object:
    """Later, for what listens early lives in this package, and has no time for the contract's classes."""
    if name == "TRANSPORT":
        from transports.p2p.spec import TRANSPORT

        return TRANSPORT
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
