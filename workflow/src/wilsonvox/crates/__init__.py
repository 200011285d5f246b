"""A finished run as one RO-Crate: its results, its code, and the record of every job."""

from wilsonvox.crates.packing import pack_run

__all__ = ["pack_run"]
