"""ML models of the global fit: networks and GANs that learn the Wilson coefficients."""
