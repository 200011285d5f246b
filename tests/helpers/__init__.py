"""Builders of small inputs, and checks, shared by several tests."""
