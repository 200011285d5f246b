"""Code, environment and lineage behind a file, and the audit of its record."""
