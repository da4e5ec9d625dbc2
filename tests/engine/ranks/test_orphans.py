import os
from time import monotonic, sleep

from engine.ranks.orphans import end_with_parent


def test_a_rank_ends_after_the_one_that_started_it():
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        if os.fork() == 0:  # the rank, which waits for ever
            end_with_parent(grace=0.1, every=0.05)
            os.write(writing, b"here")
            sleep(60)
        sleep(0.5)
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    began = monotonic()
    assert os.read(reading, 4) == b"here"
    assert os.read(reading, 1) == b"", "it has not ended"
    assert monotonic() - began < 30
    os.close(reading)
