"""Generation of unweighted events of the decay model, by accept–reject from a table of cells."""
