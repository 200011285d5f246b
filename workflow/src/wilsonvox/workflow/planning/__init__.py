"""Estimates of a run's cost before it starts: jobs, time, memory, storage and files.

Rates of each stage are measured by `tests/bench/bench_rates.py` and kept in ``rates.json``.
"""
