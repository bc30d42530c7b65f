"""Torrents: what BitTorrent clients are told about an exported file."""

from images.torrent.making import hash_image
from images.torrent.metainfo import Metainfo, parse_metainfo
from images.torrent.pieces import PieceHashes

__all__ = ["Metainfo", "PieceHashes", "hash_image", "parse_metainfo"]
