"""External ROOT files into the event contract.

Three foreign layouts (flat four-momenta as EvtGen writes them, the columns of a Belle II ntuple, a
jagged list of particles) and the package's own variables, from TTrees and RNTuples alike.
Everything read is taken as generator level: detector effects are not corrected for.
"""

from wilsonvox.ingest.layouts import LAYOUTS
from wilsonvox.ingest.reader import IngestedEvents, ingest_files, read_external

__all__ = ["LAYOUTS", "IngestedEvents", "ingest_files", "read_external"]
