#!/usr/bin/python3
"""What operators do, by python3-kubernetes: tests/clients/operator.py KUBECONFIG. Ends with "N passed, N failed".

An operator of the kind Fleet elects itself by a Lease, follows its objects through lists and watches, keeps a ConfigMap for each
ship that a fleet wants, says so in the status, records events, and holds fleets by a finalizer until it has let go of them."""

import datetime
import json
import subprocess
import sys
import threading

from kubernetes import client, config, watch
from kubernetes.client.rest import ApiException

from check import Checks, eventually

NS, GROUP, FINALIZER = "operator", "operator.example.com", "operator.example.com/let-go"
checks = Checks()
config.load_kube_config(sys.argv[1])
core, custom = client.CoreV1Api(), client.CustomObjectsApi()
extensions, coordination = client.ApiextensionsV1Api(), client.CoordinationV1Api()
ROW = (GROUP, "v1", NS, "fleets")

DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"fleets.{GROUP}"},
    "spec": {"group": GROUP, "scope": "Namespaced", "names": {"plural": "fleets", "singular": "fleet", "kind": "Fleet"},
             "versions": [{
                 "name": "v1", "served": True, "storage": True,
                 "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.ships", "statusReplicasPath": ".status.ships"}},
                 "additionalPrinterColumns": [{"name": "Ships", "type": "integer", "jsonPath": ".status.ships"}],
                 "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                     "spec": {"type": "object", "properties": {"ships": {"type": "integer", "minimum": 0}}},
                     "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}}}]},
}


def kubectl(*words):
    run = subprocess.run(["kubectl", "--kubeconfig", sys.argv[1], "-n", NS, *words], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return run.stdout


def now():
    return datetime.datetime.now(datetime.timezone.utc)


class Election:
    """A Lease that one holds; conflicts mean that another was faster."""

    def __init__(self, name, identity):
        self.name, self.identity = name, identity

    def acquire(self):
        spec = {"holderIdentity": self.identity, "leaseDurationSeconds": 2, "acquireTime": now(), "renewTime": now()}
        try:
            lease = coordination.read_namespaced_lease(self.name, NS)
        except ApiException as reason:
            if reason.status != 404:
                raise
            return self.write(coordination.create_namespaced_lease, NS, {"metadata": {"name": self.name}, "spec": spec})
        age = (now() - lease.spec.renew_time).total_seconds()
        if lease.spec.holder_identity not in ("", None, self.identity) and age < lease.spec.lease_duration_seconds:
            return False
        lease.spec = client.V1LeaseSpec(holder_identity=self.identity, lease_duration_seconds=2, renew_time=now(),
                                        lease_transitions=(lease.spec.lease_transitions or 0) + 1)
        return self.write(coordination.replace_namespaced_lease, self.name, NS, lease)

    @staticmethod
    def write(call, *arguments):
        try:
            call(*arguments)
            return True
        except ApiException as reason:
            if reason.status == 409:
                return False
            raise


class Operator(threading.Thread):
    def __init__(self):
        super().__init__(daemon=True)
        self.ending, self.failures = threading.Event(), []

    def run(self):
        revision = None
        while not self.ending.is_set():
            try:
                if revision is None:
                    fleets = custom.list_namespaced_custom_object(*ROW)
                    revision = fleets["metadata"]["resourceVersion"]
                    for fleet in fleets["items"]:
                        self.reconcile(fleet["metadata"]["name"])
                for event in watch.Watch().stream(custom.list_namespaced_custom_object, *ROW, resource_version=revision,
                                                  timeout_seconds=2):
                    revision = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "DELETED":
                        self.reconcile(event["object"]["metadata"]["name"])
            except ApiException as reason:
                revision = None  # 410 or a conflict: from the list again
                if reason.status not in (404, 409, 410):
                    self.failures.append(str(reason))

    def reconcile(self, name):
        fleet = custom.get_namespaced_custom_object(*ROW, name)
        meta, finalizers = fleet["metadata"], fleet["metadata"].get("finalizers", [])
        if "deletionTimestamp" in meta:
            if FINALIZER in finalizers:
                custom.patch_namespaced_custom_object(*ROW, name, {"metadata": {
                    "finalizers": [item for item in finalizers if item != FINALIZER], "resourceVersion": meta["resourceVersion"]}})
            return
        if FINALIZER not in finalizers:
            meta["finalizers"] = finalizers + [FINALIZER]
            fleet = custom.replace_namespaced_custom_object(*ROW, name, fleet)
        self.keep_ships(fleet)
        status = {"ships": fleet["spec"]["ships"], "observedGeneration": fleet["metadata"]["generation"],
                  "conditions": [{"type": "Ready", "status": "True", "reason": "AllThere", "message": "",
                                  "observedGeneration": fleet["metadata"]["generation"]}]}
        if fleet.get("status") != status:
            custom.patch_namespaced_custom_object_status(*ROW, name, {"status": status})
            core.create_namespaced_event(NS, client.CoreV1Event(
                metadata=client.V1ObjectMeta(generate_name=name + "."), reason="Sailed", type="Normal", message="all are there",
                first_timestamp=now(), last_timestamp=now(), count=1, source=client.V1EventSource(component="fleet-operator"),
                involved_object=client.V1ObjectReference(api_version=f"{GROUP}/v1", kind="Fleet", name=name, namespace=NS,
                                                         uid=fleet["metadata"]["uid"])))

    @staticmethod
    def keep_ships(fleet):
        meta = fleet["metadata"]
        wanted = {f"{meta['name']}-{number}" for number in range(fleet["spec"]["ships"])}
        label = f"fleet={meta['name']}"
        there = {item.metadata.name for item in core.list_namespaced_config_map(NS, label_selector=label).items}
        for name in wanted - there:
            core.create_namespaced_config_map(NS, {"metadata": {"name": name, "labels": {"fleet": meta["name"]}, "ownerReferences": [{
                "apiVersion": fleet["apiVersion"], "kind": "Fleet", "name": meta["name"], "uid": meta["uid"], "controller": True,
                "blockOwnerDeletion": True}]}})
        for name in there - wanted:
            core.delete_namespaced_config_map(name, NS)


operator = Operator()


def ships(name):
    return len(core.list_namespaced_config_map(NS, label_selector=f"fleet={name}").items)


@checks.check
def begins():
    core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=NS)))
    extensions.create_custom_resource_definition(DEFINITION)
    eventually(lambda: custom.list_namespaced_custom_object(*ROW)["kind"] == "FleetList")


@checks.check
def one_is_elected():
    first, second = Election("leader", "first"), Election("leader", "second")
    eventually(first.acquire)
    assert not second.acquire()
    assert first.acquire()
    eventually(second.acquire)  # once the first has not renewed for as long as it said
    assert not first.acquire()


@checks.check
def two_at_once_do_not_both_win():
    wins, gate = [], threading.Barrier(6)

    def contend(number):
        lease = Election("contended", str(number))
        gate.wait()
        if lease.acquire():
            wins.append(number)
    threads = [threading.Thread(target=contend, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wins) == 1, wins


@checks.check
def objects_become_real():
    operator.start()
    custom.create_namespaced_custom_object(*ROW, {"apiVersion": f"{GROUP}/v1", "kind": "Fleet", "metadata": {"name": "a"}, "spec": {"ships": 2}})
    kubectl("wait", "--for=condition=Ready", "fleet/a", "--timeout=60s")
    assert ships("a") == 2
    assert kubectl("get", "fleet", "a", "--no-headers").split() == ["a", "2"]


@checks.check
def scale():
    kubectl("scale", "fleet/a", "--replicas=4")
    eventually(lambda: ships("a") == 4)
    fleet = eventually(lambda: (lambda it: it["status"]["ships"] == 4 and it)(custom.get_namespaced_custom_object(*ROW, "a")))
    assert fleet["metadata"]["generation"] == 2 == fleet["status"]["observedGeneration"], fleet


@checks.check
def a_ship_that_is_lost_is_not_seen_but_the_next_change_brings_it_back():
    core.delete_namespaced_config_map("a-0", NS)
    kubectl("annotate", "fleet/a", "look=again")
    eventually(lambda: ships("a") == 4)


@checks.check
def status_does_not_touch_spec_and_spec_not_status():
    before = custom.get_namespaced_custom_object(*ROW, "a")
    after = custom.patch_namespaced_custom_object_status(*ROW, "a", {"spec": {"ships": 9}})
    assert after["spec"] == before["spec"]
    after = custom.patch_namespaced_custom_object(*ROW, "a", {"status": {"ships": 9}})
    assert after["status"]["ships"] == 4


@checks.check
def conflicts_are_retried():
    def add_one(word):
        while True:
            fleet = custom.get_namespaced_custom_object(*ROW, "a")
            fleet["metadata"].setdefault("annotations", {})[word] = "1"
            try:
                custom.replace_namespaced_custom_object(*ROW, "a", fleet)
                return
            except ApiException as reason:
                assert reason.status == 409, reason
    threads = [threading.Thread(target=add_one, args=(f"w{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    annotations = custom.get_namespaced_custom_object(*ROW, "a")["metadata"]["annotations"]
    assert all(f"w{number}" in annotations for number in range(8)), json.dumps(annotations)


@checks.check
def events_are_found_with_their_object():
    assert "Sailed" in eventually(lambda: (lambda text: "Sailed" in text and text)(kubectl("describe", "fleet", "a")))
    assert "Sailed" in kubectl("get", "events", "--field-selector", "involvedObject.kind=Fleet,involvedObject.name=a")


@checks.check
def the_finalizer_holds_until_the_operator_lets_go():
    kubectl("delete", "fleet", "a", "--timeout=60s")
    eventually(lambda: ships("a") == 0)
    assert not operator.failures, operator.failures


@checks.check
def ends():
    operator.ending.set()
    operator.join(30)
    extensions.delete_custom_resource_definition(f"fleets.{GROUP}")
    core.delete_namespace(NS)
    eventually(lambda: NS not in [item.metadata.name for item in core.list_namespace().items])


sys.exit(checks.run())
