"""Sets of measurements shipped with the package, one file per set.

They are in a package of their own so that they do not enter the code digest of any stage: jobs
depend on the content of the set that they read.
"""
