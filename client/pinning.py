"""The one certificate a client trusts: that of its configuration."""

from __future__ import annotations

import ssl

from core.errors import AuthenticationError

__all__ = ["pinned_context"]


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
            f"the certificate of the configuration cannot be read: {error.strerror or error}",
            hint="copy client.toml anew from the repository",
        ) from error
    return context
