"""Provenance records and the file formats that contain them."""
