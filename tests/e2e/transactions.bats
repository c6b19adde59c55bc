#!/usr/bin/env bats
# transactions.bats - many writes at once (caravel apply --atomic, the API itself), and deletions taken back (caravel undo).

load helpers

setup_file() {
  cluster_up e2e-txn-$$
  demo_image
}

teardown_file() {
  cluster_down
}

c() { # caravel on the cluster
  "$CARAVEL" "$@" --kubeconfig "$KUBECONFIG"
}

field() { # TYPE/NAME JSONPATH
  k get "$1" -o jsonpath="{$2}"
}

revision() {
  field "$1" .metadata.resourceVersion
}

@test "apply --atomic makes a namespace and what is in it at one revision" {
  cat >"$BATS_TEST_TMPDIR/all.yaml" <<YAML
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: shop}, data: {k: v}}
---
{apiVersion: v1, kind: Service, metadata: {name: s, namespace: shop}, spec: {ports: [{port: 80}]}}
YAML
  run c apply --atomic -f "$BATS_TEST_TMPDIR/all.yaml" --dry-run=server
  [ "$status" -eq 0 ]
  [ "${lines[1]}" = "configmap/a created (server dry run)" ]
  run k get namespace shop
  [ "$status" -ne 0 ]
  run c apply --atomic -f "$BATS_TEST_TMPDIR/all.yaml"
  [ "$status" -eq 0 ]
  [ "$output" = "namespace/shop created
configmap/a created
service/s created" ]
  [ "$(k get -n shop configmap a -o jsonpath='{.metadata.resourceVersion}')" = \
    "$(k get -n shop service s -o jsonpath='{.metadata.resourceVersion}')" ]
  run c apply --atomic -f "$BATS_TEST_TMPDIR/all.yaml"
  [ "${lines[1]}" = "configmap/a unchanged" ]
}

@test "apply --atomic changes nothing when one object is refused, and says which" {
  k create configmap kept --from-literal=k=old
  cat >"$BATS_TEST_TMPDIR/bad.yaml" <<YAML
{apiVersion: v1, kind: ConfigMap, metadata: {name: kept}, data: {k: new}}
---
{apiVersion: v1, kind: Pod, metadata: {name: bad}, spec: {containers: []}}
YAML
  run c apply --atomic --force-conflicts -f "$BATS_TEST_TMPDIR/bad.yaml"
  [ "$status" -eq 1 ]
  [[ $output =~ "bad.yaml, document 2: Pod \"bad\" is invalid" ]]
  is old field configmap/kept .data.k
}

@test "a transaction over HTTP" {
  k create configmap gone
  run api POST /apis/caravel.io/v1/transactions --data '{"kind":"Transaction","apiVersion":"caravel.io/v1","writes":[
    {"method":"POST","path":"/api/v1/namespaces/default/configmaps","body":{"metadata":{"name":"made"}}},
    {"method":"DELETE","path":"/api/v1/namespaces/default/configmaps/gone"}]}'
  [ "${lines[-1]}" = 200 ]
  [[ $output =~ '"kind":"TransactionResult"' ]]
  k get configmap made
  refuses NotFound k get configmap gone
}

@test "a configmap and its name come back" {
  k create configmap precious --from-literal=k=v
  uid=$(field configmap/precious .metadata.uid)
  refuses "exists: it is not deleted" c undo delete configmap/precious
  k delete configmap precious
  run c undo delete configmap/precious --dry-run=server
  [ "$output" = "configmap/precious restored (server dry run)" ]
  run c undo delete configmap/precious
  [ "$output" = "configmap/precious restored" ]
  is "$uid" field configmap/precious .metadata.uid
  is v field configmap/precious .data.k
  refuses "never was there|was never there|no deletion" c undo delete configmap/nothing
  refuses "say what to undo" c undo
}

ready() {
  is 2 field deployment/web .status.readyReplicas
}

uids_of_web() {
  k get deployments,replicasets,pods -l app=web -o jsonpath='{range .items[*]}{.kind} {.metadata.name} {.metadata.uid}{"\n"}{end}'
}

no_pods() {
  is "" k get pods -l app=web -o name
}

@test "a deployment comes back with its replica set and its pods, which run" {
  k apply -f - <<YAML
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: main, image: "caravel/demo:1"}
YAML
  retry 60 ready
  uids=$(uids_of_web)
  k delete deployment web
  retry 60 no_pods
  retry 60 is "" k get replicasets -l app=web -o name
  run c undo delete deployment/web
  [ "$status" -eq 0 ]
  [ "${#lines[@]}" -eq 4 ]
  [ "${lines[0]}" = "deployment.apps/web restored" ]
  is "$uids" uids_of_web
  retry 60 has "^Running Running$" k get pods -l app=web -o jsonpath='{.items[*].status.phase}'
  retry 60 ready
  is "$uids" uids_of_web # nobody has made others in their place
}

@test "a namespace comes back with what was in it" {
  k create namespace home
  k -n home create configmap a
  k delete namespace home
  run c undo delete namespace/home
  [ "$status" -eq 0 ]
  [[ $output =~ "configmap/a restored" ]]
  k -n home get configmap a
  k -n home get serviceaccount default
  is Active field namespace/home .status.phase
}
