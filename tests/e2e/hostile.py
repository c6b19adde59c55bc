#!/usr/bin/env python3
"""hostile.py --port PORT --pki DIR --pid PID GROUP... - bad input for a live `caravel server`, over sockets of our own.

Whatever is sent must be answered by a Status or by the end of the connection, in time; afterwards the server serves, has no
more descriptors and threads than before, and its memory has grown by no more than --growth MiB. Groups of cases: see GROUPS.
Python's standard library only. One line a group; exits with status 1 and the reasons when something is wrong."""

import argparse
import json
import os
import resource
import socket
import ssl
import struct
import sys
import threading
import time
import zlib

MIB = 1 << 20
CLOSED = 0  # the status of "closed without an answer"
NS = "/api/v1/namespaces/default"
MAPS = f"{NS}/configmaps"


class Failure(Exception):
    pass


class Server:
    """Where it listens, who we are, and what the kernel knows about the process."""

    def __init__(self, options):
        self.port, self.pid, self.options = options.port, options.pid, options
        self.tls = self.context("admin")
        self.tls2 = self.context("admin", ["h2"])

    def context(self, name=None, alpn=("http/1.1",)):
        tls = ssl.create_default_context(cafile=f"{self.options.pki}/ca.crt")
        if name:
            tls.load_cert_chain(f"{self.options.pki}/{name}.crt", f"{self.options.pki}/{name}.key")
        tls.set_alpn_protocols(list(alpn))
        return tls

    def plain(self, timeout=60):
        sock = socket.create_connection(("127.0.0.1", self.port), timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def connect(self, timeout=60, tls=None):
        return (tls or self.tls).wrap_socket(self.plain(timeout), server_hostname="localhost")

    def rss(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmRSS"))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def threads(self):
        return len(os.listdir(f"/proc/{self.pid}/task"))


# -- HTTP/1.1 by hand --


def head(method, path, fields=(), body=b"", host=True, length=True):
    lines = [f"{method} {path} HTTP/1.1"] + (["Host: localhost"] if host else [])
    lines += [f"{name}: {value}" for name, value in fields]
    if length and (body or method in ("POST", "PUT", "PATCH")):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def read_reply(sock, until=None):
    """(status, head, body) of one answer; CLOSED when the connection ends first."""
    data = b""
    try:
        while b"\r\n\r\n" not in data:
            piece = sock.recv(65536)
            if not piece:
                return CLOSED, b"", data
            data += piece
            if data.startswith(b"HTTP/1.1 100 ") and b"\r\n\r\n" in data:
                data = data.split(b"\r\n\r\n", 1)[1]
        top, rest = data.split(b"\r\n\r\n", 1)
        status, lower = int(top.split(b" ", 2)[1]), top.lower()
        want = None
        if b"content-length:" in lower:
            want = int(lower.split(b"content-length:")[1].split(b"\r\n")[0])
        while (want is None and not rest.endswith(b"0\r\n\r\n")) or (want is not None and len(rest) < want):
            piece = sock.recv(65536)
            if not piece:
                break
            rest += piece
            if until and until in rest:
                break
        return status, top, rest if want is None else rest[:want]
    except (ConnectionError, ssl.SSLError, BrokenPipeError):
        return CLOSED, b"", data


def send_all(sock, raw):
    """False when the server stops listening before the end, as it may."""
    try:
        sock.sendall(raw)
        return True
    except (ConnectionError, ssl.SSLError):
        return False


def talk(server, raw, timeout=60):
    with server.connect(timeout) as sock:
        send_all(sock, raw)
        return read_reply(sock)


def expect(name, reply, wanted):
    """The status is one of those, and whatever is an error comes with a Status."""
    status, _, body = reply
    if status not in wanted:
        raise Failure(f"{name}: wanted {sorted(wanted)}, got {status}: {body[:300]!r}")
    if status >= 400:
        try:
            kind = json.loads(body)["kind"]
        except (ValueError, KeyError, TypeError):
            kind = None
        if kind != "Status":
            raise Failure(f"{name}: {status} without a Status: {body[:300]!r}")


def request(server, name, method, path, wanted, body=b"", fields=(), content="application/json"):
    fields = list(fields) + ([("Content-Type", content)] if content else [])
    if isinstance(body, str):
        body = body.encode()
    expect(name, talk(server, head(method, path, fields, body)), wanted)


def config_map(name, extra=""):
    return f'{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}"{extra}}},"data":{{"a":"b"}}}}'


# -- groups --


def heads(server):
    get = "GET /version HTTP/1.1\r\nHost: a\r\n"
    cases = [
        ("header of 70 KiB", get + "X: " + "a" * 70000 + "\r\n\r\n", {431}),
        ("70 KiB of headers", get + "".join(f"X-{i}: {'b' * 1000}\r\n" for i in range(70)) + "\r\n", {431}),
        ("1000 headers", get + "a: b\r\n" * 1000 + "\r\n", {431}),
        ("request line of 70 KiB", "GET /" + "a" * 70000 + " HTTP/1.1\r\nHost: a\r\n\r\n", {414, 431}),
        ("path of 20 KiB", "GET /api/" + "a" * 20000 + " HTTP/1.1\r\nHost: a\r\n\r\n", {400, 404, 414}),
        ("query of 60 KiB", "GET /version?" + "a=b&" * 15000 + " HTTP/1.1\r\nHost: a\r\n\r\n", {200, 400, 414, 431}),
        ("no host", "GET /version HTTP/1.1\r\n\r\n", {400}),
        ("two hosts", get + "Host: b\r\n\r\n", {400}),
        ("no version", "GET /version\r\n\r\n", {400, 505, CLOSED}),
        ("HTTP/3.7", "GET /version HTTP/3.7\r\nHost: a\r\n\r\n", {400, 505}),
        ("unknown method", "BREW /version HTTP/1.1\r\nHost: a\r\n\r\n", {400, 405}),
        ("known but odd method", "PROPFIND /version HTTP/1.1\r\nHost: a\r\n\r\n", {400, 404, 405, 501}),
        ("NUL in the path", "GET /ver\0sion HTTP/1.1\r\nHost: a\r\n\r\n", {400}),
        ("NUL in a header", get + "X: a\0b\r\n\r\n", {400}),
        ("NUL in a name", get + "X\0: a\r\n\r\n", {400}),
        ("bare CR in a header", get + "X: a\rb\r\n\r\n", {400}),
        ("blank before the colon", get + "X : a\r\n\r\n", {400}),
        ("no colon", get + "X\r\n\r\n", {400}),
        ("bytes that are not UTF-8 in a header", get + "User-Agent: \xff\xfe\r\n\r\n", {200}),
        ("garbage", "\x01\x02\x03\x04" * 100 + "\r\n\r\n", {400, CLOSED}),
        ("empty lines for ever", "\r\n" * 100000, {400, 431, CLOSED}),
        ("expectation", get + "Expect: the-unexpected\r\n\r\n", {417}),
        ("Connection with 10000 tokens", get + "Connection: " + "x," * 10000 + "close\r\n\r\n", {200}),
        ("Accept of 60 KiB", get + "Accept: " + "a/b;q=0.1," * 6000 + "*/*\r\n\r\n", {200, 406}),
        ("q of nonsense", f"GET {MAPS} HTTP/1.1\r\nHost: a\r\nAccept: application/json;q=nan,*/*;q=1e999\r\n\r\n", {200, 406}),
        ("absolute target", "GET http://evil/version HTTP/1.1\r\nHost: a\r\n\r\n", {200}),
        ("CONNECT", "CONNECT evil:443 HTTP/1.1\r\nHost: a\r\n\r\n", {400, 404, 405, 501}),
    ]
    for name, raw, wanted in cases:
        expect(name, talk(server, raw.encode("latin-1")), wanted)


def smuggling(server):
    post = f"POST {MAPS} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    hidden = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"
    cases = [
        ("length and chunks", post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden, {400}),
        ("two lengths", post + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!" + hidden, {400}),
        ("the same length twice", post + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello" + hidden, {400}),
        ("list of lengths", post + "Content-Length: 5, 5\r\n\r\nhello" + hidden, {400}),
        ("negative length", post + "Content-Length: -1\r\n\r\n" + hidden, {400}),
        ("length with a sign", post + "Content-Length: +5\r\n\r\nhello" + hidden, {400}),
        ("hexadecimal length", post + "Content-Length: 0x5\r\n\r\nhello" + hidden, {400}),
        ("huge length", post + "Content-Length: 99999999999999999999999\r\n\r\n" + hidden, {400, 413}),
        ("no length", post + "Content-Length: \r\n\r\n" + hidden, {400}),
        ("folded header", post + "X: a\r\n b\r\nContent-Length: 0\r\n\r\n" + hidden, {400}),
        ("bare LF", f"POST {MAPS} HTTP/1.1\nHost: a\nContent-Length: 0\n\n" + hidden, {400}),
        ("one bare LF", post + "X: a\nContent-Length: 0\r\n\r\n" + hidden, {400}),
        ("blank before the first header", f"POST {MAPS} HTTP/1.1\r\n Host: a\r\n\r\n" + hidden, {400}),
        ("blank before Transfer-Encoding's colon", post + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + hidden, {400}),
        ("unknown coding", post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + hidden, {400, 501}),
        ("two codings", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + hidden, {400}),
        ("chunked twice", post + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + hidden, {400, 501}),
        ("gzip, chunked", post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + hidden, {400, 501}),
        ("vertical tab coding", post + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + hidden, {400, 501}),
        ("chunks in HTTP/1.0", f"POST {MAPS} HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden, {400}),
        ("chunk size of letters", post + "Transfer-Encoding: chunked\r\n\r\nzz\r\n" + hidden, {400}),
        ("negative chunk size", post + "Transfer-Encoding: chunked\r\n\r\n-1\r\n" + hidden, {400}),
        ("huge chunk size", post + "Transfer-Encoding: chunked\r\n\r\n" + "f" * 17 + "\r\n" + hidden, {400, 413}),
        ("chunk longer than it says", post + "Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n" + hidden, {400}),
        ("chunk ends in LF", post + "Transfer-Encoding: chunked\r\n\r\n1\na\n0\n\n" + hidden, {400}),
        ("extensions for ever", post + "Transfer-Encoding: chunked\r\n\r\n1;" + "x" * 300000, {400}),
        ("many extensions", post + "Transfer-Encoding: chunked\r\n\r\n" + ("1;" + "x" * 200 + "\r\na\r\n") * 2000, {400}),
        ("trailers for ever", post + "Transfer-Encoding: chunked\r\n\r\n0\r\n" + "a: b\r\n" * 50000, {400, 431}),
    ]
    for name, raw, wanted in cases:
        with server.connect() as sock:
            send_all(sock, raw.encode("latin-1"))
            reply = read_reply(sock)
            expect(name, reply, wanted)
            if b"hidden" in reply[2] or read_reply(sock)[0] != CLOSED:
                raise Failure(f"{name}: the second request was answered")
    # A length in HTTP/1.0 is no trick, and neither are requests one behind the other: each is answered, in order.
    many = b"".join(head("GET", f"{MAPS}/absent-{i}") for i in range(200))
    with server.connect() as sock:
        send_all(sock, many)
        data = b""
        while data.count(b"HTTP/1.1 404") < 200:
            piece = sock.recv(65536)
            if not piece:
                raise Failure("pipelined requests: closed early")
            data += piece
    places = [data.index(b"absent-%d\\\"" % i) for i in range(200)]
    if places != sorted(places):
        raise Failure("pipelined requests: answered out of order")


def deep(levels, opening, closing, middle=""):
    return opening * levels + middle + closing * levels


def bodies(server):
    big = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"big"},"data":{"a":"%s"}}' % ("x" * (3 * MIB + 1))
    request(server, "3 MiB and a bit", "POST", MAPS, {413}, big)
    with server.connect() as sock:
        send_all(sock, head("POST", MAPS, [("Transfer-Encoding", "chunked")], length=False))
        for _ in range(60):
            if not send_all(sock, b"10000\r\n" + b"x" * 65536 + b"\r\n"):
                break
        expect("chunks of 3 MiB and a bit", read_reply(sock), {413})
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join([pack.compress(b" " * MIB) for _ in range(256)] + [pack.flush()])
    request(server, "gzip bomb", "POST", MAPS, {415}, bomb, [("Content-Encoding", "gzip")])
    request(server, "deflate", "POST", MAPS, {415}, zlib.compress(b"{}"), [("Content-Encoding", "deflate")])
    request(server, "identity", "POST", MAPS, {201, 409}, config_map("identity"), [("Content-Encoding", "identity")])
    json_cases = [
        ("nothing", ""), ("blanks", " " * 1000), ("half an object", '{"kind":'), ("rubbish", "\x00\x01\x02"),
        ("deep arrays", deep(100000, "[", "]")), ("deep objects", deep(100000, '{"a":', "}", "1")),
        ("deep in data", '{"kind":"ConfigMap","apiVersion":"v1","data":%s}' % deep(1000, "[", "]")),
        ("unclosed", "[" * 1000000), ("a million values", "[" + "1," * 1000000 + "1]"),
        ("a million members", "{" + ",".join(f'"k{i}":1' for i in range(200000)) + "}"),
        ("huge number", '{"metadata":{"name":"n","generation":%s}}' % ("9" * 100000)),
        ("number with a huge exponent", '{"metadata":{"name":"n","generation":1e%s}}' % ("9" * 1000)),
        ("NaN", '{"metadata":{"name":NaN}}'), ("lone surrogate", '{"metadata":{"name":"\\ud800"}}'),
        ("escaped NUL in a name", config_map("a\\u0000b")), ("raw NUL in a name", config_map("a\0b")),
        ("wrong kinds", '{"metadata":[],"data":7}'), ("a scalar", "42"), ("null", "null"),
        ("a name of 1 MiB", config_map("x" * MIB)), ("trailing bytes", config_map("t") + "x"),
        ("two objects", config_map("t") * 2), ("byte order mark", "\ufeff" + config_map("bom")),
        ("managedFields of nonsense", config_map("m", ',"managedFields":[{"manager":"x","fieldsType":"FieldsV1",'
                                                 '"operation":"Update","fieldsV1":[1,2]},7]')),
        ("sets of fields with arrays in them", config_map("arrays", ',"managedFields":[{"manager":"x","operation":"Update",'
            '"apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:data":[1,2,3,4],"f:metadata":"x"}}]')),
        ("managedFields that nest", config_map("m", ',"managedFields":[{"manager":"x","operation":"Update","apiVersion":"v1",'
                                               '"fieldsType":"FieldsV1","fieldsV1":%s}]' % deep(300, '{"f:a":', "}", "{}"))),
    ]
    for name, body in json_cases:
        request(server, "JSON: " + name, "POST", MAPS, {201, 400, 409, 413, 422}, body)
    request(server, "JSON: not UTF-8", "POST", MAPS, {400}, config_map("u").encode().replace(b'"b"', b'"\xff\xfe"'))
    request(server, "JSON: overlong UTF-8", "POST", MAPS, {400}, config_map("u").encode().replace(b'"b"', b'"\xc0\x80"'))
    double = config_map("double").replace('"data"', '"data":{"z":"1"},"data"')
    request(server, "JSON: double keys", "POST", MAPS + "?fieldValidation=Strict", {400}, double)
    levels = "".join(f"a{i}: &a{i} [{','.join(['*a%d' % (i - 1)] * 10)}]\n" for i in range(1, 10))
    yaml_cases = [
        ("alias bomb", "a0: &a0 [lol]\n" + levels), ("deep flow", "[" * 100000), ("deep blocks", deep(2000, "- ", "")),
        ("recursion", "a: &a [*a]\n"), ("rubbish", "\x00\x01"), ("tabs", "\ta: b\n\t- c"), ("tag", "!!python/object:os.system x"),
        ("merge bomb", "a: &a {b: c}\n" + "".join(f"m{i}:\n  <<: [{','.join(['*a'] * 1000)}]\n" for i in range(300))),
        ("many documents", "---\n" * 100000), ("unclosed quote", 'a: "b'), ("anchors without end", "&a " * 100000),
    ]
    for name, body in yaml_cases:
        request(server, "YAML: " + name, "POST", MAPS, {400, 413, 422}, body, content="application/yaml")
    request(server, "YAML: not UTF-8", "POST", MAPS, {400, 422}, b"a: \xff\xfe\xc0", content="application/yaml")
    proto = "application/vnd.kubernetes.protobuf"
    proto_cases = [
        ("no magic", b"abc"), ("magic alone", b"k8s\0"), ("length beyond the end", b"k8s\0\x0a\xff\xff\xff\xff\x0f"),
        ("endless varint", b"k8s\0" + b"\xff" * 1000), ("groups", b"k8s\0" + b"\x0b" * 100000),
        ("wrong wire types", b"k8s\0" + bytes(range(256)) * 20), ("field 0", b"k8s\0\x02\x01a"),
        ("recursion", b"k8s\0\x12" + nested_proto(3000)), ("2 MiB of zeros", b"k8s\0" + bytes(2 * MIB)),
    ]
    for name, body in proto_cases:
        request(server, "protobuf: " + name, "POST", MAPS, {400, 413, 422}, body, content=proto)
    request(server, "unknown type", "POST", MAPS, {415}, "{}", content="text/x-evil")


def nested_proto(levels):
    data = b""
    for _ in range(levels):
        length, varint = len(data), b""
        while length > 127:
            varint += bytes([length & 127 | 128])
            length >>= 7
        data = b"\x0a" + varint + bytes([length]) + data
    length, varint = len(data), b""
    while length > 127:
        varint += bytes([length & 127 | 128])
        length >>= 7
    return varint + bytes([length]) + data


def patches(server):
    request(server, "the object", "POST", MAPS, {201, 409}, config_map("target"))
    path, bad = f"{MAPS}/target", {200, 400, 409, 413, 422}
    double = [{"op": "add", "path": "/data", "value": {"a": "x" * 1000}}]
    double += [{"op": "copy", "from": "/data", "path": f"/data/c{i}"} for i in range(60)]
    copies = [{"op": "add", "path": "/metadata/labels", "value": {"a": "b" * 60}}]
    copies += [{"op": "copy", "from": "/metadata", "path": f"/metadata/m{i}"} for i in range(9000)]
    cases = [
        ("copies that double", double), ("9000 copies", copies), ("no array", {}), ("a scalar", 7), ("null", None),
        ("20000 operations", [{"op": "test", "path": "", "value": 1}] * 20000),
        ("unknown operation", [{"op": "explode", "path": "/a"}]), ("no path", [{"op": "remove"}]),
        ("deep path", [{"op": "add", "path": "/a" * 100000, "value": 1}]),
        ("huge index", [{"op": "add", "path": "/metadata/finalizers/99999999999999999999", "value": "x"}]),
        ("bad escape", [{"op": "add", "path": "/a~2b", "value": 1}]),
        ("removes everything", [{"op": "replace", "path": "", "value": None}]),
        ("test of a large value", [{"op": "test", "path": "/data", "value": {"x": "y" * (2 * MIB)}}]),
        ("moves into itself", [{"op": "move", "from": "/data", "path": "/data/a/b"}]),
        ("deep value", [{"op": "add", "path": "/data/x", "value": json.loads(deep(400, "[", "]"))}] * 10),
    ]
    for name, patch in cases:
        request(server, "JSON patch: " + name, "PATCH", path, bad, json.dumps(patch), content="application/json-patch+json")
    merge = [
        ("a scalar", "7"), ("null", "null"), ("everything null", '{"metadata":null,"data":null,"kind":null}'),
        ("deep", deep(500, '{"a":', "}", "1")), ("too deep", deep(5000, '{"a":', "}", "1")),
        ("100000 keys", json.dumps({"data": {f"k{i}": "v" for i in range(100000)}})),
        ("100000 nulls", json.dumps({"data": {f"k{i}": None for i in range(100000)}})),
        ("wrong kinds", '{"data":[1,2,3]}'),
    ]
    for content in ("application/merge-patch+json", "application/strategic-merge-patch+json"):
        for name, patch in merge:
            request(server, f"{content}: {name}", "PATCH", path, bad, patch, content=content)
    directives = [
        ("unknown directive", '{"$patch":"explode"}'), ("directive of a wrong kind", '{"$patch":7}'),
        ("replace all", '{"$patch":"replace"}'), ("delete all", '{"$patch":"delete"}'),
        ("retainKeys of nonsense", '{"data":{"$retainKeys":7}}'), ("unknown retainKeys", '{"data":{"$retainKeys":["zz"]}}'),
        ("order of nothing", '{"$setElementOrder/finalizers":[1,{},[]]}'), ("deletion of nothing", '{"$deleteFromPrimitiveList/x":7}'),
        ("order of 100000", json.dumps({"metadata": {"$setElementOrder/finalizers": [f"a/{i}" for i in range(100000)]}})),
        ("nested directives", '{"metadata":' + deep(200, '{"$patch":"merge","labels":', "}", "{}") + "}"),
    ]
    for name, patch in directives:
        request(server, "strategic: " + name, "PATCH", path, bad, patch, content="application/strategic-merge-patch+json")
        request(server, "the object again", "POST", MAPS, {201, 409}, config_map("target"))
    apply = [("no manager", "", "{}"), ("rubbish", "?fieldManager=x", "{{{{"), ("a scalar", "?fieldManager=x", "7"),
             ("long manager", "?fieldManager=" + "x" * 5000, config_map("target")),
             ("manager of controls", "?fieldManager=%00%0a", config_map("target")),
             ("managedFields", "?fieldManager=x", config_map("target", ',"managedFields":[{}]')),
             ("alias bomb", "?fieldManager=x", "a: &a [1]\nb: &b [%s]\nc: &c [%s]\nd: &d [%s]\ne: [%s]\n" % tuple(
                 ",".join([name] * 100) for name in ("*a", "*b", "*c", "*d")))]
    for name, query, body in apply + [("over sets with arrays", "?fieldManager=y", config_map("arrays").replace('"b"', '"c"'))]:
        request(server, "apply: " + name, "PATCH", (f"{MAPS}/arrays" if "over" in name else path) + query, bad, body, content="application/apply-patch+yaml")


def paths(server):
    cases = [
        ("traversal", "/api/v1/../../etc/passwd", {400}), ("escaped traversal", "/api/v1/%2e%2e/%2e%2e/etc/passwd", {400}),
        ("escaped slash", "/api/v1/namespaces/default%2fpods", {400}), ("double escape", "/api/v1/%252e%252e", {400}),
        ("double slashes", "//api//v1///namespaces//default//configmaps//absent", {404}),
        ("bad escape", "/api/v1/%zz", {400}), ("cut escape", "/api/v1/%2", {400}), ("escaped NUL", "/api/v1/%00", {400}),
        ("escaped line break", "/api/v1/%0d%0aX:y", {400}), ("not UTF-8", "/api/v1/namespaces/%ff%fe/pods", {400}),
        ("300 parts", "/a" * 300, {400, 404}), ("name of 4000", f"{MAPS}/" + "x" * 4000, {404}),
        ("namespace of 4000", "/api/v1/namespaces/" + "x" * 4000 + "/pods", {200, 400, 404}),
        ("group of 4000", "/apis/" + "x" * 4000 + "/v1/pods", {404}), ("only slashes", "/" * 5000, {200, 404}),
        ("dots", "/apis/./v1", {400}), ("semicolons", "/api/v1;x=y/pods", {404}), ("backslashes", "/api\\v1\\pods", {404}),
        ("static files", "/static/../../../etc/passwd", {400}), ("openapi", "/openapi/v3/../../x", {400}),
        ("openapi of nothing", "/openapi/v3/apis/" + "x" * 3000, {404}),
        ("bad escape in the query", f"{MAPS}?a=%zz", {400}), ("NUL in the query", f"{MAPS}?labelSelector=%00", {400}),
        ("bytes in the query", f"{MAPS}?labelSelector=%ff%fe", {400}),
        ("label selector of nonsense", f"{MAPS}?labelSelector=%3D%3D%3D!!(((", {400}),
        ("label selector of 60 KiB", f"{MAPS}?labelSelector=a" + ",a" * 20000, {200, 400, 413, 431}),
        ("in with 10000 values", f"{MAPS}?labelSelector=a%20in%20(" + ",".join(["v"] * 20000) + ")", {200, 400}),
        ("open parenthesis", f"{MAPS}?labelSelector=a%20in%20(" + "(" * 1000, {400}),
        ("field selector of nonsense", f"{MAPS}?fieldSelector=a.b.c==d", {400}),
        ("field selector of 60 KiB", f"{MAPS}?fieldSelector=metadata.name=a" + ",metadata.name=a" * 3000, {200, 400}),
        ("negative limit", f"{MAPS}?limit=-5", {200, 400}), ("huge limit", f"{MAPS}?limit=99999999999999999999", {400}),
        ("limit of letters", f"{MAPS}?limit=abc", {400}), ("token of nonsense", f"{MAPS}?continue=abc", {400}),
        ("forged token", f"{MAPS}?continue=eyJydiI6OTk5OTk5OTk5OTk5OTksInN0YXJ0IjoiYSJ9", {400, 410, 504}),
        ("token of another key", f"{MAPS}?continue=eyJydiI6MSwic3RhcnQiOiIuLi8uLi8ifQ", {200, 400, 410}),
        ("long token", f"{MAPS}?continue=" + "A" * 30000, {400}),
        ("revision of nonsense", f"{MAPS}?resourceVersion=-1", {400}),
        ("revision of the future", f"{MAPS}?resourceVersion=18446744073709551615", {400, 504}),
        ("match of nonsense", f"{MAPS}?resourceVersionMatch=Sometimes&resourceVersion=1", {422}),
        ("watch for nonsense", f"{MAPS}?watch=1&timeoutSeconds=abc", {400}),
        ("watch from the future", f"{MAPS}?watch=1&timeoutSeconds=1&resourceVersion=18446744073709551615", {200}),
        ("watch of nonsense", f"{MAPS}?watch=1&resourceVersion=xyz", {400}),
        ("log of nothing", f"{NS}/pods/absent/log?tailLines=-5&sinceSeconds=abc&container=../..", {400, 404}),
        ("log with huge numbers", f"{NS}/pods/absent/log?tailLines=99999999999999999999", {400, 404}),
        ("exec of nothing", f"{NS}/pods/absent/exec?command=" + "x&command=" * 5000, {400, 404}),
        ("attach of nothing", f"{NS}/pods/absent/attach?stdin=maybe", {400, 404}),
        ("port-forward of nothing", f"{NS}/pods/absent/portforward?ports=-1,99999", {400, 404}),
        ("unknown subresource", f"{NS}/pods/absent/evil", {404}), ("table of nonsense", f"{MAPS}?includeObject=Everything", {200, 400}),
    ]
    for name, path, wanted in cases:
        expect(name, talk(server, head("GET", path)), wanted)
    with server.connect() as sock:
        send_all(sock, head("GET", f"{MAPS}?watch=1&timeoutSeconds=9223372036854775807&resourceVersion=0"))
        sock.settimeout(5)
        if b" 200 " not in sock.recv(100):
            raise Failure("watch with an absurd timeout: not begun")
    expect("dryRun of nonsense", talk(server, head("DELETE", f"{MAPS}/absent?dryRun=Some")), {400, 404})
    expect("grace of nonsense", talk(server, head("DELETE", f"{MAPS}/absent?gracePeriodSeconds=abc")), {400, 404})
    expect("deletion with rubbish", talk(server, head("DELETE", f"{MAPS}/absent", [], b"\x00rubbish")), {400, 404})


def crd(name, schema, extra=""):
    return json.dumps({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"{name}.evil.example"},
        "spec": {"group": "evil.example", "scope": "Namespaced", "names": {"plural": name, "singular": name, "kind": name.title()},
                 "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}]}})


def definitions(server):
    path, bad = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", {400, 413, 422}
    nested = {"type": "object"}
    for _ in range(150):
        nested = {"type": "object", "properties": {"a": nested}}
    wide = {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(30000)}}
    loop = {"type": "object", "properties": {"a": {"$ref": "#"}}}
    evil = {"type": "object", "properties": {"a": {"type": "string", "pattern": "(a+)+$"}}}
    cases = [
        ("deeps", nested, bad | {201}), ("wides", wide, bad | {201}), ("loops", loop, bad), ("scalars", 7, bad),
        ("patterns", {"type": "object", "properties": {"a": {"type": "string", "pattern": "(((("}}}, bad | {201}),
        ("kinds", {"type": ["object", 7]}, bad), ("enums", {"type": "object", "properties": {"a": {"type": "string", "enum": [{}] * 50000}}}, bad | {201}),
        ("anys", {"type": "object", "anyOf": [{"required": ["a"]}] * 20000}, bad | {201}), ("evils", evil, bad | {201}),
    ]
    for name, schema, wanted in cases:
        request(server, "definition: " + name, "POST", path, wanted, crd(name, schema))
    slow = {"apiVersion": "evil.example/v1", "kind": "Evils", "metadata": {"name": "slow"}, "a": "a" * 50000 + "!"}
    for _ in range(100):
        reply = talk(server, head("POST", "/apis/evil.example/v1/namespaces/default/evils", [("Content-Type", "application/json")],
                                  json.dumps(slow).encode()))
        if reply[0] != 404:
            break
        time.sleep(0.1)
    expect("a pattern that explodes", reply, {400, 404, 422})
    for name, _, _ in cases:
        talk(server, head("DELETE", f"{path}/{name}.evil.example"))


def upgrades(server):
    path = f"{NS}/pods/absent/exec?command=sh&stdout=1"
    websocket = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
    cases = [
        ("bad key", websocket + [("Sec-WebSocket-Key", "short")]), ("no key", websocket),
        ("many protocols", websocket + [("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Sec-WebSocket-Protocol", "x," * 20000)]),
        ("SPDY", [("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1"), ("X-Stream-Protocol-Version", "v99")]),
        ("unknown protocol", [("Connection", "Upgrade"), ("Upgrade", "evil/1")]), ("half a wish", [("Upgrade", "websocket")]),
        ("h2c", [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQAAP__")]),
    ]
    for name, fields in cases:
        for method in ("GET", "POST"):
            raw = head(method, path, fields) + b"\x80\x03\x00\x01\x00\xff\xff\xff" * 1000
            expect(f"upgrade: {name}", talk(server, raw), {400, 403, 404, 501})
        expect(f"upgrade of an object: {name}", talk(server, head("GET", "/version", fields + [("Connection", "close")])), {200, 400})


# -- HTTP/2 by hand --

DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
STATUS = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}


def literal(name, value, names=b"\0"):
    out = b""
    for text in (name, value):
        text = text if isinstance(text, bytes) else text.encode("latin-1")
        length, rest = len(text), b""
        if length < 127:
            out += bytes([length])
        else:
            length -= 127
            while length > 127:
                rest += bytes([length & 127 | 128])
                length >>= 7
            out += b"\x7f" + rest + bytes([length])
        out += text
    return names + out


def block(method="GET", path="/version", fields=()):
    pairs = [(":method", method), (":scheme", "https"), (":path", path), (":authority", "localhost")]
    return b"".join(literal(name, value) for name, value in pairs + list(fields))


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


class H2:
    def __init__(self, server, settings=((1, 0),), timeout=60):
        self.sock = server.connect(timeout, server.tls2)
        self.buffer, self.gone, self.statuses, self.ended, self.data = b"", None, {}, set(), {}
        self.resets = {}
        self.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self.send(frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in settings)))
        self.send(frame(WINDOW, 0, 0, struct.pack(">I", 1 << 30)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, raw):
        return send_all(self.sock, raw)

    def take(self):
        """One frame of the server's, or None at the end."""
        try:
            while len(self.buffer) < 9 or len(self.buffer) < 9 + int.from_bytes(self.buffer[:3], "big"):
                piece = self.sock.recv(65536)
                if not piece:
                    return None
                self.buffer += piece
        except (ConnectionError, ssl.SSLError):
            return None
        size = int.from_bytes(self.buffer[:3], "big")
        kind, flags, stream = self.buffer[3], self.buffer[4], int.from_bytes(self.buffer[5:9], "big")
        payload, self.buffer = self.buffer[9:9 + size], self.buffer[9 + size:]
        if kind == SETTINGS and not flags & 1:
            self.send(frame(SETTINGS, 1, 0))
        elif kind == HEADERS:
            self.statuses[stream] = status_of(payload)
        elif kind == DATA:
            self.data[stream] = self.data.get(stream, b"") + payload
        elif kind == RST:
            self.resets[stream] = int.from_bytes(payload, "big")
            self.ended.add(stream)
        elif kind == GOAWAY:
            self.gone = int.from_bytes(payload[4:8], "big")
        if kind in (HEADERS, DATA) and flags & 1:
            self.ended.add(stream)
        return kind

    def run(self, done):
        """Takes frames until done() or the end; true in the first case."""
        while not done():
            if self.take() is None:
                return False
        return True

    def ask(self, stream, raw=None):
        self.send(raw if raw is not None else frame(HEADERS, 5, stream, block()))
        self.run(lambda: stream in self.ended)
        return self.statuses.get(stream, CLOSED), b"", self.data.get(stream, b"")


def status_of(payload):
    first = payload[0]
    while first & 0xe0 == 0x20:  # a new size of the table
        payload = payload[1:]
        first = payload[0]
    if first & 0x80:
        return STATUS.get(first & 0x7f, -1)
    length = payload[1] & 0x7f
    return int(payload[2:2 + length]) if not payload[1] & 0x80 else -1


def http2(server):
    with H2(server) as h2:
        expect("h2: plain", h2.ask(1), {200})
        big = frame(HEADERS, 4, 3, block("POST", MAPS, [("content-type", "application/json")]))
        h2.send(big)
        left = 4 * MIB
        while left > 0 and 3 not in h2.statuses:
            if not h2.send(frame(DATA, 0, 3, b"x" * 16384)):
                break
            left -= 16384
            if left % (MIB // 8) == 0:
                h2.sock.settimeout(0.01)
                try:
                    h2.run(lambda: False)
                except (TimeoutError, OSError):
                    pass
                h2.sock.settimeout(60)
        h2.run(lambda: 3 in h2.ended)
        expect("h2: body of more than 3 MiB", (h2.statuses.get(3, CLOSED), b"", h2.data.get(3, b"")), {413})
    with H2(server) as h2:
        raw = block(fields=[("x", "a" * 15000)])
        raw = frame(HEADERS, 1, 1, raw) + b"".join(frame(CONTINUATION, 4 if i == 5 else 0, 1, literal("x", "b" * 15000)) for i in range(6))
        expect("h2: head of 100 KiB", h2.ask(1, raw), {431})
        expect("h2: then another", h2.ask(3), {200})
    with H2(server) as h2:
        raw = frame(HEADERS, 5, 1, block(fields=[(f"x{i}", "y") for i in range(400)]))
        expect("h2: 400 headers", h2.ask(1, raw), {431})
    bad = [
        ("upper case", block(fields=[("Upper", "a")])), ("NUL in a value", block(fields=[("x", "a\0b")])),
        ("line break in a value", block(fields=[("x", "a\r\nb: c")])), ("connection header", block(fields=[("connection", "close")])),
        ("transfer-encoding", block(fields=[("transfer-encoding", "chunked")])), ("no method", literal(":path", "/")),
        ("two paths", block() + literal(":path", "/other")), ("late pseudo header", literal("x", "y") + block()),
        ("unknown pseudo header", block(fields=[(":evil", "a")])), ("empty path", block(path="")), ("no slash", block(path="version")),
        ("blank in the path", block(path="/ver sion")), ("two lengths", block(fields=[("content-length", "1"), ("content-length", "2")])),
    ]
    for name, payload in bad:
        with H2(server) as h2:
            reply = h2.ask(1, frame(HEADERS, 5, 1, payload))
            if reply[0] not in (400, CLOSED):
                raise Failure(f"h2: {name}: {reply[0]}")
    broken = [
        ("HPACK rubbish", frame(HEADERS, 5, 1, b"\xff" * 100)), ("HPACK index beyond", frame(HEADERS, 5, 1, b"\xff\xff\xff\xff\x0f")),
        ("table size bomb", frame(HEADERS, 5, 1, b"\x3f\xff\xff\xff\xff\x0f" + block())), ("even stream", frame(HEADERS, 5, 2, block())),
        ("DATA on stream 0", frame(DATA, 0, 0, b"x")), ("DATA on an idle stream", frame(DATA, 0, 7, b"x")),
        ("frame of 16 MiB", b"\xff\xff\xff\x00\x00\x00\x00\x00\x01"), ("SETTINGS of 5 bytes", frame(SETTINGS, 0, 0, b"12345")),
        ("PING of 7 bytes", frame(PING, 0, 0, b"1234567")), ("window of 0", frame(WINDOW, 0, 0, bytes(4))),
        ("window that overflows", frame(WINDOW, 0, 0, b"\x7f\xff\xff\xff") * 2), ("PUSH_PROMISE", frame(PUSH, 4, 1, bytes(4) + block())),
        ("padding beyond", frame(HEADERS, 13, 1, b"\xff" + block())), ("HEADERS within HEADERS", frame(HEADERS, 1, 1, block()) + frame(HEADERS, 5, 3, block())),
        ("SETTINGS of bad values", frame(SETTINGS, 0, 0, struct.pack(">HIHI", 4, 0xffffffff, 5, 1))),
        ("stream ids that go down", frame(HEADERS, 5, 9, block()) + frame(HEADERS, 5, 3, block())), ("GOAWAY", frame(GOAWAY, 0, 0, bytes(8))),
    ]
    for name, raw in broken:
        with H2(server) as h2:
            h2.send(raw)
            h2.sock.settimeout(20)
            try: # sent away, its stream reset, or answered
                h2.run(lambda: h2.gone is not None or h2.ended)
            except TimeoutError as error:
                raise Failure(f"h2: {name}: nothing came") from error
    with server.connect(tls=server.tls2) as sock:
        send_all(sock, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 10)
        while sock.recv(65536):
            pass


def flood(server, name, make, count, calm=True):
    """Sends a lot of the same; the server either takes it or says ENHANCE_YOUR_CALM, and keeps nothing of it."""
    before = server.rss()
    with H2(server) as h2:
        stopped = threading.Event()
        reader = threading.Thread(target=lambda: (h2.run(stopped.is_set), stopped.set()), daemon=True)
        reader.start()
        sent = 0
        while sent < count and not stopped.is_set():
            if not h2.send(b"".join(make(sent + i) for i in range(500))):
                break
            sent += 500
        if calm and sent < count:
            stopped.wait(20)
        grown = server.rss() - before
        if grown > server.options.growth * MIB:
            raise Failure(f"h2 flood of {name}: the server has grown by {grown >> 20} MiB")
        if calm and h2.gone not in (0xb, 0x1, 0x2, None):
            raise Failure(f"h2 flood of {name}: sent away with {h2.gone}")
        try:
            h2.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        stopped.set()
        reader.join(10)
    return sent


def floods(server):
    get = block()
    reset = struct.pack(">I", 8)
    one = lambda i: frame(HEADERS, 5, 2 * i + 1, get) + frame(RST, 0, 2 * i + 1, reset)
    sent = flood(server, "resets", one, 200000)
    if sent == 200000:
        raise Failure("h2 flood of resets: nobody stopped it")
    flood(server, "PINGs", lambda i: frame(PING, 0, 0, b"12345678"), 200000)
    flood(server, "SETTINGS", lambda i: frame(SETTINGS, 0, 0, struct.pack(">HI", 3, 100)), 200000)
    flood(server, "PRIORITY", lambda i: frame(PRIORITY, 0, 2 * i + 1, b"\0\0\0\0\x10"), 200000)
    flood(server, "WINDOW_UPDATE", lambda i: frame(WINDOW, 0, 0, b"\0\0\0\x01"), 200000, False)
    flood(server, "empty DATA", lambda i: (frame(HEADERS, 4, 1, block("POST", MAPS)) if i == 0 else b"") + frame(DATA, 0, 1), 200000)
    flood(server, "unknown frames", lambda i: frame(0x77, 0, 0, b"x" * 100), 200000, False)
    flood(server, "CONTINUATION", lambda i: frame(HEADERS, 1, 1, get) if i == 0 else frame(CONTINUATION, 0, 1, literal("a", "b" * 500)), 50000)
    flood(server, "empty CONTINUATION", lambda i: frame(HEADERS, 1, 1, get) if i == 0 else frame(CONTINUATION, 0, 1), 200000)
    bomb = get + literal("x", "y" * 4000, b"\x40") + b"\xbe" * 16000
    flood(server, "HPACK bombs", lambda i: frame(HEADERS, 5, 2 * i + 1, bomb[:16384]), 2000)


def streams(server):
    """Thousands of requests over one connection, in batches of what it allows at once; then more than that at once."""
    with H2(server) as h2:
        for batch in range(10):
            ids = [2 * (batch * 500 + i) + 1 for i in range(500)]
            for stream in ids:
                h2.send(frame(HEADERS, 5, stream, block(path=f"{MAPS}/none")))
            if not h2.run(lambda: h2.ended.issuperset(ids)):
                raise Failure("5000 streams on a connection: it was closed")
        if {h2.statuses.get(2 * i + 1) for i in range(5000)} != {404}:
            raise Failure("5000 streams on a connection: not all were answered")
    watch = block(path=f"{MAPS}?watch=1&resourceVersion=0")
    before = server.rss()
    with H2(server, ((1, 0), (4, 0))) as h2:  # nothing may be sent to us
        for i in range(3000):
            h2.send(frame(HEADERS, 5, 2 * i + 1, watch))
        h2.run(lambda: len(h2.statuses) + len(h2.resets) >= 1500 or h2.gone is not None)
        grown = server.rss() - before
        print(f"  3000 watches on a connection without a window: {len(h2.statuses)} served, {len(h2.resets)} refused, "
              f"{grown >> 10} KiB more")
        if len(h2.statuses) > 1000:
            raise Failure("more streams at once than the limit")
    with H2(server) as other:
        expect("beside it", other.ask(1), {200})


# -- slow --


def until_closed(server, name, start, step, most, wanted=None):
    """Does step() now and then until the server answers or ends it."""
    sock = start()
    begin = time.monotonic()
    sock.settimeout(0.5)
    data = b""
    while time.monotonic() - begin < most:
        try:
            step(sock)
            piece = sock.recv(4096)
        except (TimeoutError, ssl.SSLWantReadError):
            continue
        except OSError:
            piece = b""
        if not piece:
            sock.close()
            if wanted and wanted not in data:
                raise Failure(f"{name}: closed without {wanted!r}: {data[:200]!r}")
            return time.monotonic() - begin
        data += piece
    raise Failure(f"{name}: still open after {most} s")


def slow(server):
    nothing = lambda sock: None
    path = head("POST", MAPS, [("Content-Length", 1000000)], length=False)

    def opened(raw):
        def start():
            sock = server.connect()
            send_all(sock, raw)
            return sock
        return start

    def half_hello():
        sock = server.plain()
        sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        return sock

    def h2_half():
        h2 = H2(server)
        h2.send(frame(HEADERS, 1, 1, block()))
        return h2.sock

    def h2_body():
        h2 = H2(server)
        h2.send(frame(HEADERS, 4, 1, block("POST", MAPS)))
        return h2.sock

    one = lambda sock: sock.sendall(b"a")
    jobs = [
        ("nothing at all", server.plain, nothing, 30), ("half a handshake", half_hello, nothing, 30),
        ("a handshake and nothing", opened(b""), nothing, 30), ("a slow head", opened(b"GET /version HTTP/1.1\r\nX: "), one, 40),
        ("a body that stops", opened(path), nothing, 60), ("HEADERS without an end", h2_half, nothing, 40),
    ]
    failures, threads = [], []

    def run(job):
        try:
            took = until_closed(server, *job)
            print(f"  {job[0]}: ended after {took:.1f} s")
        except (Failure, OSError) as error:
            failures.append(f"{job[0]}: {error}")

    for job in jobs:
        threads.append(threading.Thread(target=run, args=(job,)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    if failures:
        raise Failure("; ".join(failures))


def readers(server):
    """A list of many MiB, read by nobody; a watcher that reads nothing while there is a lot to see."""
    value = "v" * 500000
    for i in range(40):
        body = config_map(f"large-{i}").replace('"a":"b"', f'"a":"{value}"')
        request(server, "large objects", "POST", MAPS, {201, 409}, body)
    before = server.rss()
    socks = []
    for i in range(60):
        sock = server.connect()
        send_all(sock, head("GET", MAPS if i % 2 else f"{MAPS}?watch=1&resourceVersion=0"))
        socks.append(sock)
    time.sleep(1)
    for i in range(40):
        request(server, "touched", "PATCH", f"{MAPS}/large-{i}", {200}, '{"metadata":{"labels":{"touched":"yes"}}}',
                content="application/merge-patch+json")
    socks[1].settimeout(30)
    for _ in range(2000):
        if not socks[1].recv(1):
            raise Failure("a list read a byte at a time: closed early")
    grown = server.rss() - before
    print(f"  30 lists and 30 watches of 20 MiB that nobody reads: {grown >> 20} MiB more")
    if grown > server.options.growth * MIB:
        raise Failure(f"readers that do not read: the server has grown by {grown >> 20} MiB")
    request(server, "beside them", "GET", "/version", {200})
    for sock in socks:
        sock.close()
    for i in range(40):
        talk(server, head("DELETE", f"{MAPS}/large-{i}"))


def memory(server):
    """Large requests from many connections at once: each is answered, some of them by 429."""
    before, counts, lock = server.rss(), {}, threading.Lock()
    body = ("[" + "[]," * 1000000 + "1]").encode()
    raw = head("POST", MAPS, [("Content-Type", "application/json")], body)
    peak = [before]

    def one():
        try:
            status = talk(server, raw, 120)[0]
        except (TimeoutError, OSError):
            status = -1
        with lock:
            counts[status] = counts.get(status, 0) + 1

    threads = [threading.Thread(target=one) for _ in range(48)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        peak[0] = max(peak[0], server.rss())
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    print(f"  48 bodies of 3 MiB that unfold: {counts}, at most {(peak[0] - before) >> 20} MiB more")
    if set(counts) - {400, 413, 422, 429, 503, CLOSED}:
        raise Failure(f"large requests: {counts}")
    if peak[0] - before > server.options.peak * MIB:
        raise Failure(f"large requests: the server grew by {(peak[0] - before) >> 20} MiB")


# -- TLS and connections --


def tls(server):
    for name, raw in [
        ("garbage", b"\x00" * 5000), ("HTTP without TLS", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), ("huge record", b"\x16\x03\x01\xff\xff" + b"x" * 70000),
        ("SSLv2", b"\x80\x2e\x01\x00\x02" + b"x" * 50), ("alerts", b"\x15\x03\x03\x00\x02\x01\x00" * 1000), ("early data", b"\x17\x03\x03\x00\x10" + b"x" * 16),
        ("empty records", b"\x16\x03\x01\x00\x00" * 5000),
    ]:
        with server.plain(20) as sock:
            send_all(sock, raw)
            try:
                while sock.recv(65536):
                    pass
            except TimeoutError as error:
                raise Failure(f"TLS: {name}: still open") from error
            except OSError:
                pass
    for name in ("expired", "stranger"):
        context = server.context(name)
        try:
            with server.connect(20, context) as sock:
                send_all(sock, head("GET", f"{MAPS}"))
                status = read_reply(sock)[0]
        except (ssl.SSLError, ConnectionError):
            status = CLOSED
        if status not in (CLOSED, 401):
            raise Failure(f"a certificate that is {name}: {status}")
    with server.connect(tls=server.context()) as sock:
        send_all(sock, head("GET", MAPS))
        expect("without a certificate", read_reply(sock), {401})
    old = server.context("admin")
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with server.connect(tls=old) as sock:
        send_all(sock, head("GET", "/version"))
        expect("TLS 1.2", read_reply(sock), {200})
    for _ in range(2000):  # hang up in the middle of the handshake
        with server.plain() as sock:
            sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"r" * 100)


def idle(server):
    """Many TLS connections that do nothing: what does each cost, and are others served meanwhile?"""
    count, socks = server.options.idle, []
    context = server.context(None)
    before = server.rss()
    for i in range(count):
        sock = server.connect(60, context)
        send_all(sock, head("GET", "/livez"))
        socks.append(sock)
    for sock in socks:
        if read_reply(sock)[0] != 200:
            raise Failure("an idle connection was closed before its turn")
    grown = server.rss() - before
    print(f"  {count} idle TLS connections: {grown >> 20} MiB more, {grown // count} bytes each")
    request(server, "beside them", "GET", MAPS, {200})
    if grown > count * 60000 * server.options.factor:
        raise Failure(f"idle connections take {grown // count} bytes each")
    for sock in socks:
        sock.close()


def crowd(server):
    """More connections than the server takes: it goes on serving those who ask, also who was there before and is busy."""
    with H2(server) as watcher:
        watcher.send(frame(HEADERS, 5, 1, block(path=f"{MAPS}?watch=1&resourceVersion=0")))
        watcher.run(lambda: 1 in watcher.statuses)
        socks = []
        for i in range(server.options.crowd):
            socks.append(socket.socket())
            socks[-1].connect(("127.0.0.1", server.port))
            if i % 200 == 0:
                request(server, "in the crowd", "GET", "/version", {200})
        request(server, "with the crowd complete", "GET", "/version", {200})
        print(f"  {len(socks)} connections at once: the server holds {server.descriptors()} descriptors")
        request(server, "something to see", "POST", MAPS, {201, 409}, config_map(f"crowd-{time.time_ns()}"))
        if not watcher.run(lambda: b"crowd-" in watcher.data.get(1, b"")):
            raise Failure("a watch was closed to make room")
    for sock in socks:
        sock.close()


GROUPS = {function.__name__: function for function in (
    heads, smuggling, bodies, patches, paths, definitions, upgrades, http2, floods, streams, slow, readers, memory, tls, idle, crowd)}


def settle(server, descriptors, threads):
    """The server lets go of what it held; connections may linger for a second, and one that is idle is closed late."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if server.descriptors() <= descriptors + 4 and server.threads() <= max(threads, 80):
            return
        time.sleep(0.2)
    raise Failure(f"{server.descriptors()} descriptors and {server.threads()} threads are left, {descriptors} and {threads} before")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--pki", required=True)
    parser.add_argument("--pid", type=int, required=True)
    parser.add_argument("--growth", type=int, default=192, help="MiB that a group may leave behind")
    parser.add_argument("--peak", type=int, default=1600, help="MiB at most in between")
    parser.add_argument("--factor", type=int, default=1, help="how much dearer everything is, under a sanitizer")
    parser.add_argument("--idle", type=int, default=10000, help="connections of that group")
    parser.add_argument("--crowd", type=int, default=2000, help="connections of that group")
    parser.add_argument("groups", nargs="*", default=[])
    options = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    server, failed = Server(options), False
    for name in options.groups or GROUPS:
        descriptors, threads, before, begin = server.descriptors(), server.threads(), server.rss(), time.monotonic()
        try:
            GROUPS[name](server)
            settle(server, descriptors, threads)
            request(server, "afterwards", "GET", "/version", {200})
            grown = server.rss() - before
            print(f"{name}: fine, {time.monotonic() - begin:.1f} s, {grown >> 10} KiB more")
            if grown > options.growth * MIB:
                raise Failure(f"the server has grown by {grown >> 20} MiB")
        except (Failure, OSError, ValueError) as error:
            print(f"{name}: {type(error).__name__}: {error}")
            failed = True
    return failed


if __name__ == "__main__":
    sys.exit(main())
