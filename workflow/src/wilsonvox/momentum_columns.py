"""The order of four-momenta in arrays, and the names of their branches in event files."""

PARTICLES = ("B0", "K", "pi", "mup", "mum")
"""The five particles, in the order of every array of momenta."""

COMPONENTS = ("E", "px", "py", "pz")
"""Components of a four-momentum, in the order of every array of momenta."""

MOMENTUM_BRANCHES = tuple(f"{particle}_{part}" for particle in PARTICLES for part in COMPONENTS)
"""Branches of the four-momenta, float64 [GeV], in an event file that has them."""
