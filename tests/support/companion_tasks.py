"""Functions that tests run in the process of a `Companion`."""

from __future__ import annotations

import logging
import os
import queue
import signal
from collections.abc import Callable
from typing import Any

from cxreport.errors import DeliveryError


def answering(settings: dict[str, Any], tell: Callable[[dict[str, Any]], None], asked: queue.SimpleQueue[str]) -> None:
    """Tell what is asked, with what it was started with, until it is to stop."""
    tell({"started": os.getpid()})
    while (word := asked.get()) != "stop":
        if word == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if word == "fail":
            raise DeliveryError("told", hint="and the next step")
        if word == "crash":
            raise ValueError("Patient^Name")
        if word == "log":
            logging.getLogger("cxreport.test").warning("a warning")
        tell({"word": word, **settings})
