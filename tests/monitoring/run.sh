#!/bin/sh
# Proves that what is in deploy/monitoring works: the rules are accepted, each alert fires and
# is silent as its cases say, and every query of dashboard and alerts returns data.
#
# For the last, a daemon is under load: a private PostgreSQL, a simulated Qlik Cloud that
# loses, spoils and refuses answers, and a Prometheus that scrapes every second; all on this
# machine, and gone when this ends. Needs cargo, python3, PostgreSQL's programs (make
# install-postgres) and Prometheus (scripts/install-prometheus).
. "$(dirname "$0")/../stage.sh"

rules=$repository/deploy/monitoring
bin=$("$repository/scripts/install-prometheus")
PATH="$bin:$PATH"
promtool check rules "$rules/alerts.yaml"
(cd "$rules" && promtool test rules alerts_test.yaml alerts_slow_test.yaml)

build
database monitoring
simulated --faults --suffix us.qlikcloud.com
# As in the demo: it differs from production in waiting less.
configured <<TOML
worker.lease = "10s"
worker.poll = "250ms"
retry.base = "500ms"
retry.cap = "2s"
qlik.request_timeout = "2s"
qlik.settle = "2s"
objective.ready_within = "5s"
TOML
start daemon "$tenantd" run --config "$work/tenantd.toml"
pages=$(said daemon 'http://')

cat >"$work/prometheus.yml" <<YAML
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: ["$rules/alerts.yaml"]
scrape_configs:
  - job_name: tenantd
    static_configs: [{targets: ["$pages"]}]
YAML
promtool check config "$work/prometheus.yml" >/dev/null
start prometheus prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/tsdb" \
    --web.listen-address=127.0.0.1:0 --log.format=logfmt
api=$(said prometheus 'msg="Listening on" address=')

python3 "$here/queries.py" "http://$api" "$rules" "$PSQL" "$TENANTD_DATABASE__URL"
