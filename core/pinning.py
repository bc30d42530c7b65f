"""The one certificate that is trusted, that of a configuration, and what is wrong when it is refused."""

from __future__ import annotations

import ssl

from core.errors import AuthenticationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import datetime

__all__ = ["pin_error", "pinned_context"]

_NOT_YET_VALID, _EXPIRED = 9, 10
"""OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED."""


def pinned_context(pem: str) -> ssl.SSLContext:
    """A context that accepts the certificate `pem` alone, whatever host it is for. AuthenticationError if it is none.

    The host name is not checked: a repository's address changes, its certificate does not.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    # the pinned certificate is an anchor itself, whether or not it may sign others
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cadata=pem)
    except ssl.SSLError as error:
        raise AuthenticationError(
            f"the certificate of the configuration cannot be read: {error.reason or error}",
            hint="copy client.toml anew from the repository",
        ) from error
    return context


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
