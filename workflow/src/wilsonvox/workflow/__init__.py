"""The Snakemake workflow: job digests, planning, status and crates."""
