"""Alerts, scrape targets and the dashboard: the metrics they name exist, and every alert has its page."""

import inspect
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry
from ratchet.observability import metrics
from ratchet.settings import Settings

PROJECT = Path(__file__).parent.parent.parent
PROMETHEUS = PROJECT / "deploy" / "prometheus"
GRAFANA = PROJECT / "deploy" / "grafana"
ALERTS: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]
DASHBOARD: dict[str, Any] = json.loads((GRAFANA / "dashboards" / "overview.json").read_text())
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
# Metrics of others: Prometheus itself, the process's own figures, and RabbitMQ's exporter.
FOREIGN = re.compile(
    r"up|ALERTS|process_\w+|rabbitmq_(detailed_queue_messages(_ready|_unacked)?|detailed_queue_consumers)|rabbitmq_alarms_\w+"
)
WORD = re.compile(r"[a-zA-Z_:][\w:]*")
LANGUAGE = {
    *("sum", "max", "min", "count", "rate", "increase", "time", "vector", "histogram_quantile"),
    *("min_over_time", "max_over_time"),
    *("by", "or", "and", "unless"),
}


def our_metrics() -> set[str]:
    """Every series name that the four services can show."""
    names: set[str] = set()
    for _, kind in inspect.getmembers(metrics, inspect.isclass):
        if kind.__module__ == metrics.__name__:
            registry = CollectorRegistry()
            kind(registry)
            for family in registry.collect():
                suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
                names |= {f"{family.name}{suffix}" for suffix in suffixes}
    return names


def metrics_in(expression: str) -> set[str]:
    """The series that a PromQL expression reads."""
    text = re.sub(r'"[^"]*"', "", expression)
    text = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", text)
    text = re.sub(r"\b(by|without|on|ignoring)\s*\([^)]*\)", "", text)
    return set(WORD.findall(text)) - LANGUAGE


def expressions() -> Iterator[tuple[str, str]]:
    for rule in ALERTS:
        yield rule["alert"], rule["expr"]
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def test_every_metric_that_is_asked_for_exists() -> None:
    known = our_metrics()
    for place, expression in expressions():
        unknown = {name for name in metrics_in(expression) if name not in known and not FOREIGN.fullmatch(name)}
        assert not unknown, f"{place} asks for {unknown}"


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: str(rule["alert"]))
def test_every_alert_says_what_it_means_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    notes = rule["annotations"]
    assert notes["summary"]
    assert notes["description"]
    page, _, section = notes["runbook_url"].partition("#")
    assert section == rule["alert"].lower()
    assert f"\n## {rule['alert']}\n" in (PROJECT / page).read_text()


def test_the_runbook_has_no_section_for_an_alert_that_is_gone() -> None:
    sections = re.findall(r"^## (\w+)$", (PROJECT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    assert sections == [rule["alert"] for rule in ALERTS]


def test_each_section_of_the_runbook_leads_from_the_symptom_to_the_action() -> None:
    for section in (PROJECT / "docs" / "runbook.md").read_text().split("\n## ")[1:]:
        marks = [section.find(mark) for mark in ("**Symptom.**", "**Ask.**", "**Do.**")]
        assert -1 not in marks, section.splitlines()[0]
        assert marks == sorted(marks)


def test_prometheus_scrapes_each_service_on_its_port() -> None:
    configuration = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    jobs = {job["job_name"]: job for job in configuration["scrape_configs"]}
    for name, setting in {
        "executor": "executor_port",
        "recovery": "recovery_port",
        "notifier": "notifier_port",
        "admin-api": "api_port",
    }.items():
        [discovery] = jobs[name]["dns_sd_configs"]
        assert discovery["names"] == [name]
        assert discovery["port"] == Settings.model_fields[setting].default


def test_the_dashboard_reads_from_the_provisioned_data_source() -> None:
    [source] = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    assert {panel["datasource"]["uid"] for panel in PANELS} == {source["uid"]}
    assert {target["datasource"]["uid"] for panel in PANELS for target in panel["targets"]} == {source["uid"]}


def test_panels_have_their_own_ids_and_do_not_lie_on_each_other() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_promtool_agrees_where_it_is_installed() -> None:
    promtool = shutil.which("promtool")
    for arguments in (["check", "config", "prometheus.yml"], ["test", "rules", "alerts_test.yml"]):
        if promtool is not None:
            result = subprocess.run([promtool, *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
            assert result.returncode == 0, result.stdout + result.stderr


def test_the_rule_tests_name_alerts_that_exist() -> None:
    text = (PROMETHEUS / "alerts_test.yml").read_text()
    named = set(re.findall(r'alertname="(\w+)"', text)) | set(re.findall(r"alertname: (\w+)", text))
    assert named <= {rule["alert"] for rule in ALERTS}
