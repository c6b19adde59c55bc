#!/usr/bin/env bats
# watch.bats - lists and watches as clients see them: pages, streaming lists, one node's pods, what is refused.

load helpers

setup_file() {
  cluster_up e2e-watch-$$
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
