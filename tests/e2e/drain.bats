#!/usr/bin/env bats
# drain.bats - evictions, with and without a budget that forbids them.

load helpers

PODS=/api/v1/namespaces/default/pods

setup_file() {
  cluster_up e2e-drain-$$
  demo_image
  workload | k apply -f -
  k wait --for=condition=Available deployment/web --timeout=60s ||
    { k get events; cat "$DATA/caravel.log"; return 1; } >&2
}

teardown_file() {
  cluster_down
}

workload() {
  cat <<'YAML'
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: "caravel/demo:1", imagePullPolicy: Never}]
YAML
}

budget() { # NAME SPEC
  printf 'apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: %s}\nspec: {%s, selector: {matchLabels: {app: web}}}\n' \
    "$1" "$2" | k apply -f -
}

allowed() { k get pdb "$1" -o jsonpath='{.status.disruptionsAllowed}'; }

evict() { # POD [OPTIONS-AS-JSON]
  api POST "$PODS/$1/eviction" \
    --data "{\"apiVersion\":\"policy/v1\",\"kind\":\"Eviction\",\"metadata\":{\"name\":\"$1\"}${2:+,\"deleteOptions\":$2}}"
}

first_pod() {
  k get pods -l app=web --field-selector=status.phase=Running -o jsonpath='{.items[0].metadata.name}'
}

@test "a budget counts" {
  budget web "minAvailable: 1"
  retry 30 is 1 allowed web
  is "2 1 2" k get pdb web -o jsonpath='{.status.currentHealthy} {.status.desiredHealthy} {.status.expectedPods}'
  has "SufficientPods" k get pdb web -o jsonpath='{.status.conditions}'
}

@test "what a budget refuses" {
  budget web "minAvailable: 2"
  retry 30 is 0 allowed web
  run evict "$(first_pod)"
  [[ $output == *"Cannot evict pod as it would violate the pod's disruption budget."*429 ]]
  [[ $output == *'"reason":"DisruptionBudget","message":"The disruption budget web needs 2 healthy pods and has 2 currently"'* ]]
  budget second "minAvailable: 1"
  retry 30 is 1 allowed second
  run evict "$(first_pod)"
  [[ $output == *"This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."*500 ]]
  k delete pdb second
}

@test "dry runs and preconditions" {
  local pod
  budget web "minAvailable: 1"
  retry 30 is 1 allowed web
  pod=$(first_pod)
  has 201 evict "$pod" '{"dryRun":["All"]}'
  is "" pod_field "$pod" .metadata.deletionTimestamp
  is 1 allowed web
  run evict "$pod" '{"preconditions":{"uid":"other"}}'
  [[ $output == *409 ]]
  is 1 allowed web
}

@test "kubectl drain waits for the budget, then goes on" {
  local pid
  budget web "minAvailable: 2"
  retry 30 is 0 allowed web
  run timeout 60 kubectl drain node-a --ignore-daemonsets --timeout=4s
  [ "$status" -ne 0 ]
  [[ $output == *"Cannot evict pod as it would violate"* ]]
  is 2 sh -c "kubectl get pods -l app=web --field-selector=status.phase=Running -o name | wc -l"
  kubectl drain node-a --ignore-daemonsets --timeout=100s >"$BATS_TEST_TMPDIR/drain" 2>&1 3>&- &
  pid=$!
  retry 60 grep -q "Cannot evict" "$BATS_TEST_TMPDIR/drain"
  k delete pdb web
  wait "$pid" || { cat "$BATS_TEST_TMPDIR/drain"; return 1; }
  grep -q "node/node-a drained" "$BATS_TEST_TMPDIR/drain"
  # new ones wait for a node
  retry 30 is "Pending Pending" k get pods -l app=web -o jsonpath='{.items[*].status.phase}'
  k uncordon node-a
  k wait --for=condition=Available deployment/web --timeout=60s
}

@test "kubectl drain without a budget" {
  run timeout 60 kubectl drain node-a --ignore-daemonsets --timeout=50s
  [ "$status" -eq 0 ] || { echo "$output"; return 1; }
  [[ $output == *evicted* ]]
  k uncordon node-a
}
