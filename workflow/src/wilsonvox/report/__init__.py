"""HTML pages for the report of a run: configuration, results and runtimes."""
