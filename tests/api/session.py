"""One client of the server under test: requests over HTTPS, bodies and answers in any form, and the tally of what was tried."""

import collections
import http.client
import json
import os
import ssl
import struct
import urllib.parse

import yaml

import wire

TYPES = {"json": "application/json", "yaml": "application/yaml", "protobuf": "application/vnd.kubernetes.protobuf"}
TIMEOUT = 60


class Unsupported(Exception):
    """The server says that it does not do this."""


class Wrong(Exception):
    pass


class Answer:
    def __init__(self, model, status, content_type, data):
        self.model, self.status, self.type, self.data = model, status, content_type or "", data

    def value(self):
        if self.type.startswith(TYPES["protobuf"]):
            return wire.decode(self.model, self.data)
        if self.type.startswith(TYPES["yaml"]):
            return yaml.load(self.data, Loader=YamlLoader)
        return json.loads(self.data)

    def text(self):
        try:
            value = self.value()
            return value.get("message") or json.dumps(value)[:300]
        except (ValueError, wire.WireError, AttributeError, yaml.YAMLError):
            return self.data[:300].decode(errors="replace")


class YamlLoader(yaml.SafeLoader):
    """Times stay text, as in JSON."""


YamlLoader.yaml_implicit_resolvers = {
    letter: [(tag, regexp) for tag, regexp in rows if tag != "tag:yaml.org,2002:timestamp"]
    for letter, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()}


class YamlDumper(yaml.SafeDumper):
    """Every string in quotes: YAML 1.1 takes a bare y or n for a truth."""


YamlDumper.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


class Session:
    def __init__(self, model, server, pki):
        self.model = model
        url = urllib.parse.urlsplit(server)
        self.address = url.hostname, url.port
        self.tls = ssl.create_default_context(cafile=os.path.join(pki, "ca.crt"))
        self.tls.load_cert_chain(os.path.join(pki, "admin.crt"), os.path.join(pki, "admin.key"))
        self.connection = None

    def connect(self):
        return http.client.HTTPSConnection(*self.address, context=self.tls, timeout=TIMEOUT)

    def request(self, method, path, body=None, content=None, accept="json"):
        """body: an object or bytes; content, accept: short names of TYPES or full ones."""
        headers = {"Accept": TYPES.get(accept, accept)}
        if body is not None:
            headers["Content-Type"] = TYPES.get(content, content)
            body = self.encode(body, content)
        for attempt in (1, 2):
            self.connection = self.connection or self.connect()
            try:
                self.connection.request(method, path, body, headers)
                reply = self.connection.getresponse()
                return Answer(self.model, reply.status, reply.getheader("Content-Type"), reply.read())
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self.connection.close()
                self.connection = None
                if attempt == 2:
                    raise

    def encode(self, body, content):
        if isinstance(body, bytes):
            return body
        if content == "protobuf":
            return wire.encode(self.model, body)
        return (yaml.dump(body, Dumper=YamlDumper) if content == "yaml" else json.dumps(body)).encode()

    def must(self, wanted, *arguments, **options):
        """The answer; an exception unless its status is one of those wanted."""
        answer = self.request(*arguments, **options)
        if answer.status in wanted:
            return answer
        if answer.status == 501:
            raise Unsupported(answer.text())
        raise Wrong(f"{arguments[0]} {arguments[1]}: {answer.status}: {answer.text()}")

    def watch(self, path, accept="json"):
        return Watch(self, path, accept)


class Watch:
    """A watch on a connection of its own. next() gives (type, object)."""

    def __init__(self, session, path, accept):
        self.session = session
        self.connection = session.connect()
        self.connection.request("GET", path, headers={"Accept": TYPES.get(accept, accept)})
        self.reply = self.connection.getresponse()
        self.type = self.reply.getheader("Content-Type") or ""
        if self.reply.status != 200:
            answer = Answer(session.model, self.reply.status, self.type, self.reply.read())
            raise (Unsupported if answer.status in (406, 501) else Wrong)(f"watch {path}: {answer.status}: {answer.text()}")

    def next(self):
        if self.type.startswith(TYPES["protobuf"]):
            size = struct.unpack(">I", self.read(4))[0]
            return wire.decode_event(self.session.model, self.read(size))
        event = json.loads(self.reply.readline())
        return event["type"], event["object"]

    def read(self, size):
        data = self.reply.read(size)
        if len(data) < size:
            raise Wrong("the watch has ended")
        return data

    def close(self):
        self.connection.close()


class Tally:
    """What was tried, by dimension."""

    def __init__(self):
        self.passed, self.failed = collections.Counter(), collections.Counter()
        self.unsupported, self.failures = collections.defaultdict(list), []

    def run(self, dimension, name, check):
        """Calls check(); gives what it gave, or None."""
        label = f"{dimension} {name}"
        try:
            result = check()
            self.passed[dimension] += 1
            return result if result is not None else True
        except Unsupported as reason:
            self.unsupported[dimension].append(f"{name}: {reason}")
        except Exception as reason:  # any other end is a failure of this check alone
            self.failed[dimension] += 1
            self.failures.append(label)
            print(f"FAILED {label}: {type(reason).__name__}: {reason}", flush=True)
        return None

    def report(self):
        for dimension in sorted(set(self.passed) | set(self.failed) | set(self.unsupported)):
            print(f"{dimension:40} {self.passed[dimension]:4} passed {self.failed[dimension]:3} failed"
                  f" {len(self.unsupported[dimension]):3} not supported")
        for dimension, names in sorted(self.unsupported.items()):
            for name in names:
                print(f"not supported: {dimension} {name}")
        print(f"{sum(self.passed.values())} passed, {sum(self.failed.values())} failed")
        return 1 if sum(self.failed.values()) or not sum(self.passed.values()) else 0


def strip(value):
    """Without what is empty: protobuf does not tell it from absent."""
    if isinstance(value, dict):
        out = {name: strip(item) for name, item in value.items()}
        return {name: item for name, item in out.items() if item not in (None, "", 0, False, [], {})}
    if isinstance(value, list):
        return [strip(item) for item in value]
    return value


def differences(a, b, path=""):
    if isinstance(a, dict) and isinstance(b, dict):
        for name in sorted(set(a) | set(b)):
            yield from differences(a.get(name), b.get(name), f"{path}.{name}")
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for index, pair in enumerate(zip(a, b)):
            yield from differences(*pair, f"{path}[{index}]")
    elif a != b:
        yield f"{path}: {a!r} and {b!r}"


def must_equal(a, b, what):
    found = list(differences(strip(a), strip(b)))
    if found:
        raise Wrong(f"{what} differ: {'; '.join(found[:4])}")
