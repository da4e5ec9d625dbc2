"""Signal handling of processes that build batches."""

import signal

PATIENCE = 30
"""Seconds that a worker continues after a first SIGTERM, so that training can finish its step."""


def leave_signals(worker: int) -> None:
    """Leave signals to the process group to the training process, which still needs our batches."""

    def be_patient(signum: int, frame: object) -> None:
        signal.signal(signum, signal.SIG_DFL)
        signal.alarm(PATIENCE)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, be_patient)
