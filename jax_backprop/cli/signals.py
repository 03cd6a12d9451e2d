"""SIGINT and SIGTERM during long work: the first asks it to stop, the second stops it at once."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

WATCHED = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether a signal came, and which."""

    def __init__(self) -> None:
        self.number: int | None = None

    def __call__(self) -> bool:
        """Tell whether to stop."""
        return self.number is not None

    @property
    def exit_code(self) -> int:
        """What a shell expects of a process that such a signal ended: 130 or 143."""
        return 128 + (self.number or 0)


@contextmanager
def stop_on_signal(message: str) -> Iterator[StopRequest]:
    """Turn the first signal into a request, and the second into an exit.

    Python runs its own handlers between two bytecodes, so one that comes while compiled code runs
    would wait for its end. The interpreter writes a signal's number to a socket at once, and a
    thread reads it there.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request  # signals reach the main thread alone
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def watch() -> None:
        while data := reader.recv(1):
            if data[0] not in WATCHED:
                continue
            if request.number is not None:
                os._exit(128 + data[0])
            request.number = data[0]
            sys.stderr.write(message + "\n")
            sys.stderr.flush()

    before = {number: signal.signal(number, _ignore) for number in WATCHED}
    previous = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield request
    finally:
        signal.set_wakeup_fd(previous)
        for number, handler in before.items():
            signal.signal(number, handler)
        with suppress(OSError):
            writer.close()
        thread.join(timeout=1)
        reader.close()


def _ignore(_signal: int, _frame: FrameType | None) -> None:
    """Leave the signal to the thread that watches."""
