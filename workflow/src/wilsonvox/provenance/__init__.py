"""Where a file came from, told by the file itself."""

from wilsonvox.provenance.formats import content_digest, read_record, record_digest
from wilsonvox.provenance.record import InputRecord, Record, current_command, make_record

__all__ = [
    "InputRecord",
    "Record",
    "content_digest",
    "current_command",
    "make_record",
    "read_record",
    "record_digest",
]
