"""For every test: one thread for linear algebra, set before NumPy is imported.

On small matrices and shared cores more threads cost tenfold.
"""

import os

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
