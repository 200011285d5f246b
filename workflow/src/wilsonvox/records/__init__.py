"""Provenance records, and the formats of files that carry them."""
