#!/usr/bin/env python3
"""apigen refuses descriptions that make no sense, and says where."""

import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "tools", "apigen"))

import check  # noqa: E402
import idl  # noqa: E402
import names  # noqa: E402

HEAD = "api core/v1\npackage p\nprefix core_v1\nserved yes\n"
META = """api core/v1
package m
prefix meta_v1
served yes
type ObjectMeta
    name string pb=1
type ListMeta
    continue string pb=1
"""
KIND = "kind A\n    metadata meta_v1.ObjectMeta always pb=1\n"

# (what follows the head, part of the complaint; None: there is none)
CASES = [
    (KIND, None),
    ("resource as A namespaced\n    verbs standard\n" + KIND, None),
    ("type A\n    a string pb=1\n    a string pb=2\n", "field a is there twice"),
    ("type A\n    aB string\n    a_b string\n", "C field a_b is there twice"),
    ("type A\n    a string pb=1\n    b string pb=1\n", "protobuf number (1,) is there twice"),
    ("type A\n    a Nothing\n", "there is no type Nothing"),
    ("type A\n    a none_v1.B\n", "there is no file none_v1"),
    ("type A\n    a\n", "field a has no type"),
    ("type A\n    a string sometimes\n", "unknown flag 'sometimes'"),
    ("type A\n    a string list=atomic\n", "list= on what is no list"),
    ("type A\n    a list<B> list=map(key)\ntype B\n    name string\n", "no field key"),
    ("type A\n    a list<B> list=map\ntype B\n    name string\n", "cannot read list=map"),
    ("type A\n    a list<B> patch=merge(key)\ntype B\n    name string\n", "no field key"),
    ("type A\n    a string map=atomic\n", "map=atomic does not fit"),
    ("type A\n    a string default=x\n", "default x is not JSON"),
    ("type A\n    a string default=1\n", "default 1 is no string"),
    ("type A\n    a int32 default=2147483648\n", "is no int32"),
    ("type A\n    a int32 default=true\n", "is no int32"),
    ("type A\n    a B default={\"c\":1}\ntype B\n    b int32\n", "is no B"),
    ("type A\n    a B default={\"b\":1}\ntype B\n    b int32\n", None),
    ("type A\n    a string enum=B|C default=\"D\"\n", "not one of its values"),
    ("type A\n    a string values=B|C default=\"D\"\n", None),
    ("type A\n    a int32 enum=B\n", "only strings have values"),
    ("type A\n    a string enum=B|B\n", "value B is there twice"),
    ("type A\n    a A always\n", "embeds itself"),
    ("type A\n    a A\n", None),
    ("type A\n    union kind a=A\n    a string\n", "union member kind is no field"),
    ("type A\n    a string zero\n", "zero means nothing"),
    ("kind A\n    spec object\n", "an object has metadata"),
    ("resource as A namespaced\n    verbs standard\n", "there is no type A"),
    ("resource as A namespaced\n    verbs create\n", "there is no kind A"),
    ("type A\n    a string pb=x\n", "cannot read 'a string pb=x'"),
    ("priority high low\n", "cannot read 'priority high low'"),
    ("resource as A namespaced\n    verbs fly\n" + KIND, "verbs: fly"),
    ("resource as A namespaced\n" + KIND, "verbs: none"),
    ("resource as A namespaced\n    verbs get\n    stored other_v1\n" + KIND, "other_v1 does not have exactly one as"),
    ("resource as A namespaced\n    verbs get\n    column \"X\" string spec.x\n" + KIND, "column X makes no sense"),
    ("resource as A namespaced\n    verbs get\n    column \"X\" string .spec.x else=?\n" + KIND, "? is not JSON"),
    ("resource as A somewhere\n", "cannot read 'resource as A somewhere'"),
    ("    a string\n", "indented line outside of a block"),
    ("type A\n    a string\ntype A\n    a string\n", "A is there twice"),
    ("type A\n    a string enum=\"b c\"|\\\n        d -- Text.\n", None),
]

SNAKE = [("podIPs", "pod_ips"), ("nonResourceURLs", "non_resource_urls"), ("CSIDriver", "csi_driver"),
         ("ISCSIVolumeSource", "iscsi_volume_source"), ("x-kubernetes-int-or-string", "x_kubernetes_int_or_string"),
         ("$ref", "ref"), ("targetWWNs", "target_wwns"), ("hostPID", "host_pid"), ("FieldsV1", "fields_v1"),
         ("SELinuxOptions", "se_linux_options"), ("setHostnameAsFQDN", "set_hostname_as_fqdn")]


def complaints(body):
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ("core_v1.api", "meta_v1.api")]
        for path, text in zip(paths, (HEAD + body, META)):
            with open(path, "w", encoding="ascii") as out:
                out.write(text)
        try:
            files = idl.load(paths)
            names.assign_names(files)
            return check.check(files)
        except idl.IdlError as error:
            return [str(error)]


class ApigenTest(unittest.TestCase):
    def test_checks(self):
        for body, want in CASES:
            with self.subTest(body=body):
                got = complaints(body)
                self.assertEqual(bool(got), want is not None, got)
                if want:
                    self.assertIn(want, "\n".join(got))
                    self.assertIn("core_v1.api", got[0])

    def test_snake(self):
        for name, want in SNAKE:
            self.assertEqual(names.snake(name), want)


if __name__ == "__main__":
    unittest.main()
