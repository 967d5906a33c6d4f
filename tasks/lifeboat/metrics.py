"""What Prometheus is told of a web process' lifeboat. Each process tells of its own: no counters, which would jump."""

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from tasks.lifeboat.lifeboat import Status
from tasks.monitoring.metrics import NAMESPACE


def metrics(status: Status) -> list[Metric]:
    in_use = GaugeMetricFamily(NAMESPACE + "lifeboat_in_use", "1 while web processes of this host greet without Redis")
    in_use.add_metric([], status.in_use)
    waiting = GaugeMetricFamily(NAMESPACE + "lifeboat_waiting", "Events of this process that are not in the ledger yet")
    waiting.add_metric([], status.waiting)
    greeted = GaugeMetricFamily(NAMESPACE + "lifeboat_greeted", "Customers that it greeted by itself since its start")
    greeted.add_metric([], status.greeted)
    return [in_use, waiting, greeted]
