#!/usr/bin/env bats
# cases.bats - what the API accepts and what it refuses, and in which words: tests/cases/validation, a file a test, on a
# server without a node.

load helpers

setup_file() {
  export API_PORT
  API_PORT=$(free_port)
  "$ROOT/tests/cases/serve" "$BATS_FILE_TMPDIR/server" "$API_PORT"
}

teardown_file() {
  [ ! -f "$BATS_FILE_TMPDIR/server/pid" ] || kill "$(cat "$BATS_FILE_TMPDIR/server/pid")" || true
}

cases() { # [OPTION...] [GROUP/PLURAL...]
  local pki=$BATS_FILE_TMPDIR/server/pki
  "$ROOT/tests/cases/run" --server "https://127.0.0.1:$API_PORT" --ca "$pki/ca.crt" --cert "$pki/admin.crt" \
    --key "$pki/admin.key" "$@"
}

@test "every resource of the stable groups has a file of cases" { cases --coverage; }

@test "every file of cases is a test here" {
  local name
  for name in $("$ROOT/tests/cases/run" --list); do
    grep -qF "@test \"$name\" {" "$BATS_TEST_FILENAME" || { echo "$name is none"; return 1; }
  done
}

@test "admissionregistration.k8s.io/mutatingwebhookconfigurations" { cases admissionregistration.k8s.io/mutatingwebhookconfigurations; }
@test "admissionregistration.k8s.io/validatingadmissionpolicies" { cases admissionregistration.k8s.io/validatingadmissionpolicies; }
@test "admissionregistration.k8s.io/validatingadmissionpolicybindings" { cases admissionregistration.k8s.io/validatingadmissionpolicybindings; }
@test "admissionregistration.k8s.io/validatingwebhookconfigurations" { cases admissionregistration.k8s.io/validatingwebhookconfigurations; }
@test "apiextensions.k8s.io/customresourcedefinitions" { cases apiextensions.k8s.io/customresourcedefinitions; }
@test "apiregistration.k8s.io/apiservices" { cases apiregistration.k8s.io/apiservices; }
@test "apps/controllerrevisions" { cases apps/controllerrevisions; }
@test "apps/daemonsets" { cases apps/daemonsets; }
@test "apps/deployments" { cases apps/deployments; }
@test "apps/replicasets" { cases apps/replicasets; }
@test "apps/statefulsets" { cases apps/statefulsets; }
@test "autoscaling/horizontalpodautoscalers" { cases autoscaling/horizontalpodautoscalers; }
@test "batch/cronjobs" { cases batch/cronjobs; }
@test "batch/jobs" { cases batch/jobs; }
@test "certificates.k8s.io/certificatesigningrequests" { cases certificates.k8s.io/certificatesigningrequests; }
@test "coordination.k8s.io/leases" { cases coordination.k8s.io/leases; }
@test "core/configmaps" { cases core/configmaps; }
@test "core/endpoints" { cases core/endpoints; }
@test "core/events" { cases core/events; }
@test "core/limitranges" { cases core/limitranges; }
@test "core/namespaces" { cases core/namespaces; }
@test "core/nodes" { cases core/nodes; }
@test "core/persistentvolumeclaims" { cases core/persistentvolumeclaims; }
@test "core/persistentvolumes" { cases core/persistentvolumes; }
@test "core/pods" { cases core/pods; }
@test "core/podtemplates" { cases core/podtemplates; }
@test "core/replicationcontrollers" { cases core/replicationcontrollers; }
@test "core/resourcequotas" { cases core/resourcequotas; }
@test "core/secrets" { cases core/secrets; }
@test "core/serviceaccounts" { cases core/serviceaccounts; }
@test "core/services" { cases core/services; }
@test "discovery.k8s.io/endpointslices" { cases discovery.k8s.io/endpointslices; }
@test "events.k8s.io/events" { cases events.k8s.io/events; }
@test "flowcontrol.apiserver.k8s.io/flowschemas" { cases flowcontrol.apiserver.k8s.io/flowschemas; }
@test "flowcontrol.apiserver.k8s.io/prioritylevelconfigurations" { cases flowcontrol.apiserver.k8s.io/prioritylevelconfigurations; }
@test "networking.k8s.io/ingressclasses" { cases networking.k8s.io/ingressclasses; }
@test "networking.k8s.io/ingresses" { cases networking.k8s.io/ingresses; }
@test "networking.k8s.io/ipaddresses" { cases networking.k8s.io/ipaddresses; }
@test "networking.k8s.io/networkpolicies" { cases networking.k8s.io/networkpolicies; }
@test "networking.k8s.io/servicecidrs" { cases networking.k8s.io/servicecidrs; }
@test "node.k8s.io/runtimeclasses" { cases node.k8s.io/runtimeclasses; }
@test "policy/poddisruptionbudgets" { cases policy/poddisruptionbudgets; }
@test "rbac.authorization.k8s.io/clusterrolebindings" { cases rbac.authorization.k8s.io/clusterrolebindings; }
@test "rbac.authorization.k8s.io/clusterroles" { cases rbac.authorization.k8s.io/clusterroles; }
@test "rbac.authorization.k8s.io/rolebindings" { cases rbac.authorization.k8s.io/rolebindings; }
@test "rbac.authorization.k8s.io/roles" { cases rbac.authorization.k8s.io/roles; }
@test "scheduling.k8s.io/priorityclasses" { cases scheduling.k8s.io/priorityclasses; }
@test "storage.k8s.io/csidrivers" { cases storage.k8s.io/csidrivers; }
@test "storage.k8s.io/csinodes" { cases storage.k8s.io/csinodes; }
@test "storage.k8s.io/csistoragecapacities" { cases storage.k8s.io/csistoragecapacities; }
@test "storage.k8s.io/storageclasses" { cases storage.k8s.io/storageclasses; }
@test "storage.k8s.io/volumeattachments" { cases storage.k8s.io/volumeattachments; }
