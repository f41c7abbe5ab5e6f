"""One thread that writes the journal and orders what was written, in that order.

The tick never waits for a disk: it hands its intents over and goes on.
"""

import logging
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

log = logging.getLogger("hwctl")

LINGER_S = 0.001
"""Before a job: whoever handed it over is just answering a request, and that comes first."""

Job = Callable[[], object]


class Writer:
    """Runs jobs one after the other. Without :meth:`start` it runs them at once (for tests)."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, job: Job) -> None:
        if self._thread is None:
            job()
        else:
            self._jobs.put(job)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Finish what was handed over."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join(timeout_s)
            self._thread = None

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            if self._jobs.empty():
                time.sleep(LINGER_S)
            try:
                job()
            except Exception:
                # Without this thread nothing could be ordered any more, a shutdown included.
                log.exception("a job of the journal's thread failed")
