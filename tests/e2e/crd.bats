#!/usr/bin/env bats
# crd.bats - custom resources with real kubectl: definitions, objects, columns, explain, apply, scale, watch, deletion, restart.

load helpers

setup_file() {
  cluster_up "e2e-crd-$$"
  cat >"$BATS_FILE_TMPDIR/crd.yaml" <<'YAML'
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: crontabs.stable.example.com
spec:
  group: stable.example.com
  scope: Namespaced
  names: {plural: crontabs, singular: crontab, kind: CronTab, shortNames: [ct], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas, labelSelectorPath: .status.labelSelector}
    additionalPrinterColumns:
    - {name: Spec, type: string, description: The cron spec, jsonPath: .spec.cronSpec}
    - {name: Replicas, type: integer, jsonPath: .spec.replicas}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
    schema:
      openAPIV3Schema:
        type: object
        description: CronTab runs a job by the clock.
        properties:
          spec:
            type: object
            required: [cronSpec]
            properties:
              cronSpec: {type: string, description: When it runs., pattern: '^(\d+|\*)(/\d+)?(\s+(\d+|\*)(/\d+)?){4}$'}
              image: {type: string, default: "busybox"}
              replicas: {type: integer, minimum: 1, maximum: 10, default: 1}
          status:
            type: object
            properties:
              replicas: {type: integer}
              labelSelector: {type: string}
YAML
  cat >"$BATS_FILE_TMPDIR/object.yaml" <<'YAML'
apiVersion: stable.example.com/v1
kind: CronTab
metadata: {name: a}
spec: {cronSpec: "* * * * */5"}
YAML
}

teardown_file() { cluster_down; }

@test "a definition is established, and its objects can be made at once" {
  k apply -f "$BATS_FILE_TMPDIR/crd.yaml"
  k wait --for=condition=Established --timeout=10s crd/crontabs.stable.example.com
  k apply -f "$BATS_FILE_TMPDIR/object.yaml"
  run k apply -f "$BATS_FILE_TMPDIR/object.yaml"
  [ "$output" = "crontab.stable.example.com/a unchanged" ]
}

@test "every kubectl gets, explains and lists it" {
  local kubectl
  for kubectl in $(kubectl_versions); do
    "$kubectl" api-resources --api-group=stable.example.com | grep -q 'crontabs .*ct .*stable.example.com/v1 .*true .*CronTab'
    run "$kubectl" get ct
    [[ ${lines[0]} =~ NAME\ +SPEC\ +REPLICAS\ +AGE ]]
    [[ ${lines[1]} =~ ^a\ +\*\ \*\ \*\ \*\ \*/5\ +1\ + ]]
    "$kubectl" explain crontab.spec.cronSpec | grep -q 'When it runs.'
    "$kubectl" get crontabs a -o yaml | grep -q 'image: busybox'
    "$kubectl" get all | grep -q crontab.stable.example.com/a
    "$kubectl" describe ct a | grep -q 'Cron Spec: .*\*/5'
  done
}

@test "what does not fit is refused with its field" {
  run k patch ct a --type merge -p '{"spec":{"replicas":11}}'
  [ "$status" -ne 0 ]
  [[ $output == *"spec.replicas: Invalid value: 11: spec.replicas in body should be less than or equal to 10"* ]]
  run k patch ct a --type merge -p '{"spec":{"cronSpec":"often"}}'
  [[ $output == *"spec.cronSpec: Invalid value: \"often\": spec.cronSpec in body should match"* ]]
  run k create -f - <<<'{"apiVersion":"stable.example.com/v1","kind":"CronTab","metadata":{"name":"z"},"spec":{"cronSpec":"* * * * *","extra":1}}'
  [[ $output == *'unknown field "spec.extra"'* ]]
}

@test "a stricter schema forgives what an update leaves as it was" {
  k create -f - <<<'{"apiVersion":"stable.example.com/v1","kind":"CronTab","metadata":{"name":"old"},"spec":{"cronSpec":"* * * * *","replicas":9}}'
  sed 's/maximum: 10/maximum: 5/' "$BATS_FILE_TMPDIR/crd.yaml" | k apply -f -
  retry 30 refuses "less than or equal to 5" k create --dry-run=server -f - <<<'{"apiVersion":"stable.example.com/v1","kind":"CronTab","metadata":{"name":"new"},"spec":{"cronSpec":"* * * * *","replicas":9}}'
  k patch ct old --type merge -p '{"spec":{"image":"other"}}'
  k label ct old kept=yes
  run k patch ct old --type merge -p '{"spec":{"replicas":8}}'
  [ "$status" -ne 0 ]
  [[ $output == *"less than or equal to 5"* ]]
  k patch ct old --type merge -p '{"spec":{"replicas":5}}'
  k apply -f "$BATS_FILE_TMPDIR/crd.yaml"
  k delete ct old
}

@test "server-side apply" {
  k apply --server-side --field-manager one -f - <<<'{"apiVersion":"stable.example.com/v1","kind":"CronTab","metadata":{"name":"s"},"spec":{"cronSpec":"* * * * *","replicas":2}}'
  run k apply --server-side --field-manager two -f - <<<'{"apiVersion":"stable.example.com/v1","kind":"CronTab","metadata":{"name":"s"},"spec":{"cronSpec":"* * * * *","replicas":3}}'
  [ "$status" -ne 0 ]
  [[ $output == *'conflict with "one"'*.spec.replicas* ]]
  k delete ct s
}

@test "status and scale" {
  k patch ct a --subresource status --type merge -p '{"status":{"replicas":1,"labelSelector":"app=a"}}'
  k scale ct a --replicas 3
  [ "$(k get ct a -o jsonpath='{.spec.replicas} {.status.replicas}')" = "3 1" ]
  [ "$(k get --raw /apis/stable.example.com/v1/namespaces/default/crontabs/a/scale | jq -r .status.selector)" = app=a ]
}

@test "watch" {
  k get ct -w -o name >"$BATS_FILE_TMPDIR/watched" &
  local watcher=$!
  retry 10 grep -q crontab.stable.example.com/a "$BATS_FILE_TMPDIR/watched"
  k create -f - <<<'{"apiVersion":"stable.example.com/v1","kind":"CronTab","metadata":{"name":"w"},"spec":{"cronSpec":"* * * * *"}}'
  retry 10 grep -q crontab.stable.example.com/w "$BATS_FILE_TMPDIR/watched"
  kill "$watcher"
  k delete ct w
}

@test "a namespace takes its custom objects with it" {
  k create namespace gone
  k -n gone apply -f "$BATS_FILE_TMPDIR/object.yaml"
  k delete namespace gone --timeout=30s
  k create namespace gone
  [ -z "$(k -n gone get ct -o name)" ]
}

@test "a restart keeps them" {
  local before
  before=$(child_pid server)
  kill "$before"
  retry 20 k get ct a
  [ "$(k get ct a -o jsonpath='{.spec.replicas}')" = 3 ]
}

@test "the objects go with their definition" {
  k delete crd crontabs.stable.example.com --timeout=30s
  run k get --raw /apis/stable.example.com/v1/namespaces/default/crontabs
  [ "$status" -ne 0 ]
  [[ $output == *"the server could not find the requested resource"* ]]
  run k get crontabs.v1.stable.example.com
  [ "$status" -ne 0 ]
  k apply -f "$BATS_FILE_TMPDIR/crd.yaml"
  [ -z "$(k get crontabs -o name)" ]
}
