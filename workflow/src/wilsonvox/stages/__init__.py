"""The graph of the workflow: one entry per stage, for rules, planning, provenance and crates."""
