"""Start a command that ends when its supervisor does: `python -I -S tether.py SUPERVISOR_PID COMMAND …`.

A supervisor killed with SIGKILL cannot stop its children; the kernel does it, by SIGTERM, so that they still drain. It is a program of its
own because a `preexec_fn` would run Python between fork and exec of a process that has gRPC's threads. It imports as little as it can.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
NOT_STARTED = 127
"""Exit code where the command cannot be executed, as in a shell."""


def tether(parent: int) -> None:
    """Ask the kernel for SIGTERM when the thread that started this process ends; Linux alone has this."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # it ended before the kernel knew
        sys.exit(-signal.SIGTERM)


if __name__ == "__main__":
    tether(int(sys.argv[1]))
    try:
        os.execvp(sys.argv[2], sys.argv[2:])
    except OSError as failure:
        print(f"cannot execute {sys.argv[2]}: {failure.strerror}; is the package installed?", file=sys.stderr)
        sys.exit(NOT_STARTED)
