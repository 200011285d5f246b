"""Signals that request the end of a training; batch systems send them before they kill a job.

Python runs a signal handler between two operations, so that the current batch is completed.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from wilsonvox.core.errors import UserError

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)

SAME_REQUEST_SECONDS = 2.0
"""Time after a SIGTERM during which another one is the same request [s]: batch systems signal all
processes of a job, and parent processes pass the signal on."""


class TrainingStopped(Exception):
    """A training was stopped early by a signal.

    The message is one line with the position in the training and the checkpoint file.

    Args:
        message: the message.
        number: the signal.
    """

    def __init__(self, message: str, number: signal.Signals) -> None:
        super().__init__(message)
        self.number = number

    @property
    def exit_code(self) -> int:
        """Exit code of a process ended by the signal, as shells report it: 143 for SIGTERM."""
        return 128 + self.number


class LossNotFinite(UserError):
    """The loss of a training is no longer finite."""


class StopRequest:
    """Request by a signal to stop this process.

    A second SIGTERM ends the process at once, unless it is part of the same request or the
    checkpoint is being written, after which the process ends anyway.

    Attributes:
        received: the signal, or None if there was none.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._at = 0.0
        self._writing = False

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Store a signal; handler of each of `STOP_SIGNALS`."""
        now = time.monotonic()
        if self.received is not signal.SIGTERM:
            # a warning may come first, the final signal later
            self.received, self._at = signal.Signals(number), now
        elif (
            number == signal.SIGTERM and now - self._at > SAME_REQUEST_SECONDS and not self._writing
        ):
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Protect the writing of the checkpoint: no signal but SIGKILL ends the process."""
        self._writing = True
        try:
            yield
        finally:
            self._writing = False


@contextmanager
def handle_stop_signals() -> Iterator[StopRequest]:
    """Handle `STOP_SIGNALS` in this context; no effect outside the main thread.

    Previous handlers are restored at the end.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request.handle) for number in STOP_SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            # None: a handler that was not installed from Python and cannot be restored
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
