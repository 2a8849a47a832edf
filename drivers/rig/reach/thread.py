"""Threads for what may never come back: a file of a broken driver, a library that waits for a card that is gone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class OwnThread(Executor):
    """Each call has a thread of its own, which the process does not wait for when it ends."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """See `Executor.submit`."""
        future: Future[T] = Future()
        threading.Thread(
            target=_work, args=(future, fn, args, kwargs), name="rig-look", daemon=True
        ).start()
        return future


def _work(future: Future[Any], fn: Callable[..., Any], args: Any, kwargs: Any) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = fn(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001 - carried to the caller, whatever it is
        future.set_exception(error)
    else:
        future.set_result(result)
