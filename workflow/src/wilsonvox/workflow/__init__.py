"""The workflow: paths, targets, arguments, job digests, planning, status and crates."""
