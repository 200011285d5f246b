"""Pack a finished run as an RO-Crate: results, code, and the record of every job."""
