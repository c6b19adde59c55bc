#!/usr/bin/env bats
# watch.bats - lists and watches as clients see them: pages, streaming lists, one node's pods, bookmarks, deleted
# collections, what is refused, what is too old.

load helpers

setup_file() {
  cluster_up e2e-watch-$$ --history 20s
  for name in a b c d e; do
    api POST /api/v1/namespaces/default/configmaps --data "{\"metadata\":{\"name\":\"$name\"}}" >/dev/null
  done
}

teardown_file() {
  cluster_down
}

CM=/api/v1/namespaces/default/configmaps
PODS=/api/v1/namespaces/default/pods

pod() { # NAME SPEC-MEMBER - node-a runs it, in vain: there is no such image; or nobody ever schedules it
  api POST "$PODS" --data "{\"metadata\":{\"name\":\"$1\"},
    \"spec\":{$2,\"containers\":[{\"name\":\"c\",\"image\":\"localhost/none:1\",\"imagePullPolicy\":\"Never\"}]}}" | tail -1
}

names() { jq -r '.items[].metadata.name' | paste -sd' '; }

# frames JQ-FILTER - of a watch's lines, without the status line of api
frames() { grep '^{' | jq -r "$1" | paste -sd' '; }

@test "pages show one revision" {
  local first token
  first=$(api GET "$CM?limit=2" | sed '$d')
  [ "$(names <<<"$first")" = "a b" ]
  [ "$(jq .metadata.remainingItemCount <<<"$first")" -ge 3 ]
  token=$(jq -r .metadata.continue <<<"$first")
  api POST "$CM" --data '{"metadata":{"name":"bb"}}' >/dev/null
  api GET "$CM?continue=$token" | sed '$d' | names | grep '^c d e'
  k get configmaps --chunk-size=2 -o name | grep bb
  api DELETE "$CM/bb" >/dev/null
}

@test "options that do not go together are refused in Kubernetes' words" {
  run api GET "$CM?resourceVersionMatch=Exact"
  [[ $output == *"resourceVersionMatch is forbidden unless resourceVersion is provided"* ]]
  [ "${lines[-1]}" = 422 ]
  run api GET "$CM?watch=true&sendInitialEvents=true"
  [[ $output == *"sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"* ]]
  run api GET "$CM?continue=nonsense"
  [ "${lines[-1]}" = 400 ]
  run k get configmaps --field-selector data.x=y
  [ "$status" -ne 0 ]
  [[ $output == *'"data.x" is not a known field selector: only "metadata.name", "metadata.namespace"'* ]]
  run k get pods --field-selector spec.foo=y
  [[ $output == *'field label not supported: spec.foo'* ]]
}

@test "a streaming list ends with the bookmark that clients wait for" {
  run api GET "$CM?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1"
  [ "${lines[-1]}" = 200 ]
  frames '.type + "/" + (.object.metadata.name // .object.metadata.annotations["k8s.io/initial-events-end"] // "")' \
    <<<"$output" | grep -E 'ADDED/a ADDED/b ADDED/c ADDED/d ADDED/e .*BOOKMARK/true'
}

@test "a watch of one name, by selector and by the old path" {
  run api GET "$CM?watch=true&fieldSelector=metadata.name%3Dc&timeoutSeconds=1"
  [ "$(frames '.type + "/" + .object.metadata.name' <<<"$output")" = ADDED/c ]
  run api GET "/api/v1/watch/namespaces/default/configmaps/d?timeoutSeconds=1"
  [ "$(frames '.type + "/" + .object.metadata.name' <<<"$output")" = ADDED/d ]
}

@test "one node's pods, listed and watched" {
  [ "$(pod p1 '"nodeName":"node-a"')" = 201 ]
  [ "$(pod p2 '"schedulerName":"nobody"')" = 201 ]
  [ "$(k get pods --field-selector spec.nodeName=node-a -o name)" = pod/p1 ]
  [ "$(k get pods --field-selector spec.nodeName= -o name)" = pod/p2 ]
  run api GET "$PODS?watch=true&fieldSelector=spec.nodeName%3Dnode-a&timeoutSeconds=1"
  [[ $output == *'"name":"p1"'* ]]
  [[ $output != *'"name":"p2"'* ]]
}

@test "deleting a collection answers with what was deleted" {
  run api DELETE "$CM?fieldSelector=metadata.name%3Da"
  [ "${lines[-1]}" = 200 ]
  [ "$(sed '$d' <<<"$output" | names)" = a ]
  [ "$(sed '$d' <<<"$output" | jq -r .kind)" = ConfigMapList ]
  [ "$(k get configmaps a b --ignore-not-found -o name)" = configmap/b ]
}

# The last frame of a watch that has run out of time, which had nothing else to tell. [ACCEPT]
last_bookmark() {
  api GET "$CM?watch=true&allowWatchBookmarks=true&resourceVersion=$(newest)&timeoutSeconds=1" \
    --header "Accept: ${1:-application/json}" | grep '^{' | tail -1
}

newest() { api GET "$CM?limit=1" | sed '$d' | jq -r .metadata.resourceVersion; }

@test "a watch ends with a bookmark, in the shape that was asked for" {
  local before frame
  before=$(newest)
  frame=$(last_bookmark)
  [ "$(jq -r '"\(.type) \(.object.kind) \(.object.apiVersion)"' <<<"$frame")" = "BOOKMARK ConfigMap v1" ]
  [ "$(jq -r .object.metadata.resourceVersion <<<"$frame")" -ge "$before" ]
  frame=$(last_bookmark "application/json;as=Table;g=meta.k8s.io;v=v1")
  [ "$(jq -r '"\(.type) \(.object.kind) \(.object.apiVersion)"' <<<"$frame")" = "BOOKMARK Table meta.k8s.io/v1" ]
  [ "$(jq -r .object.metadata.resourceVersion <<<"$frame")" -ge "$before" ]
  [ "$(jq -c '.object.rows // []' <<<"$frame")" = "[]" ]
  frame=$(last_bookmark "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")
  [ "$(jq -r '"\(.type) \(.object.kind) \(.object.apiVersion)"' <<<"$frame")" = \
    "BOOKMARK PartialObjectMetadata meta.k8s.io/v1" ]
  [ "$(jq -r .object.metadata.resourceVersion <<<"$frame")" -ge "$before" ]
  run api GET "$CM?watch=true&resourceVersion=$(newest)&timeoutSeconds=1"
  [[ $output != *BOOKMARK* ]]
}

@test "?watch of one object is a plain get" {
  run api GET "$CM/c?watch=true"
  [ "${lines[-1]}" = 200 ]
  [ "$(sed '$d' <<<"$output" | jq -r '.kind + "/" + .metadata.name')" = ConfigMap/c ]
}

@test "JSON is indented for people" {
  api GET "$CM/c" --user-agent curl/8.5.0 | grep '^  "kind": "ConfigMap"'
  api GET "$CM/c?pretty=true" | grep '^  "kind": "ConfigMap"'
  run api GET "$CM/c?pretty=false" --user-agent curl/8.5.0
  [[ $output == *'"kind":"ConfigMap"'* ]]
}

family() { # LABEL - two parents and a child of each
  local name uid
  for name in "$1-1" "$1-2"; do
    uid=$(api POST "$CM" --data "{\"metadata\":{\"name\":\"$name\",\"labels\":{\"family\":\"$1\"}}}" | sed '$d' | jq -r .metadata.uid)
    api POST "$CM" --data "{\"metadata\":{\"name\":\"$name-child\",\"ownerReferences\":[{\"apiVersion\":\"v1\",
      \"kind\":\"ConfigMap\",\"name\":\"$name\",\"uid\":\"$uid\",\"blockOwnerDeletion\":true}]}}" | tail -1 | grep 201
  done
}

@test "a collection is deleted with its dependents first" {
  family fore
  run api DELETE "$CM?labelSelector=family%3Dfore" --data '{"propagationPolicy":"Foreground"}'
  [ "${lines[-1]}" = 200 ]
  retry 60 is "" k get configmaps fore-1 fore-2 fore-1-child fore-2-child --ignore-not-found -o name
}

@test "a collection is deleted and its dependents stay" {
  family orphan
  run api DELETE "$CM?labelSelector=family%3Dorphan&propagationPolicy=Orphan"
  [ "${lines[-1]}" = 200 ]
  retry 60 is "" k get configmaps orphan-1 orphan-2 --ignore-not-found -o name
  [ "$(k get configmaps orphan-1-child orphan-2-child -o jsonpath='{.items[*].metadata.ownerReferences}')" = "" ]
  k delete configmaps orphan-1-child orphan-2-child
}

too_old() { # the reason that a watch from the first revision is given
  api GET "$CM?watch=true&resourceVersion=1&timeoutSeconds=1" | sed '$d' | head -1 | jq -r '.object.reason // .reason'
}

@test "a watch from what is forgotten is told so" {
  retry 120 is Expired too_old
  run api GET "$CM?watch=true&resourceVersion=1&timeoutSeconds=1"
  [[ $output == *'"code":410'* && $output == *'too old resource version'* ]]
  run api GET "$CM?resourceVersion=1&resourceVersionMatch=Exact"
  [ "${lines[-1]}" = 410 ]
}
