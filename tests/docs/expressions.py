"""The expressions of the dashboard and of the alerts, and which metrics and labels they use."""
import json
import re
from pathlib import Path
from typing import Iterator, NamedTuple

TOP = Path(__file__).resolve().parents[2]
DASHBOARD = TOP / "docs/grafana/tidegate.json"
RULES = TOP / "docs/prometheus/tidegate.rules.yml"
RULES_TEST = TOP / "docs/prometheus/tidegate.rules.test.yml"

# Prometheus gives these to whatever it scrapes.
OF_PROMETHEUS = {"job", "instance"}
# A histogram has these beside its name.
_SUFFIXES = ("_bucket", "_sum", "_count")


class Use(NamedTuple):
    place: str
    expression: str


def of_dashboard() -> Iterator[Use]:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield Use(f"panel \"{panel['title']}\"", target["expr"])
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield Use(f"variable {variable['name']}", variable["query"]["query"])


def alerts() -> list:
    return re.findall(r"^ +- alert: (\w+)$", RULES.read_text(encoding="utf-8"), re.M)


def of_rules() -> Iterator[Use]:
    """Without a library for YAML, which the machine may not have: the file is written in one form."""
    text = RULES.read_text(encoding="utf-8")
    for rule in re.split(r"^ +- alert: ", text, flags=re.M)[1:]:
        name = rule.split("\n", 1)[0]
        expression = re.search(r"^ +expr: (?:>-\n)?(.*?)^ +(?:for|labels):", rule, re.S | re.M)
        yield Use(f"alert {name}", " ".join(expression.group(1).split()))


def metrics(expression: str) -> set:
    return set(re.findall(r"\btidegate_\w+", expression))


def labels(expression: str) -> Iterator[tuple]:
    """(metric, label) of each selector."""
    for metric, selector in re.findall(r"\b(tidegate_\w+)\{([^}]*)\}", expression):
        for label in re.findall(r"(\w+) *(?:=|!=|=~|!~) *\"", selector):
            yield metric, label


def base(metric: str, known) -> str:
    for suffix in _SUFFIXES:
        if metric.endswith(suffix) and metric not in known:
            return metric[:-len(suffix)]
    return metric
