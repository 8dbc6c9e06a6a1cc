"""What the OpenMP runtime reads when it is loaded, and so has to be said before the engine is.

By default GNU OpenMP lets threads wait for each other in a busy loop for milliseconds. Where other programs
want the same processors, the loops take the time of those they wait for, and training slows down tenfold. A
short loop costs next to nothing where the machine is free. OMP_WAIT_POLICY or GOMP_SPINCOUNT, if set, decide
instead.
"""

import os

if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
