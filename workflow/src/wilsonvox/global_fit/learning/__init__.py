"""Networks and GANs that learn the fit of Wilson coefficients."""
