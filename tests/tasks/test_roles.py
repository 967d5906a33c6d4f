"""What the worker roles do beside their tasks."""

import threading

from tasks.roles import _once_aside
from tests.until import until


def test_a_second_sigterm_does_not_wait_for_what_the_first_one_holds() -> None:
    held, stops = threading.Lock(), []

    def stop() -> None:
        with held:
            stops.append(threading.current_thread().name)

    receive = _once_aside(stop)
    with held:  # as if the signal came while this thread was in `stop` already
        receive(sender="worker", sig="SIGTERM")
        receive(sender="worker", sig="SIGTERM")
        assert stops == []
    until(lambda: stops == ["stop"])
