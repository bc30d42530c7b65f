"""Erasure code of a multicast block: fresh parity made on demand, any k of the symbols rebuild the block."""
