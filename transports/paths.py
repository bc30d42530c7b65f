"""Where the control API begins."""

__all__ = ["API_PREFIX"]

API_PREFIX = "/v1"
