"""A thread that is replaced when it is lost."""

import threading
import time

from flwr_registry.serving.watched_thread import WatchedThread


def eventually(found):
    ends = time.monotonic() + 20
    while not found():
        assert time.monotonic() < ends, "it never came to be"
        time.sleep(0.005)


def watched(turn, lost):
    return WatchedThread(
        turn,
        name="follower",
        pause_seconds=0.005,
        stall_seconds=0.1,
        on_loss=lambda trouble, thread: lost.append((trouble, thread)),
    )


def test_what_ends_a_thread_is_told_and_the_next_one_goes_on():
    turns, lost = [], []

    def turn():
        turns.append(threading.current_thread())
        if len(turns) == 1:
            raise SystemExit(2)

    thread = watched(turn, lost)
    thread.start()
    eventually(lambda: len(turns) > 2 and not thread.trouble)
    thread.stop(5)
    assert [told for told, _ in lost] == ["ended: SystemExit(2)"]
    assert turns[0] is not turns[1] is turns[2]


def test_a_thread_that_hangs_is_left_alone_and_has_no_effect():
    turns, lost, effects = [], [], []
    released = threading.Event()

    def turn():
        first = not turns
        turns.append(threading.current_thread())
        if first:
            released.wait(20)
        with thread.own_turn() as is_own:
            effects.append((first, is_own))

    thread = watched(turn, lost)
    thread.start()
    eventually(lambda: len(turns) > 1)
    released.set()
    eventually(lambda: (True, False) in effects)
    thread.stop(5)
    assert "no sign of life" in lost[0][0]
    assert (True, True) not in effects and (False, True) in effects
