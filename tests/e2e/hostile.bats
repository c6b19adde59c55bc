#!/usr/bin/env bats
# hostile.bats - bad input for a server without a node (hostile.py): a Status or a closed connection, and nothing is left.

load helpers

# sign NAME SUBJECT [OPENSSL-OPTION...] - a certificate by the authority of the folder.
sign() {
  local name=$1 subject=$2
  shift 2
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$name.key" -subj "$subject" -out "$name.csr"
  openssl x509 -req -in "$name.csr" -CA "${CA:-ca}.crt" -CAkey "${CA:-ca}.key" -CAcreateserial -out "$name.crt" "$@"
}

authority() { # NAME
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -subj /CN=hostile-ca -days 2 -out "$1.crt"
}

make_pki() (
  mkdir -p "$DATA/pki"
  cd "$DATA/pki" || return 1
  authority ca
  authority other
  echo 'subjectAltName=DNS:localhost,IP:127.0.0.1' >names
  sign server /CN=kube-apiserver -days 2 -extfile names
  sign server-client /O=system:masters/CN=kube-apiserver-kubelet-client -days 2
  sign admin /O=system:masters/CN=kubernetes-admin -days 2
  sign expired /O=system:masters/CN=kubernetes-admin -days -1
  CA=other sign stranger /O=system:masters/CN=kubernetes-admin -days 2
)

server_up() { # NAME - sets DATA, API_PORT and SERVER
  DATA=$BATS_FILE_TMPDIR/$1
  API_PORT=$(free_port)
  make_pki >"$BATS_FILE_TMPDIR/pki.log" 2>&1 || { cat "$BATS_FILE_TMPDIR/pki.log" >&2; return 1; }
  "$CARAVEL" server --instance "e2e-$1-$$" --data-dir "$DATA" --listen "127.0.0.1:$API_PORT" \
    >"$BATS_FILE_TMPDIR/server.log" 2>&1 3>&- 4>&- &
  SERVER=$!
  retry 60 has '200$' api GET /readyz >/dev/null || { cat "$BATS_FILE_TMPDIR/server.log" >&2; return 1; }
}

server_down() {
  kill "$SERVER"
  wait "$SERVER" || true # it is the child of another shell
}

setup_file() {
  export DATA API_PORT SERVER
  server_up hostile
  # the first of everything costs memory that stays: threads, pools, pages of the store
  hostile heads paths streams
}

teardown_file() {
  server_down
}

hostile() { # GROUP... - HOSTILE_FLAGS: more options, for a server under a sanitizer
  # shellcheck disable=SC2086
  timeout 600 python3 "$BATS_TEST_DIRNAME/hostile.py" --port "$API_PORT" --pki "$DATA/pki" --pid "$SERVER" ${HOSTILE_FLAGS:-} "$@" ||
    { tail -20 "$BATS_FILE_TMPDIR/server.log"; return 1; }
}

@test "heads that are too long, too many, or broken" { hostile heads; }
@test "no request hides behind another" { hostile smuggling; }
@test "bodies that are too large, too deep, or explode" { hostile bodies; }
@test "patches that explode" { hostile patches; }
@test "paths, queries, selectors and tokens of nonsense" { hostile paths; }
@test "hostile definitions of resources" { hostile definitions; }
@test "upgrades of nonsense" { hostile upgrades; }
@test "HTTP/2 broken in every way" { hostile http2; }
@test "HTTP/2 floods" { hostile floods; }
@test "thousands of streams on a connection" { hostile streams; }
@test "slow writers are ended" { hostile slow; }
@test "readers that do not read" { hostile readers; }
@test "many large requests at once" { hostile memory; }
@test "TLS broken in every way, certificates of strangers" { hostile tls; }
@test "ten thousand idle connections" { hostile idle; }

@test "more connections than the server takes" {
  ulimit -n 1536
  server_up crowd # takes a thousand
  hostile --crowd 1400 heads crowd
  server_down
}
