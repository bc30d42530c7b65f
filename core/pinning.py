"""What is wrong with a pinned certificate, told so that the right thing is mended: pin, certificate, or a clock."""

from __future__ import annotations

import datetime
import ssl

from core.errors import AuthenticationError

__all__ = ["pin_error"]

_NOT_YET_VALID, _EXPIRED = 9, 10
"""OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED."""


def pin_error(error: BaseException, url: str, *, now: datetime.datetime) -> AuthenticationError | None:
    """The error for a person if `error` is, or wraps, a refused certificate of `url`; None for anything else.

    `now` is the clock the certificate was judged by: PCs whose battery is empty boot in 2010.
    """
    # aiohttp's error is of the same class as the one it wraps, without its fields
    refused = getattr(error, "certificate_error", None) or error.__cause__ or error
    if not isinstance(refused, ssl.SSLCertVerificationError):
        refused = error
    if not isinstance(refused, ssl.SSLCertVerificationError):
        return None
    clock = f"by the clock of this machine ({now:%Y-%m-%d %H:%M} UTC)"
    match refused.verify_code:
        case code if code == _NOT_YET_VALID:
            return AuthenticationError(f"the certificate of {url} is not valid yet {clock}", hint="set the clock")
        case code if code == _EXPIRED:
            return AuthenticationError(
                f"the certificate of {url} has expired {clock}",
                hint="set the clock if it is wrong; else the repository needs a new certificate (docs/operations.md)",
            )
        case _:
            return AuthenticationError(
                f"the certificate of {url} is not the one of the configuration: {refused.verify_message}",
                hint="copy client.toml (operator.toml) anew from the repository",
            )
