#!/usr/bin/env bats
# helm.bats - a chart (tests/clients/chart) through the life of a release, with the real helm. HELM says which one; without any
# the tests are skipped, as Debian has no package of it.

load helpers

setup_file() {
  export HELM=${HELM:-$(command -v helm)}
  [ -n "$HELM" ] || return 0
  export HELM_CACHE_HOME=$BATS_FILE_TMPDIR/helm HELM_CONFIG_HOME=$BATS_FILE_TMPDIR/helm HELM_DATA_HOME=$BATS_FILE_TMPDIR/helm
  cluster_up "e2e-helm-$$"
  demo_image
}

teardown_file() { [ -z "$HELM" ] || cluster_down; }

setup() {
  [ -n "$HELM" ] || skip "helm is not on this machine; HELM=/path/to/helm names one"
  CHART=$ROOT/tests/clients/chart
}

colour() { k get configmap fleet-settings -o jsonpath='{.data.colour} {.data.revision}'; }

@test "lint and template" {
  "$HELM" lint "$CHART"
  "$HELM" template drawn "$CHART" --include-crds --api-versions policy/v1/PodDisruptionBudget >"$BATS_FILE_TMPDIR/drawn.yaml"
  grep -q 'kind: PodDisruptionBudget' "$BATS_FILE_TMPDIR/drawn.yaml"
}

@test "install, with a definition, hooks, and waiting for what it makes" {
  "$HELM" install fleet "$CHART" --wait --timeout 120s
  is "blue 1" colour
  is 33 k get configmap fleet-settings -o jsonpath='{.data.minor}'
  is yes k get configmap fleet-after -o jsonpath='{.data.done}'
  has "^before 1" k logs fleet-before
  is 1 k get ships fleet -o jsonpath='{.spec.sails}'
}

@test "list, status, get" {
  has 'fleet.*default.*1.*deployed.*harbour-0.1.0' "$HELM" list
  has 'STATUS: deployed' "$HELM" status fleet
  has 'kind: Deployment' "$HELM" get manifest fleet
  has 'fleet-before' "$HELM" get hooks fleet
  has 'colour: blue' "$HELM" get values fleet --all
}

@test "upgrade: three-way merge keeps what others added" {
  k annotate deployment fleet by=hand
  "$HELM" upgrade fleet "$CHART" --set colour=green,replicas=2 --wait --timeout 120s
  is "green 2" colour
  is "2 2" k get deployment fleet -o jsonpath='{.spec.replicas} {.status.readyReplicas}'
  is hand k get deployment fleet -o jsonpath='{.metadata.annotations.by}'
  is 2 k get ships fleet -o jsonpath='{.spec.sails}'
  has "^before 2" k logs fleet-before
}

@test "history and rollback" {
  "$HELM" rollback fleet 1 --wait --timeout 120s
  is "blue 1" colour
  is 1 k get deployment fleet -o jsonpath='{.spec.replicas}'
  has '3.*deployed.*Rollback to 1' "$HELM" history fleet
}

@test "an upgrade that is refused leaves the release as it is" {
  refuses 'spec.replicas: Invalid value' "$HELM" upgrade fleet "$CHART" --set replicas=-1
  is 1 k get deployment fleet -o jsonpath='{.spec.replicas}'
  has 'failed' "$HELM" history fleet
  "$HELM" upgrade fleet "$CHART" --wait --timeout 120s
}

@test "a template that kubectl applies, twice" {
  "$HELM" template drawn "$CHART" --no-hooks | k apply -f -
  local output
  output=$("$HELM" template drawn "$CHART" --no-hooks | k apply -f -)
  [ -z "$(grep -v 'unchanged$' <<<"$output")" ] || { echo "$output"; return 1; }
  "$HELM" template drawn "$CHART" --no-hooks | k delete -f - --wait=false
}

@test "uninstall" {
  "$HELM" uninstall fleet --wait --timeout 120s
  refuses NotFound k get deployment fleet
  refuses NotFound k get configmap fleet-settings
  is "" k get secrets -l owner=helm -o name
  # Definitions stay.
  k get crd ships.helm.example.com
}
