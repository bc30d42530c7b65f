"""Reading simple TOML without the parser: its tables and patterns take longer to import than a TLS connection to make.

Plain here: `key = value` lines with strings, numbers of decimal digits and truth values, comments, and long strings
without escapes, as `repod init` writes them. Whatever else a file holds makes it one for `tomllib`.
"""

from __future__ import annotations

from json import JSONDecodeError, JSONDecoder

__all__ = ["read_plain"]

_KEY = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_LONG = '"""'
_STRANGE = frozenset("\0\x01\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f\r\x7f") | {chr(code) for code in range(16, 32)}
"""What TOML does not allow, or writes in more ways than one."""
_DECODER = JSONDecoder()
_WORDS = {"true": True, "false": False}


def read_plain(text: str) -> dict[str, str | int | bool] | None:
    """What `tomllib` would read, or None: this is not plain, or no TOML."""
    if not _STRANGE.isdisjoint(text):
        return None
    found: dict[str, str | int | bool] = {}
    while text:
        line, _, rest = text.partition("\n")
        line = line.strip(" \t")
        if line and not line.startswith("#"):
            key, equals, value = line.partition("=")
            key, value = key.rstrip(" \t"), value.lstrip(" \t")
            if not equals or not key or not _KEY.issuperset(key) or key in found:
                return None
            if value.startswith(_LONG):
                _, _, inside = text.partition(_LONG)
                long, quotes, rest = inside.partition(_LONG)
                trailing, _, rest = rest.partition("\n")
                if not quotes or "\\" in long or not _ends(trailing):
                    return None
                found[key] = long.removeprefix("\n")
                text = rest
                continue
            read = _value(value)
            if read is None:
                return None
            found[key] = read
        text = rest
    return found


def _value(text: str) -> str | int | bool | None:
    if text.startswith('"'):
        try:
            value, end = _DECODER.raw_decode(text)
        except JSONDecodeError:
            return None
        # JSON has escapes that TOML has not: "\/", and halves of characters
        return value if _ends(text[end:]) and "\\/" not in text and "\\u" not in text else None
    word = text.partition("#")[0].rstrip(" \t")
    if word in _WORDS:
        return _WORDS[word]
    plain = word.isascii() and word.isdigit() and len(word) < 16 and (word == "0" or word[0] != "0")
    return int(word) if plain else None


def _ends(text: str) -> bool:
    text = text.lstrip(" \t")
    return not text or text.startswith("#")
