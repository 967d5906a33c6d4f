"""What Prometheus is told of a web process' lifeboat. Each process tells of its own."""

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from tasks.lifeboat.lifeboat import Status
from tasks.monitoring.metrics import NAMESPACE


def metrics(status: Status) -> list[Metric]:
    in_use = GaugeMetricFamily(NAMESPACE + "lifeboat_in_use", "1 while this web process greets without Redis")
    in_use.add_metric([], status.in_use)
    waiting = GaugeMetricFamily(NAMESPACE + "lifeboat_waiting", "Events in its journal that are not in the ledger yet")
    waiting.add_metric([], status.waiting)
    greeted = CounterMetricFamily(NAMESPACE + "lifeboat_greeted", "Customers that this web process greeted by itself")
    greeted.add_metric([], status.greeted)
    return [in_use, waiting, greeted]
