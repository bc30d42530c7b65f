"""aiohttp, imported without reading the system's certificate authorities.

Importing it makes a TLS context that trusts them, which takes as long as the rest of the import; this client trusts the
certificate of its configuration alone (client/control.py).
"""

from __future__ import annotations

import errno
import os
from typing import Any

from core.connecting import BESIDE_S, prompt_socket, repeated

__all__ = ["Connector", "aiohttp", "hint_of", "reason_of"]

_PLACES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Where OpenSSL looks for authorities, if set."""

_ASYNCIO_SAYS = "Connect call failed"
"""What asyncio writes over the words of the system when a connection is not made, with a Python tuple behind it."""

_before = {name: os.environ.get(name) for name in _PLACES}
os.environ.update(dict.fromkeys(_PLACES, os.devnull))
try:
    import aiohttp
finally:
    for _name, _value in _before.items():
        if _value is None:
            del os.environ[_name]
        else:
            os.environ[_name] = _value


class Connector(aiohttp.TCPConnector):
    """Tries every address several times, side by side, and repeats lost packets soon (core/connecting.py)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(happy_eyeballs_delay=BESIDE_S, socket_factory=prompt_socket, **options)

    async def _resolve_host(self, host: str, port: int, traces: Any = None) -> list[Any]:
        return repeated(await super()._resolve_host(host, port, traces))


def hint_of(error: BaseException) -> str:
    """What to look at when the repository could not be reached: at this machine, where no packet left it."""
    if getattr(_bottom_of(error), "errno", None) in (errno.ENETUNREACH, errno.ENETDOWN):
        return "this machine has no way there: is its interface up, and has it an address? (`ip addr`, `ip route`)"
    if getattr(_bottom_of(error), "errno", None) == errno.EINVAL:
        return "an address that is good on one link alone needs the interface to it: https://[fe80::1%eth0]:PORT"
    return "is `repod serve` running there, and is the address in client.toml (or --repo) right?"


def reason_of(error: BaseException) -> str:
    """The short text at the bottom of a chain of wrapped errors."""
    error = _bottom_of(error)
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    if isinstance(error, OSError) and error.errno and (error.strerror or "").startswith(_ASYNCIO_SAYS):
        return os.strerror(error.errno)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _bottom_of(error: BaseException) -> BaseException:
    return error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
