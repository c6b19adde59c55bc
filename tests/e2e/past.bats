#!/usr/bin/env bats
# past.bats - the memory of the past: asOf, changes, caravel why, caravel diff, on a live cluster.

load helpers

setup_file() {
  cluster_up e2e-past-$$
  demo_image
}

teardown_file() { cluster_down; }

setup() { export DATA=/var/lib/$INSTANCE; }

revision() { k get --raw '/apis/caravel.io/v1/changes?limit=1' | jq -r .metadata.resourceVersion; }
changes() { k get --raw "/apis/caravel.io/v1/changes?$1"; }
c() { timeout 60 "$CARAVEL" "$@"; }

@test "asOf shows an object and a collection as they were, by revision and by time" {
  k create configmap sea --from-literal=depth=1
  first=$(revision)
  time=$(changes 'object=/api/v1/namespaces/default/configmaps/sea&limit=1' | jq -r '.items[0].time')
  before=$(k get --raw /api/v1/namespaces/default/configmaps/sea)
  k patch configmap sea -p '{"data":{"depth":"2"}}'
  k create configmap land
  k delete configmap sea
  [ "$(k get --raw "/api/v1/namespaces/default/configmaps/sea?asOf=$first")" = "$before" ]
  [ "$(k get --raw "/api/v1/namespaces/default/configmaps/sea?asOf=$time")" = "$before" ]
  k get --raw "/api/v1/namespaces/default/configmaps?asOf=$first" | jq -e '[.items[].metadata.name] | index("sea") and (index("land") | not)'
  k get --raw /api/v1/namespaces/default/configmaps | jq -e '[.items[].metadata.name] | index("land") and (index("sea") | not)'

  # Page by page, while others write.
  page=$(k get --raw "/api/v1/namespaces/default/configmaps?asOf=$first&limit=1")
  k create configmap aaa
  next=$(jq -r .metadata.continue <<<"$page")
  names=$(jq -r '.items[].metadata.name' <<<"$page"; k get --raw "/api/v1/namespaces/default/configmaps?limit=100&continue=$next" | jq -r '.items[].metadata.name')
  [ "$(sort <<<"$names" | paste -sd,)" = kube-root-ca.crt,sea ] || [ "$names" = sea ]

  run api GET "/api/v1/pods?asOf=99999999"
  [[ $output == *"in the future"*400 ]]
  run api GET "/api/v1/pods?asOf=$first&watch=true"
  [[ $output == *400 ]]
}

@test "changes tells the history of an object that is gone, and of a range" {
  from=$(revision)
  k create configmap tide --from-literal=level=1
  k patch configmap tide -p '{"data":{"level":"2"}}'
  k delete configmap tide
  to=$(revision)
  told='[.items[] | .type + " " + .rule + " " + .object.data.level] | join(", ")'
  is 'DELETED kubectl delete 2, MODIFIED kubectl patch 2, ADDED kubectl create 1' \
    jq -r "$told" <<<"$(changes object=/api/v1/namespaces/default/configmaps/tide)"
  is 'ADDED kubectl create 1, MODIFIED kubectl patch 2, DELETED kubectl delete 2' \
    jq -r "$told" <<<"$(changes "from=$from&to=$to&resource=/api/v1/namespaces/default/configmaps")"
  is kubernetes-admin jq -r '.items[0].actor' <<<"$(changes "revision=$to")"
}

@test "only administrators read the history of everything" {
  run api GET /apis/caravel.io/v1/changes --cert "$DATA/pki/node.crt" --key "$DATA/pki/node.key"
  [[ $output == *403 ]] || [ ! -f "$DATA/pki/node.crt" ]
}

@test "why: from a running pod back to a person, through scheduler, controllers and node" {
  k create deployment web --image=caravel/demo:1
  retry 60 has Running k get pods -l app=web --no-headers
  pod=$(k get pods -l app=web -o jsonpath='{.items[0].metadata.name}')
  rules=$(c why --no-headers "pod/$pod")
  echo "$rules"
  for want in 'kubelet: pod status' 'scheduler: bind' 'replicaset-controller: create pod' 'deployment-controller: create' 'kubectl create'; do
    grep -q "$want" <<<"$rules"
  done
  [[ $(tail -1 <<<"$rules") == *"created Deployment default/web"*kubernetes-admin*-* ]]

  # Why is it gone? Because somebody deleted the deployment, not because it was once created.
  k delete deployment web
  retry 60 has "deleted Pod default/$pod" c why "pod/$pod"
  rules=$(c why --no-headers "pod/$pod")
  echo "$rules"
  [[ $(tail -1 <<<"$rules") == *"deleted Deployment default/web"*kubernetes-admin*"kubectl delete"* ]]
  ! grep -q created <<<"$rules"
  run c why pod/never-was
  [ "$status" -eq 1 ]
  [[ $output == *"no change of pod/never-was is retained"* ]]
}

@test "diff: what was created, changed and deleted, and which fields" {
  k create configmap stays --from-literal=a=1
  k create configmap goes
  k create secret generic quiet --from-literal=pw=one
  from=$(revision)
  k patch configmap stays -p '{"data":{"a":"2","b":"3"}}'
  k patch secret quiet -p '{"stringData":{"pw":"two"}}'
  k delete configmap goes
  k create configmap comes
  k create configmap passing && k delete configmap passing
  to=$(revision)
  k patch configmap stays -p '{"data":{"a":"later"}}'
  run c diff --from "$from" --to "$to" configmaps
  [ "$output" = 'changed ConfigMap default/stays
  data.a: "1" -> "2"
  data.b: (none) -> "3"
deleted ConfigMap default/goes
created ConfigMap default/comes' ]
  run c diff --from "$from" --to "$to"
  [[ $output == *'data.pw: (hidden) -> (hidden)'* ]]
  is 'changed ConfigMap default/stays
  data.a: "1" -> "later"
  data.b: (none) -> "3"' c diff --from "$from" configmap/stays
  run c diff --from 1h -A namespaces
  [ "$status" -eq 0 ]
  run c diff
  [ "$status" -eq 2 ]
  run c diff --from soon
  [[ $output == *"how long ago"* ]]
}
