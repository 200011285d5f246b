"""Signals that ask a training to stop, as batch systems send them before they kill a job.

Python runs a signal's handler between two operations, so that a batch in work ends first.
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
"""A SIGTERM that comes so soon after another one is the same request: batch systems signal all
processes of a job, and those in between pass the signal on."""


class TrainingStopped(Exception):
    """A training ended before its time because a signal asked for it.

    Its message is one line that says how far the training came and where its state is.

    Args:
        message: that line.
        number: the signal.
    """

    def __init__(self, message: str, number: signal.Signals) -> None:
        super().__init__(message)
        self.number = number

    @property
    def exit_code(self) -> int:
        """Of the process, as shells give it for a process that a signal ended: 143 for SIGTERM."""
        return 128 + self.number


class LossNotFinite(UserError):
    """The loss of a training is not a finite number any more."""


class StopRequest:
    """Whether a signal has asked this process to stop, and which.

    A second SIGTERM ends the process at once, unless it belongs to the first or the state is being
    written, after which the process ends anyway.

    Attributes:
        received: the signal; None before there is one.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._at = 0.0
        self._writing = False

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Note a signal; the handler of each of `STOP_SIGNALS`."""
        now = time.monotonic()
        if self.received is not signal.SIGTERM:
            # a warning first, the real thing later
            self.received, self._at = signal.Signals(number), now
        elif (
            number == signal.SIGTERM and now - self._at > SAME_REQUEST_SECONDS and not self._writing
        ):
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """While the state is written no signal but SIGKILL ends the process."""
        self._writing = True
        try:
            yield
        finally:
            self._writing = False


@contextmanager
def listening() -> Iterator[StopRequest]:
    """Note `STOP_SIGNALS` instead of dying of them; outside the main thread nothing changes.

    Handlers of before are put back at the end.
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
            # None: a handler that was not installed from Python and cannot be put back
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
