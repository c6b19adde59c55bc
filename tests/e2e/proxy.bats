#!/usr/bin/env bats
# proxy.bats - requests through the API server to pods, services and nodes.

load helpers

NAMESPACE=/api/v1/namespaces/default

setup_file() {
  local address
  cluster_up e2e-proxy-$$
  demo_image
  demo_pod web | sed 's/^    image:.*/&\n    imagePullPolicy: Never\n    ports: [{containerPort: 8080}]/' | k apply -f -
  k wait --for=condition=Ready pod/web --timeout=60s ||
    { k get events; cat "$DATA/caravel.log"; return 1; } >&2
  address=$(k get node node-a -o jsonpath='{.status.addresses[?(@.type=="InternalIP")].address}')
  backend "$address"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=backend \
    -keyout "$BATS_FILE_TMPDIR/key" -out "$BATS_FILE_TMPDIR/cert" 2>/dev/null
  backend "$address" "$BATS_FILE_TMPDIR/cert" "$BATS_FILE_TMPDIR/key"
  endpoints "$address" | k apply -f -
}

teardown_file() {
  local pid
  for pid in $(cat "$BATS_FILE_TMPDIR/backend.pids"); do kill "$pid" || true; done
  cluster_down
}

backend() { # ADDRESS [CERT KEY] - its port is appended to a file, when it listens
  local before
  before=$(cat "$BATS_FILE_TMPDIR/backend.ports" 2>/dev/null | wc -l)
  python3 "$BATS_TEST_DIRNAME/backend.py" "$@" >>"$BATS_FILE_TMPDIR/backend.ports" 2>"$BATS_FILE_TMPDIR/backend.log" 3>&- 4>&- &
  echo $! >>"$BATS_FILE_TMPDIR/backend.pids"
  retry 30 has_lines $((before + 1)) || { cat "$BATS_FILE_TMPDIR/backend.log" >&2; return 1; }
}

has_lines() { [ "$(wc -l <"$BATS_FILE_TMPDIR/backend.ports")" -ge "$1" ]; }

endpoints() { # ADDRESS
  local ports
  mapfile -t ports <"$BATS_FILE_TMPDIR/backend.ports"
  cat <<YAML
apiVersion: v1
kind: Service
metadata: {name: backend}
spec: {ports: [{name: http, port: 80}, {name: https, port: 443}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: backend}
subsets: [{addresses: [{ip: "$1"}], ports: [{name: http, port: ${ports[0]}}, {name: https, port: ${ports[1]}}]}]
---
apiVersion: v1
kind: Service
metadata: {name: sliced}
spec: {ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: sliced-1, labels: {kubernetes.io/service-name: sliced}}
addressType: IPv4
endpoints: [{addresses: ["$1"], nodeName: node-a}]
ports: [{name: "", port: ${ports[0]}}]
---
apiVersion: v1
kind: Service
metadata: {name: empty}
spec: {ports: [{port: 80}]}
YAML
}

through() { # PATH [CURL-OPTION...] - curl through the service's proxy
  local path=$1
  shift
  curl --silent --show-error --max-time 60 --cacert "$DATA/pki/ca.crt" --cert "$DATA/pki/admin.crt" \
    --key "$DATA/pki/admin.key" --user-agent tests "$@" "https://127.0.0.1:$API_PORT$NAMESPACE/services/backend:http/proxy$path"
}

@test "a pod: by name, with port, with scheme" {
  has "It sails" k get --raw "$NAMESPACE/pods/web/proxy/"
  has "It sails" k get --raw "$NAMESPACE/pods/web:8080/proxy/index.html"
  has "It sails" k get --raw "$NAMESPACE/pods/http:web:8080/proxy/"
  is web k get --raw "$NAMESPACE/pods/web/proxy/hostname.txt"
}

@test "a pod: without the slash comes a redirect" {
  run api GET "$NAMESPACE/pods/web/proxy?a=b" --include
  [[ $output == *" 301"* && ${output,,} == *"location: $NAMESPACE/pods/web/proxy/?a=b"* ]]
}

@test "what cannot be reached" {
  run api GET "$NAMESPACE/pods/web:9/proxy/"
  [[ $output == *'"message":"error trying to reach service: dial tcp '*'connection refused","reason":"ServiceUnavailable"'*503 ]]
  run api GET "$NAMESPACE/pods/absent/proxy/"
  [[ $output == *'pods \"absent\" not found'*404 ]]
  run api GET "$NAMESPACE/pods/a:b:c:d/proxy/"
  [[ $output == *'invalid pod request \"a:b:c:d\"'*400 ]]
  run api GET "$NAMESPACE/services/empty/proxy/"
  [[ $output == *'no endpoints available for service \"empty\"'*503 ]]
  run api GET "$NAMESPACE/services/empty:81/proxy/"
  [[ $output == *'no service port 81 found for service \"empty\"'*503 ]]
  run api GET "$NAMESPACE/services/absent/proxy/"
  [[ $output == *'services \"absent\" not found'*404 ]]
}

@test "a service: every method, query and body" {
  local method
  for method in GET POST PUT PATCH DELETE OPTIONS; do
    has "\"method\": \"$method\", \"path\": \"/echo/a%20b\\?x=1&y=%2F\", \"length\": 5" \
      through '/echo/a%20b?x=1&y=%2F' --request $method --data hello
  done
  has '200' through /echo --head
  has '"length": 0' through /echo
  has '"length": 5' through /echo --http1.1 --header 'Transfer-Encoding: chunked' --data hello
}

@test "a service: by port number, https, slices" {
  has '"path": "/a"' k get --raw "$NAMESPACE/services/backend:80/proxy/a"
  has '"path": "/b"' k get --raw "$NAMESPACE/services/https:backend:https/proxy/b"
  has '"path": "/c"' k get --raw "$NAMESPACE/services/https:backend:443/proxy/c"
  has '"path": "/d"' k get --raw "$NAMESPACE/services/sliced/proxy/d"
}

@test "headers: what stays here and what goes on" {
  run through /echo --header 'Authorization: Bearer secret' --header 'X-Mine: 1' --header 'Impersonate-Group: x' \
    --header 'X-Forwarded-For: 192.0.2.1' --include
  [[ $output != *secret* && $output != *mpersonate* && ${output,,} != *access-control* ]]
  [[ ${output,,} == *'"x-mine": "1"'* && ${output,,} == *"x-backend: yes"* ]]
  [[ $output == *'"X-Forwarded-For": "192.0.2.1, 127.0.0.1"'* ]]
  [[ $output == *"\"X-Forwarded-Uri\": \"$NAMESPACE/services/backend:http/proxy/echo\""* ]]
  has 418 through /teapot --output /dev/null --write-out '%{http_code}'
}

@test "redirects lead through the proxy" {
  has "$NAMESPACE/services/backend:http/proxy/echo\\?from=redirect" through /redirect --include
  has '"path": "/echo\?from=redirect"' through /redirect --location
  has "http://example.com/there" through /redirect-out --include
}

@test "bodies stream both ways" {
  local pid
  is 104857600 sh -c "$(declare -f through); NAMESPACE=$NAMESPACE; through /large | wc -c"
  truncate -s 60000000 "$BATS_TEST_TMPDIR/body"
  has '"length": 60000000' through /echo --upload-file "$BATS_TEST_TMPDIR/body"
  has '"length": 60000000' through /echo --http1.1 --header 'Transfer-Encoding: chunked' \
    --upload-file "$BATS_TEST_TMPDIR/body"
  through /slow --no-buffer >"$BATS_TEST_TMPDIR/slow" 3>&- &
  pid=$!
  retry 30 is first cat "$BATS_TEST_TMPDIR/slow"
  through /go
  wait "$pid"
  is $'first\nsecond' cat "$BATS_TEST_TMPDIR/slow"
  run through /cut
  [ "$status" -ne 0 ]
}

@test "an upgraded connection" {
  run timeout 60 python3 - "$KUBECONFIG" "$DATA" "$API_PORT" "$NAMESPACE/services/backend:http/proxy/socket" <<'PY'
import socket, ssl, sys
_, _, data, port, path = sys.argv
context = ssl.create_default_context(cafile=data + "/pki/ca.crt")
context.load_cert_chain(data + "/pki/admin.crt", data + "/pki/admin.key")
s = context.wrap_socket(socket.create_connection(("127.0.0.1", int(port))), server_hostname="127.0.0.1")
s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n".encode())
head = b""
while b"\r\n\r\n" not in head:
    head += s.recv(1)
print(head.decode().splitlines()[0])
sent = b"abc" * 1000000
import threading
threading.Thread(target=s.sendall, args=(sent,)).start()
got = b""
while len(got) < len(sent):
    got += s.recv(65536)
print("same" if got == sent.upper() else "different")
PY
  [[ $output == *" 101 "*same ]] || { echo "$output"; return 1; }
}

@test "a node" {
  is ok k get --raw /api/v1/nodes/node-a/proxy/healthz
  has '"kind":"PodList".*"name":"web"' k get --raw /api/v1/nodes/node-a/proxy/pods
  has "listening on port 8080" k get --raw /api/v1/nodes/node-a/proxy/containerLogs/default/web/main
  refuses "not found" k get --raw /api/v1/nodes/absent/proxy/healthz
  refuses "could not find" k get --raw /api/v1/nodes/node-a/proxy/nothing
}

@test "kubectl proxy" {
  local port pid
  port=$(free_port)
  kubectl proxy --port "$port" >"$BATS_TEST_TMPDIR/proxy" 2>&1 3>&- &
  pid=$!
  retry 30 has "It sails" curl -s "http://127.0.0.1:$port$NAMESPACE/pods/web/proxy/"
  has '"length": 3' curl -s --data abc "http://127.0.0.1:$port$NAMESPACE/services/backend:http/proxy/echo"
  kill "$pid"
  wait "$pid" || true
}
