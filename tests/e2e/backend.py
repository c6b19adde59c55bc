#!/usr/bin/env python3
"""backend.py ADDRESS [CERT KEY] - what stands behind the proxy in proxy.bats: prints its port, then answers.

    /echo      the request: method, path, headers and the length of its body, as JSON
    /redirect  302 to /echo; /redirect-out to another host
    /large     100 MB, chunked; /cut: a body that breaks off
    /socket    an upgrade to "echo": everything comes back in upper case
    /slow      two chunks, the second after the test has written "go" to /go"""

import http.server
import json
import socketserver
import ssl
import sys
import threading

GO = threading.Event()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            total = 0
            while size := int(self.rfile.readline(), 16):
                total += len(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return total
        return len(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def reply(self, status, text, **headers):
        data = text.encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def begin_chunks(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def any(self):
        path = self.path.split("?")[0]
        if path == "/redirect":
            self.reply(302, "", Location="/echo?from=redirect")
        elif path == "/redirect-out":
            self.reply(302, "", Location="http://example.com/there")
        elif path == "/large":
            self.begin_chunks()
            for _ in range(1600):
                self.chunk(b"x" * 65536)
            self.chunk(b"")
        elif path == "/cut":
            self.begin_chunks()
            self.chunk(b"half")
            self.close_connection = True
        elif path == "/slow":
            self.begin_chunks()
            self.chunk(b"first\n")
            GO.wait(60)
            self.chunk(b"second\n")
            self.chunk(b"")
        elif path == "/go":
            GO.set()
            self.reply(200, "gone")
        elif path == "/socket" and self.headers.get("Upgrade") == "echo":
            self.send_response(101)
            self.send_header("Connection", "Upgrade")
            self.send_header("Upgrade", "echo")
            self.end_headers()
            while data := self.rfile.read1(65536):
                self.wfile.write(data.upper())
            self.close_connection = True
        else:
            length = self.body()
            self.reply(418 if path == "/teapot" else 200, json.dumps({
                "method": self.command, "path": self.path, "length": length, "headers": dict(self.headers)}),
                **{"X-Backend": "yes", "Access-Control-Allow-Origin": "*"})

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = any


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


server = Server((sys.argv[1], 0), Handler)
if len(sys.argv) > 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
