"""ogcast restore NAME TARGET: write an image to a partition, disk or file."""

from __future__ import annotations

from client.commands.ordering import ordering
from client.restore import restore

__all__ = ["HELP", "command"]

HELP = """Write an image to a block device or file.

A DIRECT method takes it from the repository, a CACHE method from the CACHE, where `update-cache` has put it.

\b
Examples:
  ogcast --config client.toml restore classroom /dev/sda2
  ogcast --config client.toml restore classroom@3 disk.img --verify full
  ogcast --config client.toml restore classroom /dev/sda2 --method UNICAST-CACHE
"""


command = ordering(restore)
