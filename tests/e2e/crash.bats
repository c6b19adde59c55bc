#!/usr/bin/env bats
# crash.bats - kill -9 of every part at bad moments: nothing acknowledged is lost, nothing is half there, pods go on.

load helpers

setup_file() {
  cluster_up e2e-crash-$$
  demo_image
  demo_pod steady | k apply -f -
  demo_pod writer sh -c 'i=0; while :; do echo line $i; i=$((i+1)); sleep 0.2; done' | k apply -f -
  k create deployment web --image=caravel/demo:1 --replicas=2
  k wait --for=condition=Ready pod/steady pod/writer --timeout=60s
  k rollout status deployment/web --timeout=60s
  pod_field steady .status.podIP >"$BATS_FILE_TMPDIR/steady.ip"
  k create namespace storm
}

teardown_file() {
  cluster_down
}

teardown() { # a test that has failed may leave the supervisor stopped
  [ ! -f "$DATA/up.lock" ] || kill -CONT "$(cat "$DATA/up.lock")" 2>/dev/null || true
}

container_pids() {
  local id
  for id in $(crun --root "/run/$INSTANCE/crun" list -q); do
    crun --root "/run/$INSTANCE/crun" state "$id" | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])'
  done | sort
}

serving() { # the API answers
  has "^ok" k get --raw /readyz
}

another() { # server|agent OLD-PID - there is one, and it is not that one
  local pid
  pid=$(child_pid "$1") && [ "$pid" != "$2" ]
}

steady_serves() {
  has "It sails" curl -sS --max-time 5 "http://$(cat "$BATS_FILE_TMPDIR/steady.ip"):8080/"
}

node_ready() {
  k wait --for=condition=Ready node/node-a --timeout=30s
}

kill_child() { # server|agent - and waits for the next one
  local pid
  pid=$(child_pid "$1")
  kill -9 "$pid"
  retry 60 another "$1" "$pid"
}

@test "kill -9 of the server amid concurrent creates: all that was acknowledged is there, whole; a watch misses nothing" {
  python3 "$BATS_TEST_DIRNAME/storm.py" --port "$API_PORT" --data "$DATA" --namespace storm --count 600 --threads 200 \
    --kill-at 150 400
}

@test "again, with few writers and big steps between the kills" {
  k create namespace drizzle
  python3 "$BATS_TEST_DIRNAME/storm.py" --port "$API_PORT" --data "$DATA" --namespace drizzle --count 120 --threads 2 \
    --kill-at 40 80
}

@test "what was deleted before the crash stays deleted; resourceVersions go on from where they were" {
  local before after
  k create configmap -n storm gone --from-literal=a=b
  k create configmap -n storm changed --from-literal=a=1
  k delete configmap -n storm gone
  k patch configmap -n storm changed -p '{"data":{"a":"2"}}'
  before=$(k get configmap -n storm changed -o jsonpath='{.metadata.resourceVersion}')
  kill_child server
  retry 60 serving
  refuses "NotFound" k get configmap -n storm gone
  is 2 k get configmap -n storm changed -o jsonpath='{.data.a}'
  is "$before" k get configmap -n storm changed -o jsonpath='{.metadata.resourceVersion}'
  k patch configmap -n storm changed -p '{"data":{"a":"3"}}'
  after=$(k get configmap -n storm changed -o jsonpath='{.metadata.resourceVersion}')
  [ "$after" -gt "$before" ]
}

@test "pods run on while the server is down; it finds them, and the node, again" {
  local pids up
  pids=$(container_pids)
  up=$(cat "$DATA/up.lock")
  kill -STOP "$up" # nobody starts it again for now
  kill -9 "$(child_pid server)"
  refuses "refused|connect" k get nodes
  run steady_serves
  local served=$status now
  now=$(container_pids)
  kill -CONT "$up"
  [ "$served" -eq 0 ]
  [ "$now" = "$pids" ]
  retry 60 serving
  node_ready
  [ "$(container_pids)" = "$pids" ]
  # The agent takes orders again.
  demo_pod after | k apply -f -
  k wait --for=condition=Ready pod/after --timeout=60s
  k delete pod after
}

@test "kill -9 of the agent: containers keep their pids, and it takes them over" {
  local pids ids
  pids=$(container_pids)
  ids=$(k get pods -o jsonpath='{.items[*].status.containerStatuses[*].containerID}')
  kill_child agent
  steady_serves
  retry 30 has "line [0-9]+" k logs writer --tail=1
  demo_pod after | k apply -f -
  k wait --for=condition=Ready pod/after --timeout=60s
  k delete pod after
  [ "$(container_pids)" = "$pids" ]
  is "$ids" k get pods -o jsonpath='{.items[*].status.containerStatuses[*].containerID}'
  is "0 0 0 0" k get pods -o jsonpath='{.items[*].status.containerStatuses[*].restartCount}'
}

@test "a container that dies while no agent runs is started again by the next one" {
  local up id
  id=$(pod_field writer '.status.containerStatuses[0].containerID')
  up=$(cat "$DATA/up.lock")
  kill -STOP "$up"
  kill -9 "$(child_pid agent)"
  crun --root "/run/$INSTANCE/crun" kill "${id##*/}" KILL
  kill -CONT "$up"
  retry 60 is 1 pod_field writer '.status.containerStatuses[0].restartCount'
  retry 30 has '"running"' pod_field writer '.status.containerStatuses[0].state'
}

@test "a pod deleted while no agent runs goes when there is one again" {
  local up
  demo_pod doomed | k apply -f -
  k wait --for=condition=Ready pod/doomed --timeout=60s
  up=$(cat "$DATA/up.lock")
  kill -STOP "$up"
  kill -9 "$(child_pid agent)"
  k delete pod doomed --wait=false
  has "deletionTimestamp" k get pod doomed -o yaml
  kill -CONT "$up"
  k wait --for=delete pod/doomed --timeout=60s
}

@test "kill -9 of the agent while pods are being made: each runs once" {
  local i
  for i in 1 2 3 4 5 6; do demo_pod "burst-$i"; echo ---; done | k apply -f - >/dev/null
  kill_child agent
  k wait --for=condition=Ready pod/burst-1 pod/burst-2 pod/burst-3 pod/burst-4 pod/burst-5 pod/burst-6 --timeout=60s
  # One container a pod is alive, whatever the agent was at when it died.
  is "$(k get pods -o name | wc -l)" count_running
  k delete pod burst-1 burst-2 burst-3 burst-4 burst-5 burst-6 >/dev/null
}

count_running() {
  crun --root "/run/$INSTANCE/crun" list | grep -cE ' (running|created) '
}

@test "kill -9 of the supervisor: its children follow, pods stay, the next up takes over" {
  local pids up
  pids=$(container_pids)
  up=$(cat "$DATA/up.lock")
  kill -9 "$up"
  retry 30 is "" pgrep -f "caravel (server|agent) --instance $INSTANCE"
  steady_serves
  cluster_start
  node_ready
  k get pods
  [ "$(container_pids)" = "$pids" ]
  is "3" k get configmap -n storm changed -o jsonpath='{.data.a}'
}

@test "everything at once: kill -9 of supervisor, server and agent" {
  local pids
  pids=$(container_pids)
  kill -9 "$(cat "$DATA/up.lock")" "$(child_pid server)" "$(child_pid agent)"
  steady_serves
  cluster_start
  node_ready
  [ "$(container_pids)" = "$pids" ]
  k rollout status deployment/web --timeout=60s
  demo_pod final | k apply -f -
  k wait --for=condition=Ready pod/final --timeout=60s
}

@test "down --purge after crashes leaves nothing" {
  kill -9 "$(cat "$DATA/up.lock")" "$(child_pid server)" "$(child_pid agent)"
  "$CARAVEL" down --instance "$INSTANCE" --purge
  run traces "$INSTANCE"
  echo "$output"
  [ -z "$output" ]
}
