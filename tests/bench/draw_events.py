"""Draw events in a process of its own and throw them away: draw_events.py TABLE N_EVENTS"""

import sys
from pathlib import Path

from wilsonvox.events.generation.sampler import Stream, generate
from wilsonvox.theory.coefficient_table import AngularCoefficients
from wilsonvox.theory.points import shift_vector

if __name__ == "__main__":
    table = AngularCoefficients.load(Path(sys.argv[1]))
    stream = Stream(1, "c9_-0.90", "test", 0)
    wanted = int(sys.argv[2])
    drawn = sum(len(chunk) for chunk in generate(table, shift_vector({"c9": -0.9}), wanted, stream))
    sys.exit(drawn != wanted)
