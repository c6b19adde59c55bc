#!/usr/bin/env bats
# streams.bats - exec, attach, cp and port-forward by every kubectl there is: the older ones speak SPDY, the newer ones
# WebSocket.

load helpers

setup_file() {
  cluster_up e2e-streams-$$
  demo_image
  stream_pods | k apply -f -
  k wait --for=condition=Ready pod --all --timeout=30s ||
    { k get events; cat "$DATA/caravel.log"; ps axf; return 1; } >&2
  head -c 50000000 /dev/urandom >"$BATS_FILE_TMPDIR/big"
}

teardown_file() {
  cluster_down
}

stream_pods() {
  cat <<'YAML'
apiVersion: v1
kind: Pod
metadata:
  name: demo
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - { name: web, image: caravel/demo:1, imagePullPolicy: Never }
  - { name: side, image: caravel/demo:1, imagePullPolicy: Never, command: [sh, -c, "sleep 100000"] }
---
apiVersion: v1
kind: Pod
metadata:
  name: reader
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: reader
    image: caravel/demo:1
    imagePullPolicy: Never
    stdin: true
    command: [sh, -c, 'while read line; do echo "got $line"; echo "heard $line" >&2; done']
---
apiVersion: v1
kind: Pod
metadata:
  name: terminal
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - { name: sh, image: caravel/demo:1, imagePullPolicy: Never, stdin: true, tty: true,
      command: [sh, -c, "while :; do sh; done"] }
YAML
}

# each COMMAND... - runs it with K set to every kubectl; the first that fails is named.
each() {
  local K
  for K in $(kubectl_versions); do
    "$@" || { echo "with $K"; return 1; }
  done
}

is() { # WANT GOT
  [ "$1" = "$2" ] || { echo "\"$2\", not \"$1\""; return 1; }
}

exec_codes() {
  local code
  for code in 0 1 7 137; do
    run timeout 60 "$K" exec demo -c web -- sh -c "exit $code"
    is "$code" "$status" || return 1
  done
}

exec_streams() {
  local out err
  out=$(timeout 60 "$K" exec demo -c web -- sh -c 'echo out; echo err >&2' 2>"$BATS_TEST_TMPDIR/err") || return 1
  err=$(cat "$BATS_TEST_TMPDIR/err")
  is out "$out" && is err "$err"
}

exec_stdin() {
  is "HELLO" "$(echo hello | timeout 60 "$K" exec -i demo -c web -- tr a-z A-Z)" || return 1
  # a command that does not read is not waited for
  is done "$(head -c 3000000 /dev/zero | timeout 60 "$K" exec -i demo -c web -- echo done)"
}

exec_terminal() {
  local got inside='until stty size | grep -v "^0 0"; do sleep 0.1; done; read x; echo got $x; exit 4'
  got=$(INSIDE=$inside timeout 60 script -qec \
    "stty rows 33 cols 77; $K exec -it demo -c web -- sh -c \"\$INSIDE\"; echo code \$?" \
    /dev/null <<<"typed" | tr -d '\r')
  [[ $got == *"33 77"* && $got == *"got typed"* && $got == *"code 4"* ]] || { echo "$got"; return 1; }
}

exec_much() {
  is 30000000 "$(timeout 60 "$K" exec demo -c web -- sh -c 'head -c 30000000 /dev/zero' | wc -c)"
}

@test "exec: exit codes" { each exec_codes; }
@test "exec: stdout and stderr apart" { each exec_streams; }
@test "exec: stdin, and its end" { each exec_stdin; }
@test "exec: a terminal with its size" { each exec_terminal; }
@test "exec: much output" { each exec_much; }

@test "exec: what cannot be" {
  run k exec demo -c nope -- true
  [ "$status" -ne 0 ]
  [[ $output == *"container nope is not valid for pod demo"* ]]
  run k exec demo -- true
  [[ $output == *"a container name must be specified"* || $status -eq 0 ]]
  run k exec absent -- true
  [[ $output == *'pods "absent" not found'* ]]
  run k exec demo -c web -- no-such-program
  [ "$status" -eq 1 ]
  [[ $output == *"no-such-program"* ]]
  run curl -sk --max-time 5 "https://127.0.0.1:$API_PORT/api/v1/namespaces/default/pods/demo/exec?command=ls&stdout=1"
  [[ $output == *'"code":401'* || $output == *'"code": 401'* ]]
  run k get --raw "/api/v1/namespaces/default/pods/demo/exec?command=ls&stdout=1&container=web"
  [[ $output == *"Upgrade request required"* ]]
}

copy_both_ways() {
  local back=$BATS_TEST_TMPDIR/back
  timeout 120 "$K" cp -c web "$BATS_FILE_TMPDIR/big" demo:/tmp/big 2>&1 || return 1
  timeout 120 "$K" cp -c web demo:/tmp/big "$back" 2>&1 || return 1
  cmp "$BATS_FILE_TMPDIR/big" "$back" && rm "$back"
}

@test "cp: 50 MB there and back" { each copy_both_ways; }

# attached COMMAND... - runs it in the background with what is written to descriptor 5 as its input; its output goes to
# $BATS_TEST_TMPDIR/out and err. detach ends it.
attached() {
  rm -f "$BATS_TEST_TMPDIR/in"
  mkfifo "$BATS_TEST_TMPDIR/in"
  exec 5<>"$BATS_TEST_TMPDIR/in"
  "$@" <&5 >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" 3>&- 5>&- &
  ATTACHED=$!
}

detach() {
  kill "$ATTACHED" 2>/dev/null
  wait "$ATTACHED" 2>/dev/null
  exec 5>&-
}

attach_streams() {
  local ok=0
  attached "$K" attach -i reader
  echo one >&5
  { retry 20 grep "got one" "$BATS_TEST_TMPDIR/out" && retry 20 grep "heard one" "$BATS_TEST_TMPDIR/err"; } || ok=1
  detach
  return $ok
}

press_enter_for_prompt() {
  echo >&5
  sleep 0.3
  grep -q '# ' "$BATS_TEST_TMPDIR/out"
}

attach_terminal() {
  local ok=0
  attached script -qec "$K attach -it terminal" /dev/null
  if retry 20 press_enter_for_prompt; then
    echo 'echo $((6*7))' >&5
    retry 20 grep 42 "$BATS_TEST_TMPDIR/out" || ok=1
  else
    ok=1
  fi
  detach
  [ $ok -eq 0 ] || { cat "$BATS_TEST_TMPDIR/out"; return 1; }
}

@test "attach: streams" { each attach_streams; }
@test "attach: a terminal" { each attach_terminal; }

forward() {
  local port pid ok=0 i pids=()
  port=$(free_port)
  timeout 60 "$K" port-forward pod/demo "$port:8080" >"$BATS_TEST_TMPDIR/forward" 2>&1 3>&- &
  pid=$!
  retry 10 curl -sf --max-time 5 "http://127.0.0.1:$port/" | grep -q "It sails" || ok=1
  for i in 1 2 3 4 5 6 7 8; do
    curl -sf --max-time 10 "http://127.0.0.1:$port/big" -o "$BATS_TEST_TMPDIR/got.$i" 3>&- &
    pids+=($!)
  done
  wait "${pids[@]}" || ok=1
  for i in 1 2 3 4 5 6 7 8; do
    cmp "$BATS_TEST_TMPDIR/sent" "$BATS_TEST_TMPDIR/got.$i" || ok=1
  done
  kill "$pid" && wait "$pid" || true
  [ "$ok" -eq 0 ] || { cat "$BATS_TEST_TMPDIR/forward"; return 1; }
}

@test "port-forward: many connections at once" {
  head -c 3000000 /dev/urandom >"$BATS_TEST_TMPDIR/sent"
  k exec -i demo -c web -- sh -c 'cat >/www/big' <"$BATS_TEST_TMPDIR/sent"
  each forward
}

@test "port-forward: where nobody listens" {
  local port pid
  port=$(free_port)
  timeout 30 kubectl port-forward pod/demo "$port:9" >"$BATS_TEST_TMPDIR/forward" 2>&1 3>&- &
  pid=$!
  retry 10 grep -q Forwarding "$BATS_TEST_TMPDIR/forward"
  run curl -s --max-time 5 "http://127.0.0.1:$port/"
  [ "$status" -ne 0 ]
  retry 10 grep -q "refused" "$BATS_TEST_TMPDIR/forward"
  kill "$pid" 2>/dev/null || true
}

# Raw HTTP, many at once: a hundred kubectls would only measure themselves.
@test "a hundred at once" {
  run timeout 120 python3 "$BATS_TEST_DIRNAME/streams.py" "$KUBECONFIG" default demo web 100
  [ "$status" -eq 0 ] || { echo "$output"; return 1; }
}

@test "a client that goes takes its command along" {
  timeout 2 kubectl exec demo -c web -- sleep 98765 || true
  retry 10 sh -c '! pgrep -f "^sleep 98765"'
}

@test "an agent that is killed ends its streams with an error" {
  local pid
  timeout 60 kubectl exec demo -c web -- sleep 100 >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
  pid=$!
  retry 10 pgrep -f "^sleep 100$"
  kill -9 "$(child_pid agent)"
  run wait "$pid"
  [ "$status" -ne 0 ] && [ "$status" -ne 124 ]
  retry 20 kubectl exec demo -c web -- true
}
