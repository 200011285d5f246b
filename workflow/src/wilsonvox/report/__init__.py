"""The tables of a run's report as HTML pages: configuration, results and runtimes."""
