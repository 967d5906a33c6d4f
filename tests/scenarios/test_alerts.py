"""A group robot is told that workers are gone, that Redis is gone, and that they are back: once each."""

import sys
from pathlib import Path

from tasks.alerts import records
from tasks.alerts.conditions import Alert
from tasks.storage import keys
from tests.simulator.client import StandIn
from tests.support.processes import Process, Product
from tests.support.until import until


def watching(product: Product, robot: str, role: str, *options: str) -> Process:
    """A role that tells the robot, not started yet; the others do not."""
    command = [sys.executable, "-m", "tests.support.impatient", "role", role, *options]
    process = Process(f"impatient-{role}", command, product.environ | {"ALERT_WEBHOOK": robot}, product.folder)
    product.processes.append(process)
    return process


def remembers(product: Product, alert: Alert) -> bool:
    """Whether it is kept that people were told of its end."""
    with product.client() as client:
        episode = records.episode_of(client.hget(keys.ALERTS, f"{alert}|"))
    return episode is not None and episode.over_at is not None


def test_a_group_is_told_once_that_workers_or_redis_are_gone_and_once_that_they_are_back(
    tmp_path: Path, wecom: StandIn
) -> None:
    robot = wecom.robot()
    key = robot.partition("key=")[2]

    def told(number: int, *words: str) -> None:
        until(lambda: len(wecom.alerts(robot)) >= number, what=f"message {number}: {words}")
        assert all(word in wecom.alerts(robot)[number - 1] for word in words)

    product = Product(tmp_path, wecom, start=["web", "welcome"])
    product.roles["web"] = watching(product, robot, "web", "--port", str(product.port))
    with product:
        assert wecom.alerts(robot) == []

        product.roles["welcome"].freeze()
        told(1, "告警：没有进程在发送欢迎语", "no worker greets", "WorkersSilent")
        product.roles["welcome"].thaw()
        told(2, "已恢复：欢迎语进程恢复工作", "workers greet again")
        until(lambda: remembers(product, Alert.WORKERS_SILENT), what="the record, without which it is told again")

        product.redis.kill()
        told(3, "告警：Redis 不接收写入", "the web process greets by itself", "LifeboatInUse")
        product.redis.start()
        told(4, "已恢复：Redis 恢复写入")
        assert len(wecom.alerts(robot)) == 4
        logs = "".join(process.output() for process in product.processes)
        assert logs.count("alert WorkersSilent: began") == logs.count("alert LifeboatInUse: began") == 1
        assert key not in logs
