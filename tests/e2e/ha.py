#!/usr/bin/env python3
"""ha.py --servers HOST:PORT,... --pki DIR --namespace NS --folder DIR [--threads N] - writes and watches on several
servers at once until DIR/stop is there, while others break things; then judges:

- every acknowledged ConfigMap is there, with the uid that was acknowledged; nothing is there that nobody asked for;
- counters, which are raised by one with the resourceVersion that was read, have every value once: no write was lost, none
  was made twice;
- a watch on each server, and one that moves on to the next server at every break, were told every change once, in order.

Files in DIR: a line "LABEL MONOTONIC-SECONDS" in marks says when something was broken: the report says how long it took
until a write that began after that was acknowledged. DIR/report has the figures. Standard library only."""

import argparse
import http.client
import json
import os
import ssl
import sys
import threading
import time

DEADLINE = time.monotonic() + 300


class Storm:
    def __init__(self, options):
        self.options = options
        self.servers = [tuple(server.rsplit(":", 1)) for server in options.servers.split(",")]
        self.tls = ssl.create_default_context(cafile=f"{options.pki}/ca.crt")
        self.tls.load_cert_chain(f"{options.pki}/admin.crt", f"{options.pki}/admin.key")
        self.path = f"/api/v1/namespaces/{options.namespace}/configmaps"
        self.lock = threading.Lock()
        self.acks = []  # (begun, ended)
        self.uids, self.asked, self.refused = {}, set(), {}
        self.counters = {}
        self.watched = {}
        self.breaks = {}
        self.bad = []
        self.last = threading.Event()  # watches may end

    def connect(self, server, timeout=4):
        host, port = self.servers[server % len(self.servers)]
        return http.client.HTTPSConnection(host, int(port), context=self.tls, timeout=timeout)

    def stopping(self):
        return os.path.exists(f"{self.options.folder}/stop") or time.monotonic() > DEADLINE

    def note_refusal(self, status, body):
        with self.lock:
            self.refused[status] = self.refused.get(status, 0) + 1
            if status not in (429, 500, 502, 503, 504, 507):
                self.bad.append(f"unexpected answer {status}: {body[:200]}")

    def ask(self, server, method, path, body=None):
        """(status, object); status 0: no answer, so nobody knows."""
        connection = self.connect(server)
        try:
            connection.request(method, path, body and json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = response.read()
            return response.status, json.loads(answer)
        except (OSError, http.client.HTTPException, ValueError):
            return 0, None
        finally:
            connection.close()

    def until_done(self, server, method, path, body, good):
        """Asks one server after the other until the answer is one of those. Returns (status, object, server, doubtful)."""
        doubtful = False
        while time.monotonic() < DEADLINE:
            begun = time.monotonic()
            status, answer = self.ask(server, method, path, body)
            if status in good:
                if method != "GET" and status < 300:
                    with self.lock:
                        self.acks.append((begun, time.monotonic()))
                return status, answer, server, doubtful
            doubtful = doubtful or status in (0, 500, 504)
            if status:
                self.note_refusal(status, str(answer))
            server += 1
            time.sleep(0.05)
        raise TimeoutError(f"{method} {path}: no answer in time")

    # -- writers --

    def creator(self, number):
        server, i = number, 0
        while not self.stopping():
            name = f"c-{number}-{i}"
            i += 1
            body = {"metadata": {"name": name}, "data": {"by": str(number)}}
            with self.lock:
                self.asked.add(name)
            status, answer, server, doubtful = self.until_done(server, "POST", self.path, body, (201, 409))
            if status == 201:
                with self.lock:
                    self.uids[name] = answer["metadata"]["uid"]
            elif not doubtful:
                self.bad.append(f"{name} was there before it was made")
            time.sleep(0.1)

    def counter(self, number):
        """Each value is written by one request that was answered, or whose effect was read afterwards."""
        server, name = number, f"n-{number}"
        path = f"{self.path}/{name}"
        _, state, server, _ = self.until_done(server, "POST", self.path, {"metadata": {"name": name}, "data": {"n": "0"}},
                                              (201, 409))
        if state["kind"] == "Status":
            _, state, server, _ = self.until_done(server, "GET", path, None, (200,))
        value = 0
        while not self.stopping():
            body = {"metadata": {"name": name, "resourceVersion": state["metadata"]["resourceVersion"]},
                    "data": {"n": str(value + 1)}}
            status, answer, server, doubtful = self.until_done(server, "PUT", path, body, (200, 409))
            if status == 200:
                state = answer
            else:
                _, state, server, _ = self.until_done(server, "GET", path, None, (200,))
                if not doubtful or int(state["data"]["n"]) != value + 1:
                    self.bad.append(f"{name} is {state['data']['n']}, and its only writer had {value} before")
            value = int(state["data"]["n"])
            self.counters[name] = value
            server += 1  # read and written by turns everywhere
            time.sleep(0.1)

    # -- watches --

    def watcher(self, label, server, roams, version):
        events = self.watched[label] = []
        self.breaks[label] = 0
        while not self.last.is_set() and time.monotonic() < DEADLINE:
            connection = self.connect(server, timeout=3)
            try:
                connection.request("GET", f"{self.path}?watch=true&allowWatchBookmarks=true&resourceVersion={version}")
                response = connection.getresponse()
                if response.status == 410:
                    self.bad.append(f"watch {label}: gone")
                    return
                for line in response:
                    event = json.loads(line)
                    meta = event["object"].get("metadata", {})
                    if event["type"] == "ERROR":
                        if event["object"].get("code") == 410:
                            self.bad.append(f"watch {label}: {event['object'].get('message')}")
                            return
                        break
                    version = meta["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        events.append((event["type"], meta["name"], int(version), event["object"].get("data", {}).get("n")))
            except (OSError, http.client.HTTPException, ValueError):
                time.sleep(0.05)
            connection.close()
            self.breaks[label] += 1
            server += 1 if roams else 0

    # -- the end --

    def run(self):
        _, listed, _, _ = self.until_done(0, "GET", self.path, None, (200,))
        version = listed["metadata"]["resourceVersion"]
        watchers = [(f"server {i + 1}", i, False) for i in range(len(self.servers))] + [("all servers by turns", 0, True)]
        threads = [threading.Thread(target=self.watcher, args=(*watcher, version)) for watcher in watchers]
        writers = [threading.Thread(target=self.creator, args=(i,)) for i in range(self.options.threads)]
        writers += [threading.Thread(target=self.counter, args=(i,)) for i in range(self.options.threads)]
        for thread in threads + writers:
            thread.start()
        for thread in writers:
            thread.join()
        _, listed, _, _ = self.until_done(0, "GET", self.path, None, (200,))
        items = {item["metadata"]["name"]: item for item in listed["items"] if item["metadata"]["name"][:2] in ("c-", "n-")}
        end = time.monotonic() + 20
        while time.monotonic() < end and any(len(events) < self.wanted(items) for events in self.watched.values()):
            time.sleep(0.1)
        self.last.set()
        for thread in threads:
            thread.join()
        self.judge(items)

    def wanted(self, items):
        return len(items) + sum(self.counters.values())

    def judge(self, items):
        for name, uid in self.uids.items():
            if name not in items:
                self.bad.append(f"{name} was acknowledged and is lost")
            elif items[name]["metadata"]["uid"] != uid:
                self.bad.append(f"{name} has another uid than was acknowledged")
        for name, item in items.items():
            if name.startswith("c-") and name not in self.asked:
                self.bad.append(f"{name} is there, but nobody made it")
            if name.startswith("n-") and int(item["data"]["n"]) != self.counters.get(name, 0):
                self.bad.append(f"{name} is {item['data']['n']}, and was {self.counters.get(name)} last")
        for label, events in self.watched.items():
            self.judge_watch(label, events, items)

    def judge_watch(self, label, events, items):
        versions = [version for _, _, version, _ in events]
        if versions != sorted(set(versions)):
            self.bad.append(f"watch {label}: a change twice, or out of order")
        added = [name for kind, name, _, _ in events if kind == "ADDED" and name in items]
        if sorted(added) != sorted(items):
            missing = sorted(set(items) - set(added))[:5]
            self.bad.append(f"watch {label}: {len(added)} creations of {len(items)}; missing {missing}")
        for name, last in self.counters.items():
            values = [int(n) for _, who, _, n in events if who == name]
            if values != list(range(last + 1)):
                gaps = [(a, b) for a, b in zip(values, values[1:]) if b != a + 1]
                self.bad.append(f"watch {label}: {name} has {len(values)} values up to {last}; breaks at {gaps[:5]}")

    def report(self):
        acks = sorted(self.acks)
        ends = sorted(end for _, end in acks)
        pause = max((b - a for a, b in zip(ends, ends[1:])), default=0)
        yield (f"{len(self.uids)} created, counters raised {sum(self.counters.values())} times, refused {self.refused}, "
               f"longest pause of writes {pause:.2f} s")
        yield f"watches resumed: {self.breaks}"
        try:
            with open(f"{self.options.folder}/marks", encoding="utf-8") as file:
                marks = [line.rsplit(" ", 1) for line in file.read().splitlines()]
        except OSError:
            marks = []
        for label, moment in marks:
            after = [end for begun, end in acks if begun > float(moment)]
            yield f"{label}: writes resumed after " + (f"{min(after) - float(moment):.2f} s" if after else "no time: never")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--servers", required=True)
    parser.add_argument("--pki", required=True)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--threads", type=int, default=3)
    storm = Storm(parser.parse_args())
    try:
        storm.run()
    except TimeoutError as error:
        storm.bad.append(str(error))
        storm.last.set()
    lines = list(storm.report()) + [f"WRONG: {line}" for line in storm.bad[:20]]
    with open(f"{storm.options.folder}/report", "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    sys.exit(1 if storm.bad else 0)


if __name__ == "__main__":
    main()
