"""aiohttp, imported without reading the system's certificate authorities.

Importing it makes a TLS context that trusts them, which takes as long as the rest of the import; this client trusts the
certificate of its configuration alone (client/control.py).
"""

from __future__ import annotations

import os

__all__ = ["aiohttp"]

_PLACES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Where OpenSSL looks for authorities, if set."""

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
