"""From B0 → K*0 μ+ μ− decays to a measured Wilson-coefficient shift."""
