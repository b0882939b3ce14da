"""Runs every query of the dashboard, and every selector of the alerts, against a Prometheus.

    queries.py PROMETHEUS-URL DIRECTORY-OF-THE-RULES PSQL DATABASE-URL

Keeps a fleet busy meanwhile, in the ways that the queries ask about. A query has passed when it
returned a number once: not an empty answer, and not NaN, which is what a share of nothing is.
Only the standard library is needed.
"""

import json
import math
import pathlib
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request

PATIENCE = 120
TENANTS = 30


def ask(url, path, **parameters):
    query = urllib.parse.urlencode(parameters)
    with urllib.request.urlopen(f"{url}/api/v1/{path}?{query}", timeout=10) as answer:
        body = json.load(answer)
    assert body["status"] == "success", body
    return body["data"]


def of_dashboard(directory):
    """What Grafana would ask, with its variables as it would fill them in."""
    filled = {"$job": ".+", "$__rate_interval": "20s"}
    dashboard = json.loads((directory / "dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            expr = target["expr"]
            for variable, value in filled.items():
                expr = expr.replace(variable, value)
            assert "$" not in expr, f"nobody fills in a variable of: {expr}"
            yield f"panel {panel['title']} ({target['legendFormat']})", expr


def of_alerts(url):
    """The selectors of each expression: a healthy fleet has them too, but for what they are compared with."""
    name = re.compile(r"(?<![\w:])(?:tenantd[_:][\w:]+|up)(?:\{[^}]*\})?")
    for group in ask(url, "rules")["groups"]:
        for rule in group["rules"]:
            assert rule["health"] != "err", rule
            for selector in sorted(set(name.findall(rule["query"]))):
                yield f"{rule['type']} rule {rule['name']}", selector


def has_data(url, expr):
    answer = ask(url, "query", query=expr)
    values = [answer["result"]] if answer["resultType"] == "scalar" else [row["value"] for row in answer["result"]]
    return any(math.isfinite(float(value)) for _, value in values)


class Fleet:
    """Tenants that come, rotate, go, and never become ready."""

    def __init__(self, psql, database):
        self.command = [psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", database]
        self.waves = 0

    def sql(self, statements):
        subprocess.run(self.command, input=statements, text=True, check=True, stdout=subprocess.DEVNULL)

    def wave(self):
        self.waves += 1
        wave = self.waves
        self.sql(f"""
            INSERT INTO tenantd.tenants (external_id, host)
            SELECT 'c-{wave}-' || n, 'c-{wave}-' || n || '.us.qlikcloud.com' FROM generate_series(1, {TENANTS}) AS n;
            -- Parked, and so misses the objective.
            INSERT INTO tenantd.tenants (external_id, host) VALUES ('typo-{wave}', 'typo-{wave}.us.qlikclod.com');
            UPDATE tenantd.tenants SET desired_version = desired_version + 1
             WHERE external_id IN (SELECT external_id FROM tenantd.status WHERE ready ORDER BY external_id LIMIT 5);
            UPDATE tenantd.tenants SET desired_state = 'absent'
             WHERE external_id IN (SELECT external_id FROM tenantd.status WHERE ready ORDER BY external_id DESC LIMIT 2);
        """)


def main(url, directory, psql, database):
    fleet = Fleet(psql, database)
    fleet.wave()
    queries = dict()
    # The rules are loaded before Prometheus listens; each is evaluated within a second.
    for where, expr in [*of_dashboard(pathlib.Path(directory)), *of_alerts(url)]:
        queries.setdefault(expr, where)
    assert len(queries) > 60, len(queries)
    waiting, began, next_wave = dict(queries), time.monotonic(), 0.0
    while waiting:
        elapsed = time.monotonic() - began
        if elapsed > PATIENCE:
            for expr, where in waiting.items():
                print(f"FAILED: {where} has no data in {PATIENCE} s: {expr}", file=sys.stderr)
            sys.exit(1)
        if elapsed >= next_wave:
            fleet.wave()
            next_wave = elapsed + 5
        for expr in [expr for expr in waiting if has_data(url, expr)]:
            del waiting[expr]
        time.sleep(0.5)
    broken = [rule["lastError"] for group in ask(url, "rules")["groups"] for rule in group["rules"] if rule["health"] != "ok"]
    assert not broken, broken
    print(f"monitoring: {len(queries)} queries of dashboard and alerts returned data within {elapsed:.0f} s")


main(*sys.argv[1:])
