"""A real Prometheus with the product's rules, which looks twice a second."""

from pathlib import Path
from typing import Any

import requests
import yaml

from tests.support.documents import ROOT
from tests.support.processes import Process, free_port

FOLDER = ROOT / "deploy/prometheus"


class Prometheus(Process):
    """Scrapes one instance, at `port`. `command`: the program's path. It tells nobody."""

    def __init__(self, command: str, port: int, folder: Path) -> None:
        configured = yaml.safe_load((FOLDER / "prometheus.yaml").read_text("utf-8"))
        (job,) = configured["scrape_configs"]
        target = {"job_name": job["job_name"], "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
        often = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
        rules = [str(FOLDER / name) for name in configured["rule_files"]]
        written = folder / "prometheus.yaml"
        written.write_text(yaml.safe_dump({"global": often, "rule_files": rules, "scrape_configs": [target]}))
        own = free_port()
        self._url = f"http://127.0.0.1:{own}/api/v1"
        options = (f"config.file={written}", f"storage.tsdb.path={folder}/data", f"web.listen-address=127.0.0.1:{own}")
        super().__init__("prometheus", [command, *(f"--{option}" for option in options)], {}, folder)

    def __enter__(self) -> "Prometheus":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def scrapes(self, query: str) -> int:
        """How many samples of the last minute it has of a metric; 0 too while it starts."""
        found = self._ask("query", query=f"count_over_time({query}[1m])").get("result", ())
        return sum(int(one["value"][1]) for one in found)

    def alerts(self, name: str) -> list[dict[str, str]]:
        """The labels of the alerts of this name that fire."""
        found = [one for one in self._ask("alerts").get("alerts", ()) if one["state"] == "firing"]
        return [one["labels"] for one in found if one["labels"]["alertname"] == name]

    def _ask(self, what: str, **query: str) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = requests.get(f"{self._url}/{what}", params=query, timeout=5).json()["data"]
        except requests.RequestException:  # it starts, or is not ready: then it answers with a line of text
            return {}
        return answer
