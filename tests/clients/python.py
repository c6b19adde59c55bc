#!/usr/bin/python3
"""A session with Debian's python3-kubernetes, step by step: tests/clients/python.py KUBECONFIG. Ends with "N passed, N failed"."""

import json
import sys
import threading
import time

from kubernetes import client, config, dynamic, watch
from kubernetes.client.rest import ApiException
from kubernetes.stream import portforward, stream

from check import Checks, eventually

NS = "py"
checks = Checks()
config.load_kube_config(sys.argv[1])
core, apps, batch = client.CoreV1Api(), client.AppsV1Api(), client.BatchV1Api()


def config_map(name, data, labels=None):
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels=labels), data=data)


def pod(name, command=None):
    container = client.V1Container(name="main", image="caravel/demo:1", command=command,
                                   ports=[client.V1ContainerPort(container_port=8080)])
    return client.V1Pod(metadata=client.V1ObjectMeta(name=name, labels={"app": name}),
                        spec=client.V1PodSpec(containers=[container], termination_grace_period_seconds=0))


@checks.check
def version_and_discovery():
    assert client.VersionApi().get_code().minor.startswith("33")
    groups = {group.name for group in client.ApisApi().get_api_versions().groups}
    assert {"apps", "batch", "networking.k8s.io"} <= groups
    assert any(row.name == "pods/log" for row in core.get_api_resources().resources)


@checks.check
def namespaces():
    core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=NS)))
    eventually(lambda: core.read_namespaced_service_account("default", NS))


@checks.check
def create_get_list_patch_replace_delete():
    made = core.create_namespaced_config_map(NS, config_map("a", {"k": "1"}))
    assert made.metadata.uid and made.metadata.creation_timestamp
    core.patch_namespaced_config_map("a", NS, {"data": {"k": "2"}})
    now = core.read_namespaced_config_map("a", NS)
    assert now.data == {"k": "2"}
    now.data["l"] = "3"
    core.replace_namespaced_config_map("a", NS, now)
    try:
        core.replace_namespaced_config_map("a", NS, made)
        raise AssertionError("an old version was accepted")
    except ApiException as reason:
        assert reason.status == 409, reason
    core.delete_namespaced_config_map("a", NS)
    try:
        core.read_namespaced_config_map("a", NS)
        raise AssertionError("it is still there")
    except ApiException as reason:
        assert reason.status == 404 and '"reason":"NotFound"' in reason.body.replace(" ", "")


@checks.check
def several_kinds():
    core.create_namespaced_secret(NS, client.V1Secret(metadata=client.V1ObjectMeta(name="s"), string_data={"a": "b"}))
    assert core.read_namespaced_secret("s", NS).data == {"a": "Yg=="}
    core.create_namespaced_service(NS, client.V1Service(
        metadata=client.V1ObjectMeta(name="svc"),
        spec=client.V1ServiceSpec(selector={"app": "web"}, ports=[client.V1ServicePort(port=80, target_port="http")])))
    assert core.read_namespaced_service("svc", NS).spec.cluster_ip
    batch.create_namespaced_job(NS, client.V1Job(
        metadata=client.V1ObjectMeta(name="j"),
        spec=client.V1JobSpec(suspend=True, template=client.V1PodTemplateSpec(spec=client.V1PodSpec(
            restart_policy="Never", containers=[client.V1Container(name="a", image="caravel/demo:1")])))))
    for delete in (core.delete_namespaced_secret, core.delete_namespaced_service, batch.delete_namespaced_job):
        delete({core.delete_namespaced_secret: "s", core.delete_namespaced_service: "svc"}.get(delete, "j"), NS)


@checks.check
def selectors_and_pages():
    for number in range(12):
        core.create_namespaced_config_map(NS, config_map(f"p{number:02}", {}, {"parity": str(number % 2), "set": "p"}))
    assert len(core.list_namespaced_config_map(NS, label_selector="set=p,parity in (1)").items) == 6
    assert len(core.list_namespaced_config_map(NS, field_selector="metadata.name=p03").items) == 1
    names, token = [], None
    while True:
        page = core.list_namespaced_config_map(NS, label_selector="set=p", limit=5, _continue=token)
        names += [item.metadata.name for item in page.items]
        token = page.metadata._continue
        if not token:
            break
    assert names == [f"p{number:02}" for number in range(12)], names
    core.delete_collection_namespaced_config_map(NS, label_selector="set=p")
    assert not core.list_namespaced_config_map(NS, label_selector="set=p").items


def watch_until(stop, *arguments, **options):
    seen, watcher = [], watch.Watch()
    for event in watcher.stream(*arguments, **options):
        seen.append((event["type"], event["object"].metadata.name))
        if stop(seen):
            watcher.stop()
    return seen, watcher.resource_version


@checks.check
def watch_and_resume():
    revision = core.list_namespaced_config_map(NS).metadata.resource_version
    core.create_namespaced_config_map(NS, config_map("w1", {}))
    seen, last = watch_until(lambda rows: ("ADDED", "w1") in rows, core.list_namespaced_config_map, NS,
                             resource_version=revision, timeout_seconds=30)
    core.patch_namespaced_config_map("w1", NS, {"data": {"x": "y"}})
    core.delete_namespaced_config_map("w1", NS)
    # Another connection goes on where the first one ended.
    seen, _ = watch_until(lambda rows: ("DELETED", "w1") in rows, core.list_namespaced_config_map, NS,
                          resource_version=last, timeout_seconds=30)
    assert seen == [("MODIFIED", "w1"), ("DELETED", "w1")], seen


@checks.check
def a_watch_that_times_out_ends_in_peace():
    assert list(watch.Watch().stream(core.list_namespaced_config_map, NS, label_selector="no=such",
                                     timeout_seconds=1)) == []


@checks.check
def a_watch_from_the_future_or_from_nonsense():
    try:
        list(watch.Watch().stream(core.list_namespaced_config_map, NS, resource_version="nonsense", timeout_seconds=5))
        raise AssertionError("it was accepted")
    except ApiException as reason:
        assert reason.status == 400, reason


@checks.check
def deployment_scale_and_status():
    labels = {"app": "web"}
    apps.create_namespaced_deployment(NS, client.V1Deployment(
        metadata=client.V1ObjectMeta(name="web"),
        spec=client.V1DeploymentSpec(replicas=1, selector=client.V1LabelSelector(match_labels=labels),
                                     template=client.V1PodTemplateSpec(metadata=client.V1ObjectMeta(labels=labels),
                                                                       spec=pod("x").spec))))
    eventually(lambda: apps.read_namespaced_deployment_status("web", NS).status.available_replicas == 1)
    apps.patch_namespaced_deployment_scale("web", NS, {"spec": {"replicas": 0}})
    eventually(lambda: not apps.read_namespaced_deployment("web", NS).status.replicas)
    apps.delete_namespaced_deployment("web", NS, propagation_policy="Foreground")
    eventually(lambda: not apps.list_namespaced_replica_set(NS).items)


@checks.check
def pods_and_logs():
    core.create_namespaced_pod(NS, pod("run"))
    core.create_namespaced_pod(NS, pod("talk", ["sh", "-c", "for i in 1 2 3; do echo line $i; done; sleep 600"]))
    for name in ("run", "talk"):
        eventually(lambda name=name: core.read_namespaced_pod(name, NS).status.phase == "Running")
    eventually(lambda: core.read_namespaced_pod_log("talk", NS).count("line") == 3)
    assert core.read_namespaced_pod_log("talk", NS, tail_lines=1) == "line 3\n"
    lines = []
    for line in watch.Watch().stream(core.read_namespaced_pod_log, "talk", NS, follow=True):
        lines.append(line)
        if len(lines) == 3:
            break
    assert lines == ["line 1", "line 2", "line 3"], lines


@checks.check
def exec_over_websocket():
    out = stream(core.connect_get_namespaced_pod_exec, "run", NS, command=["sh", "-c", "echo out; echo err >&2"],
                 stdout=True, stderr=True, stdin=False, tty=False)
    assert "out" in out and "err" in out, out
    session = stream(core.connect_get_namespaced_pod_exec, "run", NS, command=["sh"], stdin=True, stdout=True,
                     stderr=True, tty=False, _preload_content=False)
    session.write_stdin("echo hello; exit 3\n")
    session.run_forever(timeout=30)
    assert session.read_stdout() == "hello\n"
    assert session.returncode == 3
    session.close()


@checks.check
def port_forward():
    forward = portforward(core.connect_get_namespaced_pod_portforward, "run", NS, ports="8080")
    socket = forward.socket(8080)
    socket.setblocking(True)
    socket.settimeout(30)
    socket.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    data = b""
    while b"\r\n\r\n" not in data:
        more = socket.recv(4096)
        if not more:
            break
        data += more
    socket.close()
    assert data.startswith(b"HTTP/1."), data
    assert forward.error(8080) is None


CRD = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "metadata": {"name": "boats.py.example.com"},
    "spec": {"group": "py.example.com", "scope": "Namespaced",
             "names": {"plural": "boats", "singular": "boat", "kind": "Boat"},
             "versions": [{"name": "v1", "served": True, "storage": True, "subresources": {"status": {}},
                           "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                               "spec": {"type": "object", "properties": {"sails": {"type": "integer"}}},
                               "status": {"type": "object", "properties": {"speed": {"type": "integer"}}}}}}}]},
}


@checks.check
def custom_resources_and_dynamic_client():
    client.ApiextensionsV1Api().create_custom_resource_definition(CRD)
    api = dynamic.DynamicClient(client.ApiClient())
    boats = eventually(lambda: api.resources.get(api_version="py.example.com/v1", kind="Boat"))
    body = {"apiVersion": "py.example.com/v1", "kind": "Boat", "metadata": {"name": "b"}, "spec": {"sails": 2}}
    boats.create(body=body, namespace=NS)
    assert boats.get(name="b", namespace=NS).spec.sails == 2
    boats.patch(name="b", namespace=NS, body={"spec": {"sails": 3}}, content_type="application/merge-patch+json")
    boats.status.patch(name="b", namespace=NS, body={"status": {"speed": 7}}, content_type="application/merge-patch+json")
    found = boats.get(name="b", namespace=NS)
    assert (found.spec.sails, found.status.speed) == (3, 7)
    sail = {"apiVersion": "py.example.com/v1", "kind": "Boat", "metadata": {"name": "c"}, "spec": {"sails": 1}}
    applied = boats.patch(name="c", namespace=NS, body=json.dumps(sail), content_type="application/apply-patch+yaml",
                          field_manager="py")
    assert applied.spec.sails == 1
    custom = client.CustomObjectsApi()
    assert custom.get_namespaced_custom_object("py.example.com", "v1", NS, "boats", "b")["spec"]["sails"] == 3
    boats.delete(name="b", namespace=NS)
    eventually(lambda: "b" not in [boat.metadata.name for boat in boats.get(namespace=NS).items])
    client.ApiextensionsV1Api().delete_custom_resource_definition("boats.py.example.com")


@checks.check
def server_side_apply():
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ssa"}, "data": {"a": "1"}}
    api = dynamic.DynamicClient(client.ApiClient())
    maps = api.resources.get(api_version="v1", kind="ConfigMap")
    for manager, value, want in (("one", "1", 201), ("two", "2", 409), ("one", "3", 200)):
        body["data"]["a"] = value
        try:
            maps.patch(name="ssa", namespace=NS, body=json.dumps(body), content_type="application/apply-patch+yaml",
                       field_manager=manager)
            assert want < 300, manager
        except ApiException as reason:
            assert reason.status == want, reason
    assert maps.get(name="ssa", namespace=NS).data.a == "3"


@checks.check
def a_watch_goes_on_after_its_connection_is_cut():
    """urllib3's response is closed under the watcher: a plain loop of list and watch loses nothing."""
    seen, stop = [], threading.Event()

    def informer():
        revision = core.list_namespaced_config_map(NS).metadata.resource_version
        while not stop.is_set():
            watcher = watch.Watch()
            try:
                for event in watcher.stream(core.list_namespaced_config_map, NS, resource_version=revision,
                                            timeout_seconds=1):
                    seen.append((event["type"], event["object"].metadata.name))
                    revision = event["object"].metadata.resource_version
            except ApiException:
                revision = core.list_namespaced_config_map(NS).metadata.resource_version

    thread = threading.Thread(target=informer)
    thread.start()
    try:
        for number in range(30):
            core.create_namespaced_config_map(NS, config_map(f"cut{number}", {}))
            time.sleep(0.05)
        wanted = [("ADDED", f"cut{number}") for number in range(30)]
        eventually(lambda: [row for row in seen if row[1].startswith("cut")] == wanted)
    finally:
        stop.set()
        thread.join()


@checks.check
def the_namespace_goes():
    core.delete_namespace(NS)
    eventually(lambda: NS not in [item.metadata.name for item in core.list_namespace().items])


sys.exit(checks.run())
