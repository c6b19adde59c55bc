#!/usr/bin/env bats
# clients.bats - client libraries other than kubectl, each through a session of its own (tests/clients), on a cluster with a node.

load helpers

setup_file() {
  cluster_up "e2e-clients-$$"
  demo_image
}

teardown_file() { cluster_down; }

@test "python3-kubernetes" {
  /usr/bin/python3 "$ROOT/tests/clients/python.py" "$KUBECONFIG"
}

@test "owners and dependents of custom kinds" {
  /usr/bin/python3 "$ROOT/tests/clients/owners.py" "$KUBECONFIG"
}

@test "an operator: election, finalizers, status, scale, events, conflicts" {
  /usr/bin/python3 "$ROOT/tests/clients/operator.py" "$KUBECONFIG"
}

# What npm fetches goes to a folder of the test's own. Without node, or without a registry, there is nothing to try.
@test "@kubernetes/client-node" {
  command -v node npm >/dev/null || skip "this machine has no node and npm"
  local folder=$BATS_FILE_TMPDIR/node
  mkdir -p "$folder"
  cp "$ROOT"/tests/clients/node/* "$folder"
  (cd "$folder" && timeout 300 npm ci --no-audit --no-fund >npm.log 2>&1) ||
    skip "npm ci: $(grep -m1 -E 'npm (ERR|error)' "$folder/npm.log" || tail -1 "$folder/npm.log")"
  node "$folder/session.js" "$KUBECONFIG"
}
