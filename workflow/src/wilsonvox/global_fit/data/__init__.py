"""Sets of measurements that come with the package, one file each.

A package of its own, so that the files are no part of any stage's code: what a job reads of them
counts by its content.
"""
