#!/usr/bin/python3
"""The garbage collector and custom kinds, by the API alone: tests/clients/owners.py KUBECONFIG. Ends with "N passed, N failed"."""

import sys

from kubernetes import client, config
from kubernetes.client.rest import ApiException

from check import Checks, eventually

NS = "owners"
GROUP = "owners.example.com"
checks = Checks()
config.load_kube_config(sys.argv[1])
core, custom, extensions = client.CoreV1Api(), client.CustomObjectsApi(), client.ApiextensionsV1Api()


def definition(plural, kind, scope="Namespaced"):
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{GROUP}"},
            "spec": {"group": GROUP, "scope": scope, "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
                     "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {
                         "type": "object", "x-kubernetes-preserve-unknown-fields": True}}}]}}


def reference(owner, controller):
    meta = owner["metadata"]
    return {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": meta["name"], "uid": meta["uid"],
            "controller": controller, "blockOwnerDeletion": True}


def make(name, *owners, plural="fleets", kind="Fleet", finalizers=None):
    return eventually(lambda: custom.create_namespaced_custom_object(GROUP, "v1", NS, plural, {
        "apiVersion": f"{GROUP}/v1", "kind": kind,
        "metadata": {"name": name, "ownerReferences": [reference(owner, owner is owners[0]) for owner in owners], "finalizers": finalizers}}))


def make_map(name, *owners):
    made = core.create_namespaced_config_map(NS, {"metadata": {
        "name": name, "ownerReferences": [reference(owner, owner is owners[0]) for owner in owners]}})
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "uid": made.metadata.uid}}


def is_gone(call):
    try:
        call()
        return False
    except ApiException as reason:
        return reason.status == 404


def no_custom(name, plural="fleets"):
    return lambda: is_gone(lambda: custom.get_namespaced_custom_object(GROUP, "v1", NS, plural, name))


def no_map(name):
    return lambda: is_gone(lambda: core.read_namespaced_config_map(name, NS))


def delete(name, policy, plural="fleets"):
    custom.delete_namespaced_custom_object(GROUP, "v1", NS, plural, name, propagation_policy=policy)


@checks.check
def definitions():
    core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=NS)))
    extensions.create_custom_resource_definition(definition("fleets", "Fleet"))
    extensions.create_custom_resource_definition(definition("oceans", "Ocean", "Cluster"))
    eventually(lambda: custom.list_namespaced_custom_object(GROUP, "v1", NS, "fleets")["items"] == [] or True)


@checks.check
def built_in_dependents_of_a_custom_owner():
    owner = make("a")
    make_map("a1", owner)
    make_map("a2", owner)
    delete("a", "Background")
    eventually(no_custom("a"))
    eventually(no_map("a1"))
    eventually(no_map("a2"))


@checks.check
def custom_dependents_of_a_built_in_owner():
    owner = make_map("b")
    make("b1", owner)
    core.delete_namespaced_config_map("b", NS)
    eventually(no_custom("b1"))


@checks.check
def chains_of_both():
    top = make("c")
    middle = make_map("c1", top)
    make("c2", middle)
    delete("c", "Background")
    eventually(no_custom("c2"))


@checks.check
def in_the_foreground_the_owner_waits():
    owner = make("d")
    held = make("d1", owner, finalizers=["owners.example.com/hold"])
    make_map("d2", owner)
    delete("d", "Foreground")
    eventually(no_map("d2"))
    eventually(lambda: custom.get_namespaced_custom_object(GROUP, "v1", NS, "fleets", "d1")["metadata"]["deletionTimestamp"])
    assert "deletionTimestamp" in custom.get_namespaced_custom_object(GROUP, "v1", NS, "fleets", "d")["metadata"]
    custom.patch_namespaced_custom_object(GROUP, "v1", NS, "fleets", held["metadata"]["name"], {"metadata": {"finalizers": None}})
    eventually(no_custom("d"))


@checks.check
def orphans_stay():
    owner = make("e")
    make_map("e1", owner)
    make("e2", owner)
    delete("e", "Orphan")
    eventually(no_custom("e"))
    assert not core.read_namespaced_config_map("e1", NS).metadata.owner_references
    left = custom.get_namespaced_custom_object(GROUP, "v1", NS, "fleets", "e2")
    assert not left["metadata"].get("ownerReferences"), left["metadata"]


@checks.check
def the_last_of_two_owners():
    one, two = make("f"), make_map("f-map")
    make("f1", one, two)
    delete("f", "Background")
    eventually(lambda: len(custom.get_namespaced_custom_object(GROUP, "v1", NS, "fleets", "f1")["metadata"]["ownerReferences"]) == 1)
    core.delete_namespaced_config_map("f-map", NS)
    eventually(no_custom("f1"))


@checks.check
def an_owner_in_no_namespace():
    owner = custom.create_cluster_custom_object(GROUP, "v1", "oceans", {
        "apiVersion": f"{GROUP}/v1", "kind": "Ocean", "metadata": {"name": "g"}})
    make_map("g1", owner)
    make("g2", owner)
    custom.delete_cluster_custom_object(GROUP, "v1", "oceans", "g")
    eventually(no_map("g1"))
    eventually(no_custom("g2"))


@checks.check
def an_owner_that_never_was():
    make_map("h1", {"apiVersion": f"{GROUP}/v1", "kind": "Fleet", "metadata": {"name": "h", "uid": "0-0-0"}})
    eventually(no_map("h1"))


@checks.check
def a_kind_that_is_defined_later():
    make_map("i1", {"apiVersion": f"{GROUP}/v1", "kind": "Harbour", "metadata": {"name": "i", "uid": "0-0-0"}})
    make_map("i2", {"apiVersion": f"{GROUP}/v1", "kind": "Fleet", "metadata": {"name": "i", "uid": "0-0-0"}})
    eventually(no_map("i2"))
    assert core.read_namespaced_config_map("i1", NS)
    extensions.create_custom_resource_definition(definition("harbours", "Harbour"))
    eventually(no_map("i1"))


@checks.check
def a_definition_takes_owners_and_they_their_dependents():
    owner = make("j", plural="harbours", kind="Harbour")
    make_map("j1", owner)
    extensions.delete_custom_resource_definition(f"harbours.{GROUP}")
    eventually(no_map("j1"))


@checks.check
def a_definition_that_comes_back():
    eventually(lambda: is_gone(lambda: extensions.read_custom_resource_definition(f"harbours.{GROUP}")))
    extensions.create_custom_resource_definition(definition("harbours", "Harbour"))
    owner = make("k", plural="harbours", kind="Harbour")
    make_map("k1", owner)
    delete("k", "Background", "harbours")
    eventually(no_map("k1"))


@checks.check
def it_all_goes():
    core.delete_namespace(NS)
    for plural in ("fleets", "oceans", "harbours"):
        extensions.delete_custom_resource_definition(f"{plural}.{GROUP}")
    eventually(lambda: NS not in [item.metadata.name for item in core.list_namespace().items])


sys.exit(checks.run())
