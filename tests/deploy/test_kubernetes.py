"""deploy/kubernetes/: rendered and validated offline, and what the manifests promise is what the product needs."""

import json
import os
import subprocess
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from tasks.liveness import SILENT, TO_START
from tasks.settings import VARIABLES, read
from tasks.storage import keys
from tests.support.builders import ENVIRONMENT, some_settings
from tests.support.documents import DEPLOY
from tests.support.manifests import KUBERNETES, RULES, Manifest, kustomize, prometheus_rule
from tests.support.processes import ROLES, refuses_only_its_settings
from tests.support.web import Web

SCHEMA = Path(__file__).parent / "custom-resources.schema.json"
EXAMPLES = [KUBERNETES / "base/secret.example.yaml", KUBERNETES / "base/ingress.example.yaml"]
KEDA, OPERATOR = KUBERNETES / "overlays/keda", KUBERNETES / "overlays/prometheus-operator"

each_role = pytest.mark.parametrize("role", ROLES)


@pytest.fixture(scope="module")
def kubectl(require_tool: Callable[[str], str]) -> str:
    return require_tool("kubectl")


@pytest.fixture(scope="module")
def base(kubectl: str) -> list[Manifest]:
    return kustomize(kubectl, KUBERNETES / "base")


@pytest.fixture(scope="module")
def keda(kubectl: str) -> list[Manifest]:
    return kustomize(kubectl, KEDA)


@pytest.fixture(scope="module")
def operator(kubectl: str) -> list[Manifest]:
    return kustomize(kubectl, OPERATOR)


def of_kind(manifests: list[Manifest], kind: str) -> dict[str, Any]:
    """name → manifest."""
    return {one["metadata"]["name"]: one for one in manifests if one["kind"] == kind}


def deployment(manifests: list[Manifest], role: str) -> Any:
    return of_kind(manifests, "Deployment")[f"wecom-welcome-{role}"]


def pod(manifests: list[Manifest], role: str) -> Any:
    return deployment(manifests, role)["spec"]["template"]["spec"]


def container(manifests: list[Manifest], role: str) -> Any:
    (only,) = pod(manifests, role)["containers"]
    return only


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    for one in selector.get("matchExpressions", []):
        assert one["operator"] == "In"
        if labels.get(one["key"]) not in one["values"]:
            return False
    return selector.get("matchLabels", {}).items() <= labels.items()


def roles_of(manifests: list[Manifest], selector: dict[str, Any]) -> list[str]:
    labels = {role: deployment(manifests, role)["spec"]["template"]["metadata"]["labels"] for role in ROLES}
    return [role for role in ROLES if selects(selector, labels[role])]


# ------------------------------------------------------------------------------------------------ the roles


def test_there_is_a_deployment_for_each_role(base: list[Manifest]) -> None:
    assert sorted(of_kind(base, "Deployment")) == sorted(f"wecom-welcome-{role}" for role in ROLES)
    for role in ROLES:
        assert roles_of(base, deployment(base, role)["spec"]["selector"]) == [role]


@each_role
def test_the_command_line_knows_what_each_is_told(base: list[Manifest], role: str, tmp_path: Path) -> None:
    arguments = container(base, role)["args"]
    assert arguments[:2] == ["role", role]
    assert refuses_only_its_settings(arguments, tmp_path)


def test_there_is_never_a_second_scheduler(base: list[Manifest]) -> None:
    spec = deployment(base, "beat")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


@pytest.mark.parametrize("role", ["web", "welcome", "upkeep"])
def test_an_update_or_a_drain_leaves_one_of_each_at_work(base: list[Manifest], role: str) -> None:
    spec = deployment(base, role)["spec"]
    assert spec["replicas"] >= 2
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    budgets = [one["spec"] for one in of_kind(base, "PodDisruptionBudget").values()]
    assert [one["maxUnavailable"] for one in budgets if roles_of(base, one["selector"]) == [role]] == [1]


@each_role
def test_a_pod_has_longer_than_the_window_to_stop(base: list[Manifest], role: str) -> None:
    before = (
        container(base, role).get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
    )
    assert pod(base, role)["terminationGracePeriodSeconds"] - int(before[1]) > some_settings().window


@each_role
def test_a_pod_meets_the_restricted_standard(base: list[Manifest], role: str) -> None:
    of_pod, of_container = pod(base, role)["securityContext"], container(base, role)["securityContext"]
    assert of_pod["runAsNonRoot"] is True
    assert of_pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert of_container["allowPrivilegeEscalation"] is False
    assert of_container["capabilities"] == {"drop": ["ALL"]}
    assert of_container["readOnlyRootFilesystem"] is True
    assert pod(base, role)["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(pod(base, role))
    assert {kind for volume in pod(base, role)["volumes"] for kind in volume} == {"name", "emptyDir", "secret"}


@each_role
def test_a_pod_runs_as_the_images_user(base: list[Manifest], role: str) -> None:
    context = pod(base, role)["securityContext"]
    image = (DEPLOY / "Dockerfile").read_text("utf-8")
    assert f"USER {context['runAsUser']}:{context['runAsGroup']}\n" in image
    assert context["fsGroup"] == context["runAsGroup"]


@each_role
def test_what_is_written_goes_to_volumes(base: list[Manifest], role: str) -> None:
    written = {mount["mountPath"] for mount in container(base, role)["volumeMounts"] if not mount.get("readOnly")}
    assert written == {"/tmp", "/var/lib/wecom-welcome"}
    assert "WORKDIR /var/lib/wecom-welcome\n" in (DEPLOY / "Dockerfile").read_text("utf-8")


@each_role
def test_a_role_has_a_limit_of_memory_and_none_of_the_cpu(base: list[Manifest], role: str) -> None:
    resources = container(base, role)["resources"]
    assert set(resources["requests"]) == {"cpu", "memory"}
    assert set(resources["limits"]) == {"memory"}


def test_the_image_is_this_release(base: list[Manifest]) -> None:
    version = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert {container(base, role)["image"].rpartition(":")[2] for role in ROLES} == {version}


# ------------------------------------------------------------------------------------------------ settings


def settings_of(base: list[Manifest]) -> dict[str, str]:
    (only,) = of_kind(base, "ConfigMap").values()
    return dict(only["data"])


@each_role
def test_each_role_has_the_same_settings_and_those_that_the_manifests_rely_on_win(
    base: list[Manifest], role: str
) -> None:
    (name,) = of_kind(base, "ConfigMap")
    sources = [{"secretRef": {"name": "wecom-welcome"}}, {"configMapRef": {"name": name}}]  # the last one wins
    assert container(base, role)["envFrom"] == sources


def test_the_settings_are_the_products_and_valid(base: list[Manifest], tmp_path: Path) -> None:
    example = yaml.safe_load(EXAMPLES[0].read_text("utf-8"))["stringData"]
    assert {*settings_of(base), *example} <= {variable.name for variable in VARIABLES}
    assert set(ENVIRONMENT) <= set(example)
    read(settings_of(base) | example | ENVIRONMENT, tmp_path)


def test_there_is_no_secret_in_what_is_applied_and_none_in_the_example(base: list[Manifest]) -> None:
    assert not of_kind(base, "Secret")
    example = yaml.safe_load(EXAMPLES[0].read_text("utf-8"))["stringData"]
    for name in ("WECOM_CORP_SECRET", "WECOM_TOKEN", "WECOM_ENCODING_AES_KEY", "CONSOLE_PASSWORD"):
        assert example[name] == "change-me"


# ------------------------------------------------------------------------------------------------ probes


@each_role
def test_a_role_is_restarted_exactly_if_it_has_been_silent(base: list[Manifest], role: str, tmp_path: Path) -> None:
    probe, stamp = container(base, role)["livenessProbe"], tmp_path / "alive"
    told = settings_of(base)["WELCOME_LIVENESS_FILE"]
    command = [part.replace(told, str(stamp)) for part in probe["exec"]["command"]]
    assert str(stamp) in command[-1]
    assert "python" not in command[-1]
    stamp.touch()
    for age, works in ((0, True), (SILENT + 2, False)):
        os.utime(stamp, (time.time() - age,) * 2)
        assert (subprocess.run(command, check=False, timeout=180).returncode == 0) is works
    assert probe["periodSeconds"] * probe["failureThreshold"] <= SILENT
    assert probe["terminationGracePeriodSeconds"] == 1  # or the frozen process would have the whole grace period


@each_role
def test_a_role_has_as_long_to_start_as_the_product_gives_itself(base: list[Manifest], role: str) -> None:
    probe = container(base, role)["startupProbe"]
    assert probe["exec"]["command"][-1] == settings_of(base)["WELCOME_LIVENESS_FILE"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= TO_START


def test_web_gets_callbacks_while_it_can_take_events(base: list[Manifest], redis_url: str, tmp_path: Path) -> None:
    probe = container(base, "web")["readinessProbe"]["httpGet"]
    web = Web(read(settings_of(base) | ENVIRONMENT | {"REDIS_URL": redis_url}, tmp_path))
    assert web.get(probe["path"]).status_code == 200
    assert probe == {"path": "/readyz/intake", "port": "callback"}


# ------------------------------------------------------------------------------------------------ the network


def test_each_port_of_a_service_is_one_of_web(base: list[Manifest]) -> None:
    ports = {port["name"]: port["containerPort"] for port in container(base, "web")["ports"]}
    settings = settings_of(base)
    binds = {"console": settings["CONSOLE_BIND"], "metrics": settings["METRICS_BIND"]}
    assert {name: int(bind.rpartition(":")[2]) for name, bind in binds.items()} | {"callback": 8000} == ports
    assert container(base, "web")["args"][-2:] == ["--port", str(ports["callback"])]
    for service in of_kind(base, "Service").values():
        assert roles_of(base, {"matchLabels": service["spec"]["selector"]}) == ["web"]
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= set(ports)


def test_the_service_of_the_callback_shows_neither_console_nor_metrics(base: list[Manifest]) -> None:
    assert [port["targetPort"] for port in of_kind(base, "Service")["wecom-welcome"]["spec"]["ports"]] == ["callback"]


def test_the_way_in_is_for_what_wecom_calls() -> None:
    (rule,) = yaml.safe_load(EXAMPLES[1].read_text("utf-8"))["spec"]["rules"]
    paths = [(path["path"], path["pathType"]) for path in rule["http"]["paths"]]
    assert paths == [("/callback", "Prefix"), ("/WW_verify_0123456789abcdef.txt", "Exact")]
    for path in rule["http"]["paths"]:
        assert path["backend"] == {"service": {"name": "wecom-welcome", "port": {"name": "callback"}}}


def rules(manifests: list[Manifest], role: str, direction: str) -> list[tuple[int | str, str | None]]:
    """(port, where from or to) of what a role's policies allow; None is anywhere."""
    policies = [one["spec"] for one in of_kind(manifests, "NetworkPolicy").values()]
    mine = [one for one in policies if role in roles_of(manifests, one["podSelector"])]
    assert any(direction.title() in one["policyTypes"] for one in mine), "it would be open"
    found = []
    for rule in (rule for one in mine for rule in one.get(direction, [])):
        places = [
            place.get("ipBlock", {}).get("cidr") or "a namespace" for place in rule.get("to", rule.get("from", []))
        ]
        found += [(port["port"], place) for port in rule["ports"] for place in places or [None]]
    return sorted(set(found), key=str)


def test_callbacks_come_in_and_nothing_else(base: list[Manifest], operator: list[Manifest]) -> None:
    assert {role: rules(base, role, "ingress") for role in ROLES} == {
        "web": [("callback", None)], "welcome": [], "upkeep": [], "beat": []
    }  # fmt: skip
    assert rules(operator, "web", "ingress") == [("callback", None), ("metrics", "a namespace")]


def test_names_redis_and_wecom_are_all_that_is_reached(base: list[Manifest]) -> None:
    inside = [(53, None), (6379, None)]
    wecom = [(443, "0.0.0.0/0"), (443, "::/0")]
    assert rules(base, "beat", "egress") == inside
    assert [rules(base, role, "egress") for role in ROLES[:3]] == [sorted(wecom + inside, key=str)] * 3


# ------------------------------------------------------------------------------------------------ the overlays


def test_keda_counts_the_events_without_an_outcome(keda: list[Manifest]) -> None:
    (scaled,) = of_kind(keda, "ScaledObject").values()
    (trigger,) = scaled["spec"]["triggers"]
    counted = trigger["metadata"]["listName"]
    assert [key.type for key in keys.TABLE if key.name == counted] == [keys.ZSET]  # KEDA counts it by ZCARD
    assert counted == keys.DUE
    assert int(trigger["metadata"]["listLength"]) < some_settings().concurrency
    assert trigger["authenticationRef"]["name"] in of_kind(keda, "TriggerAuthentication")


def test_keda_has_the_workers_for_itself_and_leaves_some_at_work(keda: list[Manifest]) -> None:
    (scaled,) = of_kind(keda, "ScaledObject").values()
    target = of_kind(keda, "Deployment")[scaled["spec"]["scaleTargetRef"]["name"]]
    assert target == deployment(keda, "welcome")
    assert "replicas" not in target["spec"]
    assert "idleReplicaCount" not in scaled["spec"]
    assert scaled["spec"]["minReplicaCount"] >= 2
    assert scaled["spec"]["fallback"]["replicas"] >= scaled["spec"]["minReplicaCount"]


def test_prometheus_finds_the_metrics_under_the_name_that_the_rules_know(operator: list[Manifest]) -> None:
    (monitor,) = of_kind(operator, "ServiceMonitor").values()
    labels = {name: one["metadata"]["labels"] for name, one in of_kind(operator, "Service").items()}
    found = [name for name in labels if selects(monitor["spec"]["selector"], labels[name])]
    assert found == ["wecom-welcome-internal"]
    scraped = yaml.safe_load((DEPLOY / "prometheus/prometheus.yaml").read_text("utf-8"))["scrape_configs"]
    assert labels[found[0]][monitor["spec"]["jobLabel"]] in [one["job_name"] for one in scraped]
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in [port["name"] for port in of_kind(operator, "Service")[found[0]]["spec"]["ports"]]


def test_the_operators_rules_are_the_rules() -> None:
    assert RULES.read_text("utf-8") == prometheus_rule(), "make rules"


# ------------------------------------------------------------------------------------------------ validators


@pytest.fixture(scope="module")
def written(keda: list[Manifest], operator: list[Manifest], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("manifests")
    for name, manifests in (("keda", keda), ("operator", operator)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump_all(manifests), "utf-8")
    return [*folder.iterdir(), *EXAMPLES]


def test_each_manifest_is_valid_to_the_letter(require_tool: Callable[[str], str], written: list[Path]) -> None:
    run = subprocess.run(
        [require_tool("kubernetes-validate"), "--strict", *written], capture_output=True, text=True, check=False
    )
    said = (run.stdout + run.stderr).splitlines()
    assert run.returncode == 0, said
    unknown = [line.partition("for kind ")[2].split()[0] for line in said if "INFO" not in line]
    assert sorted(unknown) == sorted(json.loads(SCHEMA.read_text("utf-8"))["$defs"])  # the next test's


def test_each_custom_resource_is_valid(
    keda: list[Manifest], operator: list[Manifest], require_tool: Callable[[str], str], tmp_path: Path
) -> None:
    schema = json.loads(SCHEMA.read_text("utf-8"))
    files = []
    for kind in schema["$defs"]:
        (resource,) = of_kind(keda + operator, kind).values()
        files.append(tmp_path / f"{kind}.json")
        files[-1].write_text(json.dumps(resource), "utf-8")
        misspelt = resource | {"spec": resource["spec"] | {"trigger": []}}
        assert not Draft202012Validator(schema).is_valid(misspelt)
    command = [require_tool("check-jsonschema"), "--schemafile", SCHEMA, *files]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
