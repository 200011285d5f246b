"""Hyperparameter scans: trials suggested by Optuna, round by round, and trained in parallel jobs.

See docs/user_guide/scan.md. Imports no heavy packages.
"""
