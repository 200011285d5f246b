"""Builders of small inputs, and checks, that several tests share."""
