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
from prometheus_client import CollectorRegistry, Metric
from ratchet.observability import metrics
from ratchet.settings import Settings

PROJECT = Path(__file__).parent.parent.parent
PROMETHEUS = PROJECT / "deploy" / "prometheus"
GRAFANA = PROJECT / "deploy" / "grafana"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
RECORDED: dict[str, str] = {rule["record"]: rule["expr"] for rule in RULES if "record" in rule}
DASHBOARD: dict[str, Any] = json.loads((GRAFANA / "dashboards" / "overview.json").read_text())
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
# Metrics of others: Prometheus itself, the process's own figures, and RabbitMQ's exporter.
FOREIGN = re.compile(
    r"up|ALERTS|process_\w+|rabbitmq_(detailed_queue_messages(_ready|_unacked)?|detailed_queue_consumers)|rabbitmq_alarms_\w+"
)
LONGEST_SCRAPE_INTERVAL = 60
"""Seconds. The alerts are meant to work up to there."""

WORD = re.compile(r"[a-zA-Z_:][\w:]*")
LANGUAGE = {
    *("sum", "max", "min", "count", "rate", "increase", "time", "vector", "histogram_quantile"),
    *("min_over_time", "max_over_time", "changes", "absent", "clamp_min"),
    *("by", "or", "and", "unless"),
}


def all_families() -> Iterator[Metric]:
    """Every metric that the four services can show."""
    for _, kind in inspect.getmembers(metrics, inspect.isclass):
        if kind.__module__ == metrics.__name__:
            registry = CollectorRegistry()
            kind(registry)
            yield from registry.collect()


def our_metrics() -> set[str]:
    """The names of their series."""
    names: set[str] = set()
    for family in all_families():
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
    for rule in RULES:
        yield rule.get("alert") or rule["record"], rule["expr"]
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def test_every_metric_that_is_asked_for_exists() -> None:
    known = our_metrics() | set(RECORDED)
    for place, expression in expressions():
        unknown = {name for name in metrics_in(expression) if name not in known and not FOREIGN.fullmatch(name)}
        assert not unknown, f"{place} asks for {unknown}"


def test_windows_of_counters_hold_four_scrapes_also_when_those_come_once_a_minute() -> None:
    configuration = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    assert _seconds(configuration["global"]["scrape_interval"]) <= LONGEST_SCRAPE_INTERVAL
    for place, expression in expressions():
        for window in re.findall(r"(?:rate|increase|changes)\([^\[]*\[([^\]]+)\]", expression):
            if window != "$__rate_interval":  # Grafana's own: four times the interval that the data source names
                assert _seconds(window) >= 4 * LONGEST_SCRAPE_INTERVAL, place


def test_the_data_source_names_the_scrape_interval() -> None:
    [source] = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    configuration = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    assert source["jsonData"]["timeInterval"] == configuration["global"]["scrape_interval"]


def test_no_alert_counts_with_increase_alone() -> None:
    """What a new process counts before its first scrape is in the recorded series only."""
    for rule in ALERTS:
        assert "increase(" not in rule["expr"], rule["alert"]
    for name, expression in RECORDED.items():
        assert "process_start_time_seconds" in expression, name
    used = " ".join(rule["expr"] for rule in ALERTS)
    assert all(name in used for name in RECORDED)


def test_a_recorded_series_counts_a_young_process_over_exactly_its_window() -> None:
    for name, expression in RECORDED.items():
        [window] = set(re.findall(r"increase\(\w+\[(\w+)\]\)", expression))
        [age] = set(re.findall(r"process_start_time_seconds > time\(\) - (\d+)", expression))
        assert _seconds(window) == int(age), name
        assert name.endswith(f":{window}")


def test_no_quantile_is_compared_with_more_than_it_can_be() -> None:
    bounds = {
        family.name: [float(sample.labels["le"]) for sample in family.samples if "le" in sample.labels]
        for family in all_families()
        if family.type == "histogram"
    }
    compared = 0
    for rule in ALERTS:
        for metric, threshold in re.findall(r"histogram_quantile\(.*?(\w+)_bucket.*?\) > ([\d.]+)", rule["expr"]):
            compared += 1
            assert sorted(bounds[metric])[-2] > float(threshold), rule["alert"]
    assert compared == 2


def _seconds(duration: str) -> int:
    return int(duration[:-1]) * {"s": 1, "m": 60, "h": 3600}[duration[-1]]


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
