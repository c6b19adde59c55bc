#!/usr/bin/env bats
# The client of etcd against three real members with TLS: calls, leases, watches, trouble, users.

bats_require_minimum_version 1.5.0
load helpers

setup_file() {
  command -v etcd >/dev/null && command -v etcdctl >/dev/null || return 0
  export FOLDER
  FOLDER=$(mktemp -d /dev/shm/caravel-etcd-XXXXXX)
  cluster up --tls --own-limits --owner $$
}

setup() {
  [ -n "${FOLDER:-}" ] || skip "etcd is not installed"
}

teardown_file() {
  [ -z "${FOLDER:-}" ] || cluster down
}

cluster() {
  "$ROOT/tests/etcd/cluster" "$FOLDER" "$@" 3>&- 4>&-
}

client() { # [OPTION...] ENDPOINTS CHECK... - from machine 0, where no member is
  cluster exec 0 timeout 120 "$ROOT/build/tests/etcd/client_check" --ca "$FOLDER/tls/ca.crt" "$@"
}

known() { # CHECK...
  client --cert "$FOLDER/tls/client.crt" --key "$FOLDER/tls/client.key" "$(cluster endpoints)" "$@"
}

@test "calls, transactions, refusals, compaction" {
  known calls
}

@test "leases are granted, kept and revoked" {
  known leases
}

@test "watches: live, far behind in fragments, paused, compacted" {
  known watches
}

@test "the first member of the list does not exist" {
  client --cert "$FOLDER/tls/client.crt" --key "$FOLDER/tls/client.key" "10.77.0.9,10.77.0.1:1,$(cluster endpoints)" leases
}

@test "each member is killed once while writes and a watch go on" {
  known through "for m in 1 2 3; do '$ROOT/tests/etcd/cluster' '$FOLDER' bounce \$m || exit 1; done"
}

@test "the leader is cut off, then the member that the client talks to, then both are healed" {
  known through "c='$ROOT/tests/etcd/cluster $FOLDER'; l=\$(\$c leader) && \$c cut \$l && sleep 3 && \$c heal \$l &&
    \$c wait && \$c cut 1 2380 && sleep 3 && \$c heal 1 && \$c wait"
}

@test "a server of another authority and a client without a certificate are refused" {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=other -days 2 \
    -keyout "$BATS_TEST_TMPDIR/other.key" -out "$BATS_TEST_TMPDIR/other.crt" 2>/dev/null
  run ! cluster exec 0 "$ROOT/build/tests/etcd/client_check" --ca "$BATS_TEST_TMPDIR/other.crt" --patience 2 \
    "$(cluster endpoints)" leases
  [[ $output == *"certificate verify failed"* ]]
  run ! client --patience 2 "$(cluster endpoints)" leases
  [[ $output == *"certificate"* ]]
}

@test "a user logs in, and again when etcd has forgotten the token" {
  local own=(--cert "$FOLDER/tls/client.crt" --key "$FOLDER/tls/client.key")
  cluster ctl user add root:word
  cluster ctl user grant-role root root
  cluster ctl auth enable
  run ! client "${own[@]}" --patience 2 --user root --password other "$(cluster endpoints)" leases
  [[ $output == *"authentication failed"* ]]
  client "${own[@]}" --user root --password word "$(cluster endpoints)" leases
  client "${own[@]}" --user root --password word "$(cluster endpoints)" through "for m in 1 2 3; do
    '$ROOT/tests/etcd/cluster' '$FOLDER' bounce \$m || exit 1; done"
}
