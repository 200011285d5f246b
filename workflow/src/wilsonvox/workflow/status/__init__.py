"""Status of a run for `wilsonvox status`: which jobs have to run, and which would run."""
