"""Reading external ROOT files into event files.

Three foreign layouts are known (flat four-momenta as EvtGen writes them, the columns of a Belle II
ntuple, a jagged list of particles) next to the variables of the package itself, in TTrees and
RNTuples. All values are taken as generator level: detector effects are not corrected for.
"""
