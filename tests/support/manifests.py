"""The Kubernetes manifests as kustomize makes them; and `make rules`, which writes the alerts as a PrometheusRule."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.support.documents import DEPLOY

KUBERNETES = DEPLOY / "kubernetes"
RULES = KUBERNETES / "overlays/prometheus-operator/prometheusrule.yaml"
HEAD = """\
# deploy/prometheus/rules.yaml as the Prometheus Operator wants it. Written by `make rules`.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: wecom-welcome
spec:
"""

Manifest = dict[str, Any]


def prometheus_rule() -> str:
    """The file with the rules as they are now: their own lines, indented."""
    lines = (DEPLOY / "prometheus/rules.yaml").read_text("utf-8").splitlines()
    return HEAD + "".join(f"  {line}\n" if line else "\n" for line in lines[lines.index("groups:") :])


def kustomize(kubectl: str, folder: Path) -> list[Manifest]:
    """What `kubectl apply -k` would apply. It says nothing beside it, or this raises AssertionError."""
    run = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, ""), run.stderr
    return list(yaml.safe_load_all(run.stdout))


if __name__ == "__main__":
    RULES.write_text(prometheus_rule(), "utf-8")
