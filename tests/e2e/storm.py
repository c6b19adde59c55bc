#!/usr/bin/env python3
"""storm.py --port PORT --data DIR --namespace NS [--count N] [--threads N] [--kill-at N...] - creates ConfigMaps from many
threads, kills the server with SIGKILL when so many were acknowledged (its supervisor starts it again), goes on, and checks:

- every acknowledged ConfigMap is there, with the uid that was acknowledged and its data whole;
- nothing is there that nobody asked for;
- a watch that resumes after each break saw every one of them exactly once, in the order of revisions.

Python's standard library only. Prints a line; exits with status 1 and the reasons when something is wrong."""

import argparse
import hashlib
import http.client
import json
import os
import signal
import ssl
import sys
import threading
import time

DEADLINE = time.monotonic() + 120


def payload(name):
    return hashlib.sha256(name.encode()).hexdigest() * 16


def server_pid(data):
    """The server is a child of the process that the lock names."""
    with open(f"{data}/up.lock", encoding="ascii") as file:
        up = int(file.read())
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                parent = int(file.read().rsplit(")", 1)[1].split()[1])
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if parent == up and b"server" in words[1:2]:
            return int(entry)
    return 0


class Storm:
    def __init__(self, options):
        self.options = options
        self.tls = ssl.create_default_context(cafile=f"{options.data}/pki/ca.crt")
        self.tls.load_cert_chain(f"{options.data}/pki/admin.crt", f"{options.data}/pki/admin.key")
        self.path = f"/api/v1/namespaces/{options.namespace}/configmaps"
        self.lock = threading.Lock()
        self.next, self.acknowledged, self.unknown, self.refused = 0, {}, set(), []
        self.kills = sorted(options.kill_at)
        self.killed, self.watched, self.resumed = 0, [], 0
        self.watch_end = threading.Event()

    def connect(self, timeout=20):
        return http.client.HTTPSConnection("127.0.0.1", self.options.port, context=self.tls, timeout=timeout)

    def note(self, name, uid):
        """One more was acknowledged; is it time for the blow?"""
        with self.lock:
            self.acknowledged[name] = uid
            if not self.kills or len(self.acknowledged) < self.kills[0]:
                return
            pid = server_pid(self.options.data)
            if pid:
                self.kills.pop(0)
                self.killed += 1
                os.kill(pid, signal.SIGKILL)

    def worker(self):
        connection = self.connect()
        while time.monotonic() < DEADLINE:
            with self.lock:
                if len(self.acknowledged) >= self.options.count:
                    return
                name = f"c-{self.next}"
                self.next += 1
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"p": payload(name)}}
            try:
                connection.request("POST", self.path, json.dumps(body), {"Content-Type": "application/json"})
                response = connection.getresponse()
                answer = response.read()
            except (OSError, http.client.HTTPException):
                with self.lock:
                    self.unknown.add(name)
                connection.close()
                time.sleep(0.02)
                continue
            if response.status == 201:
                self.note(name, json.loads(answer)["metadata"]["uid"])
            else:
                with self.lock:
                    self.unknown.add(name)
                    self.refused.append(f"{response.status} {answer[:200]}")

    def watcher(self, version):
        while not self.watch_end.is_set() and time.monotonic() < DEADLINE:
            connection = self.connect(timeout=2)
            try:
                connection.request("GET", f"{self.path}?watch=true&resourceVersion={version}")
                for line in connection.getresponse():
                    event = json.loads(line)
                    meta = event["object"].get("metadata", {})
                    self.watched.append((event["type"], meta.get("name"), int(meta.get("resourceVersion") or 0)))
                    version = meta.get("resourceVersion", version)
            except (OSError, http.client.HTTPException, ValueError):
                time.sleep(0.02)
            connection.close()
            self.resumed += 1

    def list(self):
        while True:
            try:
                connection = self.connect()
                connection.request("GET", self.path)
                return json.loads(connection.getresponse().read())
            except (OSError, http.client.HTTPException):
                if time.monotonic() > DEADLINE:
                    raise
                time.sleep(0.1)

    def run(self):
        watcher = threading.Thread(target=self.watcher, args=(self.list()["metadata"]["resourceVersion"],))
        workers = [threading.Thread(target=self.worker) for _ in range(self.options.threads)]
        for thread in [watcher] + workers:
            thread.start()
        for thread in workers:
            thread.join()
        items = {item["metadata"]["name"]: item for item in self.list()["items"] if item["metadata"]["name"].startswith("c-")}
        while time.monotonic() < DEADLINE and len(self.seen()) < len(items):
            time.sleep(0.1)
        self.watch_end.set()
        watcher.join()
        return self.judge(items)

    def seen(self):
        return [name for kind, name, _ in list(self.watched) if kind == "ADDED" and name.startswith("c-")]

    def judge(self, items):
        bad = []
        if len(self.acknowledged) < self.options.count:
            bad.append(f"only {len(self.acknowledged)} were acknowledged in time; last refusals: {self.refused[-3:]}")
        if self.killed != len(self.options.kill_at):
            bad.append(f"the server was killed {self.killed} times")
        for name, uid in self.acknowledged.items():
            if name not in items:
                bad.append(f"{name} was acknowledged and is lost")
            elif items[name]["metadata"]["uid"] != uid:
                bad.append(f"{name} has another uid than was acknowledged")
        for name, item in items.items():
            if name not in self.acknowledged and name not in self.unknown:
                bad.append(f"{name} is there, but nobody made it")
            if item.get("data") != {"p": payload(name)}:
                bad.append(f"{name} is not whole: {item.get('data')}")
        names = self.seen()
        if sorted(names) != sorted(items):
            bad.append(f"the watch saw {len(names)} ({len(set(names))} different) of {len(items)}")
        versions = [version for _, _, version in self.watched]
        if versions != sorted(versions):
            bad.append("the watch saw revisions out of order")
        print(f"{len(self.acknowledged)} acknowledged, {len(self.unknown)} unknown ({len(self.refused)} refused), "
              f"{len(items)} there, {self.killed} kills, watch resumed {self.resumed} times")
        return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--kill-at", type=int, nargs="*", default=[])
    bad = Storm(parser.parse_args()).run()
    for line in bad[:20]:
        print(f"WRONG: {line}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
