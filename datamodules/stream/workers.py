"""What a process that builds batches does with signals."""

import signal

PATIENCE = 30
"""Seconds that a worker goes on after a first SIGTERM, for a training that ends its step."""


def leave_signals(worker: int) -> None:
    """Signals to the whole process group are the training process's to answer, with our batches."""

    def be_patient(signum: int, frame: object) -> None:
        signal.signal(signum, signal.SIG_DFL)
        signal.alarm(PATIENCE)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, be_patient)
