"""Leads web apps of both libraries through rotations, outages of the database and removals, and judges what they saw.

The rule: users sign in all the time. A sign-in that failed counts, unless its tenant was to be removed when it began
and the app said so: of all others the secret that was the tenant's at that moment would have worked.

The settings come as JSON in the environment's CONDUCT. Ends with exit code 1, and the failures, where there were any.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psycopg

SETTINGS = json.loads(os.environ["CONDUCT"])
WORK = Path(SETTINGS["work"])
POLL = 0.5
PATIENCE = 60.0
DATABASE = {"host": SETTINGS["host"], "user": "webapp", "dbname": SETTINGS["dbname"]}
OWNER = f"host={SETTINGS['host']} user=postgres dbname={SETTINGS['dbname']}"


class Failed(Exception):
    """Something did not become true."""


def until(what, holds):
    """Waits for it, and says for how long it took."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > PATIENCE:
            raise Failed(f"never: {what}")
        time.sleep(0.05)
    return time.monotonic() - began


def say(text):
    print(f"{time.monotonic() - BEGAN:6.1f} s  {text}", flush=True)


class App:
    """One running web app."""

    def __init__(self, name, tenants, *, listen=True, poll=POLL, acknowledge_after=3 * POLL, database=None):
        self.name = name
        self.stop_file = WORK / f"{name}.stop"
        self.found_file = WORK / f"{name}.json"
        load = {
            "database": database or DATABASE,
            "keyring_file": SETTINGS["keyring_file"],
            "connect_to": SETTINGS["connect_to"],
            "ca_file": SETTINGS["ca_file"],
            "tenants": tenants,
            "listen": listen,
            "poll": poll,
            "acknowledge_after": acknowledge_after,
            "workers": 8,
            "per_second": SETTINGS["per_second"],
            "stop_file": str(self.stop_file),
            "found_file": str(self.found_file),
        }
        language = name.split("-")[0]
        self.log = (WORK / f"{name}.log").open("w")
        self.process = subprocess.Popen(
            SETTINGS["apps"][language], env={**os.environ, "LOAD": json.dumps(load)}, stdout=self.log, stderr=self.log
        )

    def found(self):
        if self.process.poll() is not None and not self.stop_file.exists():
            raise Failed(f"{self.name} ended by itself")
        return json.loads(self.found_file.read_text()) if self.found_file.exists() else {"signed_in": 0, "last": {}, "events": {}}

    def told(self, event):
        return self.found()["events"].get(event, 0)

    def end(self):
        """Stops it, and gives what it saw."""
        self.stop_file.touch()
        if self.process.wait(30) != 0:
            raise Failed(f"{self.name} ended with {self.process.returncode}")
        return self.found()


def sql(statement, *values):
    with psycopg.connect(OWNER, autocommit=True) as connection:
        cursor = connection.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def count(statement):
    return sql(statement)[0][0]


def postgres(act):
    subprocess.run([SETTINGS["postgres"], act], check=True, stdin=subprocess.DEVNULL)


def versions():
    return dict(sql("SELECT external_id, version FROM tenantd.credentials WHERE stage = 'current'"))


def ask_for_another_version():
    """Gives the versions before."""
    before = versions()
    sql("UPDATE tenantd.tenants SET desired_version = desired_version + 1")
    return before


def rotated(apps, before):
    """Until every tenant has another version, which all apps use, and the version before is gone."""
    took = until("every tenant has another version", lambda: all(versions()[one] > before[one] for one in before))
    previous = "SELECT count(*) FROM tenantd.credentials WHERE stage = 'previous'"
    ended = until("the previous versions end, as acknowledged", lambda: count(previous) == 0)
    say(f"rotated {len(before)} tenants in {took:.1f} s; previous versions were acknowledged away {ended:.1f} s later")
    go_on(apps, 25)


def go_on(apps, times):
    """Until each app has signed in so many more users."""
    begun = {app: app.found()["signed_in"] for app in apps}
    until("all apps sign in", lambda: all(app.found()["signed_in"] >= begun[app] + times for app in apps))


def outage(apps, act, meanwhile=None):
    begun = time.monotonic()
    back = {app: app.told("database_back") for app in apps}
    postgres(act)
    go_on(apps, SETTINGS["outage_sign_ins"])
    if meanwhile:
        meanwhile()
    until("all apps know", lambda: all(app.told("database_lost") > back[app] for app in apps))
    lasted = time.monotonic() - begun
    postgres("start")
    took = until("all apps are back", lambda: all(app.told("database_back") > back[app] for app in apps))
    say(f"without database for {lasted:.1f} s ({act}), and back at it {took:.1f} s after its start")


def remove(apps, removed):
    at = time.time()
    sql("UPDATE tenantd.tenants SET desired_state = 'absent' WHERE external_id = ANY(%s)", removed)

    def all_know():
        return all(app.found()["last"].get(one, {}).get("kind") == "Removed" for app in apps for one in removed)

    took = until("all apps know of the removal", all_know)
    say(f"a removal is known everywhere {took:.1f} s after it was asked for")
    return at


def judge(name, found, removed, removed_at):
    """What failed and could have worked."""
    wrong = [
        failure
        for failure in found["failures"]
        if not (failure["external_id"] in removed and failure["kind"] == "Removed" and failure["began"] >= removed_at)
    ]
    late = [one for one in removed if removed_at < float("inf") and found["last"][one]["kind"] != "Removed"]
    say(f"{name}: {found['signed_in']} sign-ins, {len(wrong)} failed that could have worked; events {found['events']}")
    for failure in wrong[:10]:
        print("   ", failure)
    if wrong or late or found["unhandled"]:
        raise Failed(f"{name}: {len(wrong)} failed, {late} removed and served, {found['unhandled']} unhandled")
    return found["signed_in"]


def main():
    tenants = json.loads(Path(SETTINGS["tenants_file"]).read_text())
    removed = [tenant["external_id"] for tenant in tenants[:2]]
    ready = "SELECT count(*) FROM tenantd.status WHERE ready"
    until("all tenants are ready", lambda: count(ready) == len(tenants))
    apps = [App(name, tenants) for name in ("node", "python")]
    if SETTINGS["pooled_host"]:
        # LISTEN is lost in a pooler in transaction mode: polling alone has to do.
        apps.append(App("python-pooled", tenants, database={**DATABASE, "host": SETTINGS["pooled_host"]}))
        apps.append(App("node-pooled", tenants, database={**DATABASE, "host": SETTINGS["pooled_host"]}))
    # These hear of nothing: they learn of a rotation when Qlik refuses the secret that the others have acknowledged away.
    deaf = [
        App(name, tenants, listen=False, poll=600.0, acknowledge_after=None) for name in ("node-deaf", "python-deaf")
    ]
    ever = "signed in at every tenant"
    until(ever, lambda: all(len(app.found()["last"]) == len(tenants) for app in apps + deaf))
    total = 0
    try:
        rotated(apps + deaf, ask_for_another_version())
        for app in deaf:
            # tenantd takes its time between the withdrawal of a secret and its end at Qlik.
            until("the deaf have switched", lambda: app.told("rotated") >= SETTINGS["deaf_switch"])
            total += judge(app.name, app.end(), removed, float("inf"))

        if SETTINGS["outages"]:
            sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tenantd-client'")
            say("every connection of the apps was ended, those that listen too")
            rotated(apps, ask_for_another_version())
        for act in SETTINGS["outages"]:
            outage(apps, act)
            rotated(apps, ask_for_another_version())
        before = ask_for_another_version()
        outage(apps, "crash")
        say("the database crashed during a rotation")
        rotated(apps, before)

        removed_at = remove(apps, removed)
        if SETTINGS["outages"]:
            outage(apps, "stop", lambda: say("what is removed stays so without the database"))
        for app in apps:
            total += judge(app.name, app.end(), removed, removed_at)
    except Failed:
        for app in apps + deaf:
            found = json.loads(app.found_file.read_text())
            say(f"{app.name}: {found['signed_in']} sign-ins; events {found['events']}; failures {found['failures'][:3]}")
        raise
    finally:
        for app in apps + deaf:
            app.stop_file.touch()
            if app.process.poll() is None:
                app.process.terminate()
    say(f"all: {total} sign-ins, 0 failed that could have worked")


BEGAN = time.monotonic()
try:
    main()
except (Failed, subprocess.CalledProcessError) as failure:
    sys.exit(f"clients: {failure}")
