#!/usr/bin/env python3
"""s3.py FOLDER PORT-FILE [PAGE] - an object store that takes nothing on trust: PUT, GET and LIST (version 2) of one bucket,
"vault", in FOLDER.

Every request must carry a good AWS Signature Version 4 of ID "test-id", secret "test/secret", region "eu-test-1", not older
than five minutes, over all x-amz-* headers and the host; what is put must have the SHA-256 and length that were signed. A
list has PAGE keys (2). While FOLDER/.refuse is there, everything is answered with 503. Requests that were refused for their
form are written to FOLDER/.bad.
"""
import datetime
import hashlib
import hmac
import http.server
import pathlib
import re
import sys
import urllib.parse
import xml.sax.saxutils

ID, SECRET, REGION, BUCKET = 'test-id', 'test/secret', 'eu-test-1', 'vault'
FOLDER = pathlib.Path(sys.argv[1])
PAGE = int(sys.argv[3]) if len(sys.argv) > 3 else 2


class Refused(Exception):
    def __init__(self, status, code):
        super().__init__(code)
        self.status, self.code = status, code


def sign(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def quote(text):
    return urllib.parse.quote(text, safe='-_.~')


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *args):
        pass

    def check_signature(self, path, query):
        found = re.fullmatch(r'AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, ?'
                             r'SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})',
                             self.headers.get('Authorization', ''))
        if not found:
            raise Refused(403, 'AccessDenied')
        identity, date, region, names, signature = found.groups()
        stamp = self.headers['x-amz-date'] or ''
        if identity != ID or region != REGION:
            raise Refused(403, 'InvalidAccessKeyId')
        if not stamp.startswith(date):
            raise Refused(403, 'SignatureDoesNotMatch')
        when = datetime.datetime.strptime(stamp, '%Y%m%dT%H%M%SZ').replace(tzinfo=datetime.timezone.utc)
        if abs((datetime.datetime.now(datetime.timezone.utc) - when).total_seconds()) > 300:
            raise Refused(403, 'RequestTimeTooSkewed')
        signed = names.split(';')
        must = {'host'} | {name.lower() for name in self.headers if name.lower().startswith('x-amz-')}
        if signed != sorted(signed) or not must <= set(signed) or any(n not in self.headers for n in signed) or \
                 'x-amz-content-sha256' not in signed:
            raise Refused(403, 'SignatureDoesNotMatch')
        pairs = sorted((quote(k), quote(v)) for k, v in urllib.parse.parse_qsl(query, keep_blank_values=True))
        canonical = '\n'.join([
            self.command, urllib.parse.quote(urllib.parse.unquote(path), safe='/-_.~'),
            '&'.join(f'{k}={v}' for k, v in pairs),
            ''.join(f'{name}:{" ".join(self.headers[name].split())}\n' for name in signed), names,
            self.headers['x-amz-content-sha256']])
        scope = f'{date}/{REGION}/s3/aws4_request'
        text = '\n'.join(['AWS4-HMAC-SHA256', stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = sign(sign(sign(sign(('AWS4' + SECRET).encode(), date), REGION), 's3'), 'aws4_request')
        if not hmac.compare_digest(hmac.new(key, text.encode(), hashlib.sha256).hexdigest(), signature):
            raise Refused(403, 'SignatureDoesNotMatch')

    def read_body(self):
        if self.command == 'PUT' and 'Content-Length' not in self.headers:
            raise Refused(411, 'MissingContentLength')
        body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        if hashlib.sha256(body).hexdigest() != self.headers.get('x-amz-content-sha256'):
            raise Refused(400, 'XAmzContentSHA256Mismatch')
        return body

    def list(self, query):
        options = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        if options.get('list-type') != '2':
            raise Refused(400, 'InvalidArgument')
        after = ''
        if 'continuation-token' in options:
            if not options['continuation-token'].startswith('+&/ '):
                raise Refused(400, 'InvalidArgument')
            after = options['continuation-token'][4:]
        root = FOLDER / 'objects'
        keys = sorted(str(p.relative_to(root)) for p in root.rglob('*') if p.is_file())
        keys = [k for k in keys if k.startswith(options.get('prefix', '')) and k > after]
        page, more = keys[:PAGE], len(keys) > PAGE
        xml_text = ''.join(f'<Contents><Key>{xml.sax.saxutils.escape(k)}</Key><Size>1</Size></Contents>' for k in page)
        if more:
            token = xml.sax.saxutils.escape('+&/ ' + page[-1])
            xml_text += f'<NextContinuationToken>{token}</NextContinuationToken>'
        return (f'<?xml version="1.0"?><ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{xml_text}'
                f'</ListBucketResult>').encode()

    def act(self):
        path, _, query = self.path.partition('?')
        body = self.read_body()
        if (FOLDER / '.refuse').exists():
            raise Refused(503, 'SlowDown')
        self.check_signature(path, query)
        parts = urllib.parse.unquote(path).split('/', 2)
        if len(parts) < 3 or parts[1] != BUCKET or '..' in parts[2]:
            raise Refused(404, 'NoSuchBucket')
        if self.command == 'GET' and not parts[2]:
            return self.list(query)
        file = FOLDER / 'objects' / parts[2]
        if self.command == 'PUT':
            file.parent.mkdir(parents=True, exist_ok=True)
            temporary = FOLDER / '.put'
            temporary.write_bytes(body)
            temporary.rename(file)
            return b''
        if not file.is_file():
            raise Refused(404, 'NoSuchKey')
        return file.read_bytes()

    def handle_one(self):
        try:
            status, body = 200, self.act()
        except Refused as refused:
            status, body = refused.status, f'<Error><Code>{refused.code}</Code></Error>'.encode()
            if status != 503:
                with open(FOLDER / '.bad', 'a', encoding='utf-8') as bad:
                    bad.write(f'{self.command} {self.path}: {refused.code}\n')
        self.send_response(status)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = handle_one


def main():
    (FOLDER / 'objects').mkdir(parents=True, exist_ok=True)
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    pathlib.Path(sys.argv[2]).write_text(str(server.server_port), encoding='utf-8')
    server.serve_forever()


main()
