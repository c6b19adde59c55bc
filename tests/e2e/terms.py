#!/usr/bin/env python3
"""terms.py - reads what `etcdctl watch --prefix /caravel -w json` has told from the beginning on (standard input), and checks that never
did two servers lead:

- the key of the leader is made, deleted, made again, and never overwritten;
- what scheduler and controllers wrote lies between making and deletion, and within each term comes from one server.

Prints how many terms and writes there were. Standard library only."""

import base64
import json
import sys

FENCED = (b"system:kube-scheduler", b"system:kube-controller-manager")
RUN, ACTOR = 1, 4  # fields of the transaction's record


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def fields(data):
    """Number and value of each field of a protobuf message."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 0:
            value, at = varint(data, at)
        elif tag & 7 == 1:
            value, at = data[at:at + 8], at + 8
        else:
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
        yield tag >> 3, value


def events(stream):
    decoder = json.JSONDecoder()
    text = stream.read().strip()
    at = 0
    while at < len(text):
        try:
            response, at = decoder.raw_decode(text, at)
        except ValueError:
            break  # cut short, with its writer
        while at < len(text) and text[at].isspace():
            at += 1
        yield from response.get("Events") or []


def main():
    bad, terms, writes = [], [], 0
    leading, owner, last = 0, None, 0  # the term that lasts, which run writes in it, when the one before ended
    for event in events(sys.stdin):
        kv = event["kv"]
        key, revision = base64.b64decode(kv["key"]), int(kv["mod_revision"])
        if key == b"/caravel/leader" and event.get("type"):
            leading, owner, last = 0, None, revision
        elif key == b"/caravel/leader":
            if leading:
                bad.append(f"revision {revision}: a leader while {leading} led")
            if int(kv["create_revision"]) != revision:
                bad.append(f"revision {revision}: the leader is overwritten")
            leading, owner = revision, None
            terms.append(revision)
        elif key == b"/caravel/txn" and not event.get("type"):
            record = dict(fields(base64.b64decode(kv["value"])))
            if record.get(ACTOR) not in FENCED:
                continue
            writes += 1
            if not leading:
                bad.append(f"revision {revision}: {record[ACTOR].decode()} writes, and since {last} nobody leads")
            elif owner not in (None, record[RUN]):
                bad.append(f"revision {revision}: {record[ACTOR].decode()} of another server writes in term {leading}")
            owner = owner or record[RUN]
    print(f"{len(terms)} terms, {writes} writes in them")
    for line in bad[:20]:
        print(f"WRONG: {line}")
    sys.exit(1 if bad or not writes else 0)


if __name__ == "__main__":
    main()
