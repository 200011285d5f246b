"""Conversion of external ROOT files to event files.

Three external layouts are supported (flat four-momenta as written by EvtGen, the columns of a
Belle II ntuple, a jagged list of particles) as well as the variables of this package, in TTrees and
RNTuples. All values are taken as generator level, without correction for detector effects.
"""
