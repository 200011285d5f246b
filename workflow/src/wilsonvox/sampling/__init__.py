"""Unweighted events of the model, by accept–reject from a table of cells.

See docs/physics/generation.md.
"""

from wilsonvox.sampling.generation import CHUNK, Stream, generate, make_chunk, prepare

__all__ = ["CHUNK", "Stream", "generate", "make_chunk", "prepare"]
