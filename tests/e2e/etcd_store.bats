#!/usr/bin/env bats
# Two stores on one real etcd (tests/etcd/store.c): what both write, watch, lead, and what happens when etcd is away.

ROOT=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

start_etcd() { # on a free port, which somebody else may take before it does
  local port peer
  port=$(free_port)
  peer=http://127.0.0.1:$(free_port)
  rm -rf "$FOLDER/data"
  etcd --name one --data-dir "$FOLDER/data" --listen-client-urls "http://127.0.0.1:$port" \
    --advertise-client-urls "http://127.0.0.1:$port" --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" \
    --initial-cluster "one=$peer" --quota-backend-bytes 33554432 >"$FOLDER/log" 2>&1 3>&- 4>&- &
  ETCD=$!
  ENDPOINT=127.0.0.1:$port
  for _ in $(seq 300); do
    kill -0 "$ETCD" 2>/dev/null || return 1
    ! curl --silent --max-time 2 "http://$ENDPOINT/health" | grep -q true || return 0
    sleep 0.1
  done
  return 1
}

setup() {
  command -v etcd >/dev/null || skip "there is no etcd"
  FOLDER=$(mktemp -d "/dev/shm/caravel-etcd-store-XXXXXX")
  start_etcd || start_etcd || start_etcd || { cat "$FOLDER/log"; return 1; }
}

teardown() {
  [ -z "${ETCD:-}" ] || { kill -CONT "$ETCD"; kill -KILL "$ETCD"; wait "$ETCD"; } 2>/dev/null || true
  [ -z "${FOLDER:-}" ] || rm -rf "$FOLDER"
}

@test "two stores on one etcd" {
  TMPDIR=$FOLDER run timeout 240 "${ETCD_STORE:-$ROOT/build/tests/etcd/etcd_store}" "$ENDPOINT" "$ETCD"
  echo "$output"
  [ "$status" -eq 0 ]
}
