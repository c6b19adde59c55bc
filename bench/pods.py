#!/usr/bin/env python3
"""pods.py KUBECONFIG - how long a pod takes: from the create call to Running in the API, as a watcher sees it.

Prints one line for pods created one after the other, one for pods created all at once. Needs the demo image on the node and
nothing but Python's standard library.
"""
import argparse
import base64
import http.client
import json
import ssl
import tempfile
import threading
import time
import urllib.parse


class Api:
    """One API server, as its kubeconfig describes it."""

    def __init__(self, path):
        values = {}
        for line in open(path, encoding='utf-8'):
            key, _, value = line.strip().lstrip('- ').partition(': ')
            values.setdefault(key, value)
        self.host = urllib.parse.urlparse(values['server']).netloc
        self.tls = ssl.create_default_context(cadata=base64.b64decode(values['certificate-authority-data']).decode())
        with tempfile.NamedTemporaryFile() as pem:
            for key in ('client-certificate-data', 'client-key-data'):
                pem.write(base64.b64decode(values[key]))
            pem.flush()
            self.tls.load_cert_chain(pem.name)

    def connect(self):
        connection = http.client.HTTPSConnection(self.host, context=self.tls)
        connection.connect()
        return connection

    @staticmethod
    def call(connection, method, path, body=None):
        headers = {'Content-Type': 'application/json'}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        response = connection.getresponse()
        data = response.read()
        if response.status >= 300:
            raise SystemExit(f'{method} {path}: {response.status} {data[:300].decode()}')
        return json.loads(data)


class Watcher(threading.Thread):
    """Notes when each pod is first seen Running, and when it is gone."""

    def __init__(self, api, namespace, version):
        super().__init__(daemon=True)
        self.running, self.gone, self.changed = {}, set(), threading.Condition()
        self.connection = api.connect()
        self.connection.request('GET', f'/api/v1/namespaces/{namespace}/pods?watch=true&resourceVersion={version}')
        self.stream = self.connection.getresponse()

    def run(self):
        for line in self.stream:
            now = time.monotonic()
            event = json.loads(line)
            name = event['object']['metadata'].get('name')
            with self.changed:
                if event['type'] == 'DELETED':
                    self.gone.add(name)
                elif event['object'].get('status', {}).get('phase') == 'Running':
                    self.running.setdefault(name, now)
                self.changed.notify_all()

    def wait(self, names, seen):
        with self.changed:
            if not self.changed.wait_for(lambda: all(name in seen for name in names), timeout=120):
                raise SystemExit(f'after 120 s still waiting for {[name for name in names if name not in seen][:5]}')


def pod(name, image):
    return {'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'name': name},
            'spec': {'terminationGracePeriodSeconds': 0,
                     'containers': [{'name': 'c', 'image': image, 'command': ['sleep', '1000']}]}}


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def show(title, seconds, total=None):
    milli = [value * 1000 for value in seconds]
    line = f'{title:38} p50 {percentile(milli, .5):7.1f} ms   p99 {percentile(milli, .99):7.1f} ms   max {max(milli):7.1f} ms'
    print(line + (f'   all in {total * 1000:.0f} ms' if total else ''), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('kubeconfig')
    parser.add_argument('--image', default='caravel/demo:1')
    parser.add_argument('--one-by-one', type=int, default=30)
    parser.add_argument('--at-once', type=int, default=50)
    parser.add_argument('--namespace', default='default')
    options = parser.parse_args()
    api = Api(options.kubeconfig)
    path = f'/api/v1/namespaces/{options.namespace}/pods'
    connection = api.connect()
    watcher = Watcher(api, options.namespace, api.call(connection, 'GET', path + '?limit=1')['metadata']['resourceVersion'])
    watcher.start()

    def start(name, own):
        begun = time.monotonic()
        api.call(own, 'POST', path, pod(name, options.image))
        return begun

    def remove(names):
        for name in names:
            api.call(connection, 'DELETE', f'{path}/{name}?gracePeriodSeconds=0')
        watcher.wait(names, watcher.gone)

    serial, took = [f'one-{i}' for i in range(options.one_by_one)], []
    for name in serial:
        begun = start(name, connection)
        watcher.wait([name], watcher.running)
        took.append(watcher.running[name] - begun)
    show(f'pod start, {len(serial)} one after the other', took)
    remove(serial)

    crowd, begun = [f'crowd-{i}' for i in range(options.at_once)], {}
    connections = [api.connect() for _ in range(8)]

    def some(index):
        for name in crowd[index::len(connections)]:
            begun[name] = start(name, connections[index])

    first = time.monotonic()
    threads = [threading.Thread(target=some, args=(index,)) for index in range(len(connections))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    watcher.wait(crowd, watcher.running)
    show(f'pod start, {len(crowd)} at once', [watcher.running[name] - begun[name] for name in crowd],
         max(watcher.running[name] for name in crowd) - first)
    remove(crowd)


if __name__ == '__main__':
    main()
