"""`celery -A tasks …`: the app that Celery's own tools find, from as few settings as they need, and what it refuses."""

import errno
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery.app.utils import find_app
from celery.bin.beat import beat
from celery.bin.celery import celery
from celery.bin.worker import worker
from click.testing import CliRunner

import tasks.celery
from tasks.celery import make_app
from tasks.ledger import celery_message
from tasks.monitoring.jobs import SCHEDULE
from tasks.monitoring.node_name import node_name
from tasks.monitoring.task_names import FOLLOW_UP, GREET, REMIND
from tasks.workers import _task_events
from tests.support.builders import some_settings
from tests.support.processes import RedisServer

SETTINGS = ("REDIS_URL", "WELCOME_DATA_DIR", "CELERY_REMOTE_CONTROL")


@pytest.fixture(autouse=True)
def nothing_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    tasks.celery._app.cache_clear()
    before = [(command, list(command.params)) for command in (worker, beat)]
    yield
    tasks.celery._app.cache_clear()
    for command, params in before:  # which `celery` extends for good
        command.params[:] = params


def test_it_is_found_with_every_task_and_needs_no_secret_of_wecoms(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("REDIS_URL=redis://:pass@redis.example:6380/3\nWECOM_CORP_ID=no id at all\n")
    app = find_app("tasks")
    ours = {name for name in app.tasks if not name.startswith("celery.")}
    assert ours == {GREET, FOLLOW_UP, REMIND, celery_message.TASK, celery_message.SLOW_TASK, *SCHEDULE}
    with app.connection() as connection:
        assert connection.as_uri() == "redis://redis.example:6380/3"
        assert connection.transport.driver_type == "redis"
    assert find_app("tasks.celery") is app


def test_it_finds_the_server_of_a_running_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WELCOME_DATA_DIR", str(tmp_path / "data"))
    with pytest.raises(SystemExit, match="no Redis: set REDIS_URL, or start `wecom-welcome up`"):
        find_app("tasks")
    (tmp_path / "data" / "valkey").mkdir(parents=True)
    (tmp_path / "data" / "valkey" / "server.sock").touch()
    with find_app("tasks").connection() as connection:
        assert str(tmp_path) in connection.as_uri()


def test_what_is_malformed_is_said_by_name_in_a_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "http://redis")
    monkeypatch.setenv("CELERY_REMOTE_CONTROL", "maybe")
    with pytest.raises(SystemExit) as ended:
        find_app("tasks")
    first, second = str(ended.value).splitlines()
    assert first.startswith("REDIS_URL must start with redis://")
    assert second == "CELERY_REMOTE_CONTROL must be one of on, off"


def test_who_asks_although_workers_do_not_answer_is_told_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("CELERY_REMOTE_CONTROL", "off")
    find_app("tasks")
    assert "CELERY_REMOTE_CONTROL=off" in caplog.text


@pytest.mark.parametrize(
    ("command", "instead"),
    [
        (["worker"], "run `wecom-welcome role welcome` and `wecom-welcome role upkeep`"),
        (["worker", "-Q", "welcome", "--detach"], "run `wecom-welcome role welcome`"),
        (["beat"], "run `wecom-welcome role beat`"),
    ],
)
def test_what_a_role_does_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, command: list[str], instead: str
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    result = CliRunner().invoke(celery, ["-A", "tasks", *command])
    assert result.exit_code == 1
    assert instead in result.output
    assert len(result.output.splitlines()) == 1


def test_the_option_that_refuses_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    result = CliRunner().invoke(celery, ["-A", "tasks", "worker", "--help"])
    assert "--concurrency" in result.output
    assert "--by-celery" not in result.output


def test_importing_it_reads_no_settings_and_the_client_of_wecom_comes_without_celery(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xff no text")
    root = Path(tasks.celery.__file__).parents[1]
    script = "import sys, tasks.wecom; assert 'celery' not in sys.modules; import tasks.celery"
    run = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path, env={"PYTHONPATH": str(root)}, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (0, "")


def test_a_host_without_such_names_gives_all_workers_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "socket", refuse)
    assert {node_name("welcome", "redis://a"), node_name("welcome", "redis://a")} == {f"welcome@{socket.gethostname()}"}


def test_where_it_is_off_nobody_hears_anything() -> None:
    app = make_app("redis://127.0.0.1:1/0")
    given = {"REDIS_URL": "redis://127.0.0.1:1/0"}
    assert _task_events(app, some_settings(**given, CELERY_REMOTE_CONTROL="off"), "welcome") is None
    on = _task_events(app, some_settings(**given), "welcome")
    assert on is not None
    assert on.node.startswith("welcome")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all workers of a host have one name")
def test_a_second_worker_of_a_host_has_a_name_of_its_own(redis_server: RedisServer) -> None:
    here, beside = node_name("welcome", redis_server.url), node_name("welcome", redis_server.url)
    host = here.partition("@")[2]
    assert (here, beside) == (f"welcome@{host}", f"welcome-2@{host}")
    assert node_name("upkeep", redis_server.url) == f"upkeep@{host}"
    assert node_name("welcome", redis_server.url + "1") == f"welcome@{host}", "another Redis, another system"
    assert "%" not in here
