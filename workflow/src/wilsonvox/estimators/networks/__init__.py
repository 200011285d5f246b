"""Residual networks: layers, batches of images, devices and model files."""
