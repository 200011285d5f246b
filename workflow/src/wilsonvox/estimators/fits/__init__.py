"""The exact density of the decay variables, its integrals, and fits with iminuit."""
