"""What Prometheus is told of a web process' lifeboat. Each process tells of its own: no counters, which would jump."""

from prometheus_client.metrics_core import Metric

from tasks.lifeboat.lifeboat import Status
from tasks.monitoring.gauges import single


def metrics(status: Status) -> list[Metric]:
    return [
        single("lifeboat_ready", "1 if this process could greet without Redis, else 0", status.ready),
        single("lifeboat_in_use", "1 while web processes of this host greet without Redis, else 0", status.in_use),
        single("lifeboat_waiting", "Events of this process that are not in the ledger yet", status.waiting),
        single("lifeboat_greeted", "Customers that it greeted by itself since its start", status.greeted),
    ]
