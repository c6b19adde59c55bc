"""streams.py KUBECONFIG NAMESPACE POD CONTAINER COUNT - opens COUNT execs over WebSocket, all of them before any may
end, then feeds each a line and expects it back, and exit code 5."""

import base64
import json
import os
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import urllib.parse


def credentials(path):
    """kubectl reads the file; its JSON needs no library."""
    text = subprocess.run(["kubectl", "--kubeconfig", path, "config", "view", "--raw", "--minify", "-o", "json"],
                          check=True, capture_output=True, text=True).stdout
    config = json.loads(text)
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    with tempfile.NamedTemporaryFile() as pem:
        pem.write(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
        pem.flush()
        context.load_cert_chain(pem.name)
    return urllib.parse.urlparse(cluster["server"]), context


def read(stream, count):
    data = b""
    while len(data) < count:
        piece = stream.recv(count - len(data))
        if not piece:
            raise EOFError("the connection ended")
        data += piece
    return data


def receive(stream):
    """One message: opcode, payload."""
    opcode, length = read(stream, 2)
    if length == 126:
        length = struct.unpack(">H", read(stream, 2))[0]
    elif length == 127:
        length = struct.unpack(">Q", read(stream, 8))[0]
    return opcode & 15, read(stream, length)


def send(stream, payload):
    mask = os.urandom(4)
    stream.sendall(bytes([0x82, 0x80 | len(payload)]) + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload)))


def connect(server, context, path):
    plain = socket.create_connection((server.hostname, server.port), 60)
    stream = context.wrap_socket(plain, server_hostname=server.hostname)
    key = base64.b64encode(os.urandom(16)).decode()
    stream.sendall((f"GET {path} HTTP/1.1\r\nHost: {server.netloc}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
                    "Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\n").encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += read(stream, 1)
    if not head.startswith(b"HTTP/1.1 101 "):
        raise RuntimeError(head.decode())
    return stream


def main():
    path, namespace, pod, container, count = sys.argv[1:5] + [int(sys.argv[5])]
    server, context = credentials(path)
    query = [("container", container), ("stdin", "true"), ("stdout", "true")]
    query += [("command", word) for word in ("sh", "-c", "read line; echo $line; exit 5")]
    target = f"/api/v1/namespaces/{namespace}/pods/{pod}/exec?{urllib.parse.urlencode(query)}"
    streams = [connect(server, context, target) for _ in range(count)]
    for number, stream in enumerate(streams):
        send(stream, b"\0line %d\n" % number)
    for number, stream in enumerate(streams):
        output, status = b"", None
        while status is None:
            opcode, payload = receive(stream)
            if opcode == 8:
                raise RuntimeError("closed without a status")
            if payload[:1] == b"\1":
                output += payload[1:]
            elif payload[:1] == b"\3":
                status = json.loads(payload[1:])
        if output != b"line %d\n" % number:
            raise RuntimeError(f"stream {number}: {output!r}")
        if status["details"]["causes"][0] != {"reason": "ExitCode", "message": "5"}:
            raise RuntimeError(f"stream {number}: {status}")
        stream.close()
    print(f"{count} streams")


main()
