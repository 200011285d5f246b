"""Ingestion with the record that the command line makes."""

from functools import partial

from wilsonvox.events.ingest import reader
from wilsonvox.provenance.recording import make_record

ingest_files = partial(reader.ingest_files, make_record=partial(make_record, "ingest_events"))
