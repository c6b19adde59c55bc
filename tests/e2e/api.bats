#!/usr/bin/env bats
# api.bats - every resource, verb, subresource and content type of api/, on a server without a node (tests/api/run).

load helpers

setup_file() {
  export API_PORT
  API_PORT=$(free_port)
  "$ROOT/tests/cases/serve" "$BATS_FILE_TMPDIR/server" "$API_PORT"
}

teardown_file() {
  [ ! -f "$BATS_FILE_TMPDIR/server/pid" ] || kill "$(cat "$BATS_FILE_TMPDIR/server/pid")" || true
}

# What is not supported is shown also when all passes.
walk() { # [WORD...]
  local status=0
  "$ROOT/tests/api/run" --server "https://127.0.0.1:$API_PORT" --pki "$BATS_FILE_TMPDIR/server/pki" "$@" \
    >"$BATS_TEST_TMPDIR/out" 2>&1 || status=1
  cat "$BATS_TEST_TMPDIR/out"
  grep -E '^not supported' "$BATS_TEST_TMPDIR/out" | sed 's/^/# /' >&3 || true
  return $status
}

@test "the API, resource by resource, verb by verb, form by form" { walk; }

@test "who owns which field: apply, merge, strategic merge" {
  "$ROOT/tests/cases/run_apply" --server "https://127.0.0.1:$API_PORT" --pki "$BATS_FILE_TMPDIR/server/pki"
}
