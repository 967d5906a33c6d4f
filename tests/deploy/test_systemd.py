"""The units: one template for every role, back within a second, drained before they stop, and shut in."""

import os
import re
import shlex
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import yaml

from tasks.liveness import EVERY, SILENT
from tasks.storage import keys as keys_of_redis
from tests.support.builders import ENVIRONMENT
from tests.support.processes import COMMAND, Process, free_port, refuses_only_its_settings

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "deploy/systemd"
INSTANCES = ("web", "welcome", "upkeep", "beat")


def keys(unit: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (UNITS / unit).read_text("utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


SERVICE = keys("wecom-welcome@.service")


@pytest.fixture
def units(tmp_path) -> Path:
    """The units as on a machine where the product is installed: systemd wants its program to be there."""
    copy = shutil.copytree(UNITS, tmp_path / "units")
    for service in copy.glob("*.service"):
        service.write_text(service.read_text("utf-8").replace("/opt/wecom-welcome/bin/wecom-welcome", sys.executable))
    return copy


BACKUP = keys("wecom-welcome-backup.service")


def test_the_target_starts_every_role_once():
    wanted = " ".join(keys("wecom-welcome.target")["Wants"]).split()
    assert sorted(wanted) == sorted(f"wecom-welcome@{role}.service" for role in INSTANCES)


@pytest.mark.parametrize("role", INSTANCES)
def test_the_command_line_knows_every_instance(role, tmp_path):
    (start,) = SERVICE["ExecStart"]
    assert refuses_only_its_settings(start.replace("%i", role).split()[1:], tmp_path)


def test_stopping_the_target_stops_the_roles():
    assert SERVICE["PartOf"] == ["wecom-welcome.target"]


def test_a_role_that_dies_is_back_after_a_second_however_often_it_dies():
    assert SERVICE["Restart"] == ["always"]
    assert SERVICE["RestartSec"] == ["1"]
    assert SERVICE["StartLimitIntervalSec"] == ["0"]


def test_a_role_that_shows_no_sign_of_work_for_six_seconds_is_killed():
    assert SERVICE["Type"] == ["notify"]
    assert SERVICE["NotifyAccess"] == ["main"]
    assert float(SERVICE["WatchdogSec"][0]) == SILENT > 3 * EVERY
    assert SERVICE["WatchdogSignal"] == ["SIGKILL"]  # the default, SIGABRT, waits in a process that is stopped


@pytest.mark.skipif(sys.platform != "linux", reason="systemd")
@pytest.mark.parametrize("role", INSTANCES)
def test_a_role_tells_systemd_itself_that_it_works(role, redis_url, tmp_path):
    with tempfile.TemporaryDirectory(dir="/tmp") as short, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        systemd.bind(f"{short}/notify")
        systemd.settimeout(60)
        environ = ENVIRONMENT | {"REDIS_URL": redis_url, "NOTIFY_SOCKET": f"{short}/notify"}
        port = ["--port", str(free_port())] if role == "web" else []
        process = Process(role, [str(COMMAND), "role", role, *port], environ, tmp_path).start()
        try:
            told = [systemd.recvmsg(1000, socket.CMSG_SPACE(12)) for _ in range(4)]
        finally:
            process.kill()
    pids = {struct.unpack("3i", ancillary[0][2])[0] for _, ancillary, _, _ in told}
    assert pids == {process.pid}, "NotifyAccess=main takes no other's word"
    assert sum(b"WATCHDOG=1" in said for said, *_ in told) >= 3  # gunicorn says once more that it is ready
    assert told[0][0].startswith(b"READY=1")


def test_a_role_has_time_to_drain_and_is_asked_alone():
    assert int(SERVICE["TimeoutStopSec"][0]) >= 30
    assert SERVICE["KillMode"] == ["mixed"]  # its children are its own affair, until the time is up


def test_a_role_has_a_user_a_folder_and_an_environment_of_its_own():
    assert SERVICE["User"] == SERVICE["StateDirectory"] == ["wecom-welcome"]
    assert SERVICE["EnvironmentFile"] == ["/etc/wecom-welcome/environment"]


@pytest.mark.parametrize("role", INSTANCES)
def test_a_role_may_take_as_much_of_the_machine_as_with_compose(role):
    limits = keys(f"wecom-welcome@{role}.service.d/limits.conf")
    service = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text("utf-8"))["services"][role]
    assert limits["MemoryMax"] == [service["mem_limit"].upper()]
    assert limits["TasksMax"] == [str(service.get("pids_limit"))]


@pytest.mark.needs_systemd
def test_systemd_would_have_noticed_a_mistake_in_a_drop_in(units, require_tool):
    with (units / "wecom-welcome@web.service.d/limits.conf").open("a") as file:
        file.write("MemoryMaximum=1G\n")
    command = [require_tool("systemd-analyze"), "verify", "--man=no", units / "wecom-welcome@web.service"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "MemoryMaximum" in run.stderr


@pytest.mark.needs_systemd
@pytest.mark.parametrize("role", INSTANCES)
def test_systemd_has_nothing_to_say_about_the_units(role, units, require_tool):
    verify = subprocess.run(
        [require_tool("systemd-analyze"), "verify", "--man=no",
         units / f"wecom-welcome@{role}.service", units / "wecom-welcome.target"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert verify.stdout == ""  # an unknown key is only a warning, with exit status 0
    assert verify.returncode == 0


@pytest.mark.needs_systemd
def test_systemd_has_nothing_to_say_about_the_backup(units, require_tool):
    verify = subprocess.run(
        [require_tool("systemd-analyze"), "verify", "--man=no",
         units / "wecom-welcome-backup.service", units / "wecom-welcome-backup.timer"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert (verify.returncode, verify.stdout) == (0, "")


@pytest.mark.needs_systemd
def test_the_backup_runs_each_night_and_after_one_that_was_missed(require_tool):
    timer = keys("wecom-welcome-backup.timer")
    calendar = subprocess.run(
        [require_tool("systemd-analyze"), "calendar", *timer["OnCalendar"]], capture_output=True, text=True, check=True
    )
    assert re.search(r"Normalized form: \*-\*-\* \d\d:\d\d:\d\d", calendar.stdout)
    assert timer["Persistent"] == ["true"]


def test_the_backup_is_shut_in_as_a_role_is():
    text = (UNITS / "wecom-welcome@.service").read_text("utf-8")
    shut = re.findall(r"^(\w+)=", text[text.index("NoNewPrivileges") : text.index("[Install]")], re.MULTILINE)
    for key in {*shut, "User", "EnvironmentFile", "WorkingDirectory", "StateDirectoryMode", "UMask"}:
        assert BACKUP[key] == SERVICE[key], key


def test_the_backup_unit_makes_one_for_its_owner_alone_and_deletes_old_ones(redis_url, redis_client, tmp_path):
    """What the unit runs, as systemd reads it."""
    redis_client.hset(keys_of_redis.channels("default"), "douyin", "{}")
    folder = tmp_path / "wecom-welcome-backups"
    folder.mkdir()
    for name, days in (("welcome-2026-01-01-034000.zip", 16), ("welcome-2026-01-02-034000.zip", 13), ("mine.zip", 99)):
        (folder / name).touch()
        os.utime(folder / name, (time.time() - days * 86400,) * 2)
    environ = ENVIRONMENT | {"REDIS_URL": redis_url, "PATH": os.environ["PATH"], "BACKUP_KEEP_DAYS": "14"}
    assert f"BACKUP_KEEP_DAYS={environ['BACKUP_KEEP_DAYS']}" in BACKUP["Environment"]
    text = (UNITS / "wecom-welcome-backup.service").read_text("utf-8").replace("\\\n", "")
    for key in ("ExecStart", "ExecStartPost"):
        (line,) = re.findall(rf"^{key}=(.+)$", text, re.MULTILINE)
        line = re.sub("%[%S]", lambda found: {"%%": "%", "%S": str(tmp_path)}[found[0]], line)
        line = line.replace("${BACKUP_KEEP_DAYS}", "14")
        words = shlex.split(line.replace("/opt/wecom-welcome/bin/wecom-welcome", str(COMMAND)))
        subprocess.run(words, env=environ, cwd=tmp_path, check=True, timeout=90, umask=0o077)
    made, *kept = sorted(folder.iterdir(), key=lambda file: -file.stat().st_mtime)
    assert re.fullmatch(r"welcome-\d{4}-\d\d-\d\d-\d{6}\.zip", made.name)
    assert made.stat().st_mode & 0o777 == 0o600
    assert {file.name for file in kept} == {"welcome-2026-01-02-034000.zip", "mine.zip"}


@pytest.mark.needs_systemd
@pytest.mark.parametrize("unit", ["wecom-welcome@.service", "wecom-welcome-backup.service"])
def test_systemd_finds_a_unit_well_shut_in(unit, units, require_tool):
    security = subprocess.run(
        [require_tool("systemd-analyze"), "security", "--offline=true", units / unit],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    exposure = re.search(r"exposure level for \S+: ([0-9.]+)", security.stdout)
    assert exposure is not None, security.stderr
    assert float(exposure[1]) <= 2.0  # of 10; a stock service has 9.6
