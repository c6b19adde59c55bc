"""The API as tests/api sees it: the project's own description (api/*.api), read by tools/apigen/idl.py."""

import glob
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools", "apigen"))
import idl  # noqa: E402


class Model:
    def __init__(self):
        self.files = idl.load(sorted(glob.glob(os.path.join(ROOT, "api", "*.api"))))
        self.meta = self.files["meta_v1"]
        self.kinds = {}
        for file in self.files.values():
            for type_ in file.types.values():
                if type_.is_object:
                    self.kinds[group_version(file), type_.name] = type_
        # Any group-version may carry these; clients of a group decode them under its name.
        self.shared = {name: self.meta.types[name] for name in ("Status", "DeleteOptions")}
        # Answers of metadata clients; the API description has no use for them.
        one = self.shared["PartialObjectMetadata"] = made_type(self.meta, "PartialObjectMetadata", [
            ("metadata", "meta_v1.ObjectMeta", 1)])
        self.meta.types.setdefault("PartialObjectMetadata", one)
        self.shared["PartialObjectMetadataList"] = made_type(self.meta, "PartialObjectMetadataList", [
            ("metadata", "meta_v1.ListMeta", 1), ("items", "list<meta_v1.PartialObjectMetadata>", 2)])
        for type_ in self.shared.values():
            for field in type_.fields:
                idl.resolve_ref(self.files, self.meta, field.ref, "tests/api")

    def resources(self):
        """The served ones, in the order of discovery."""
        return [resource for file in self.files.values() if file.served for resource in file.resources]

    def kind(self, api_version, name):
        return self.kinds.get((api_version, name)) or self.shared.get(name)


def made_type(file, name, fields):
    type_ = idl.Type(file, name, "tests/api")
    type_.is_object = True
    type_.fields = [idl.object_field("apiVersion", ""), idl.object_field("kind", "")]
    for field, ref, number in fields:
        row = idl.Field(field, idl.Ref(ref), "")
        row.pb = [number]
        type_.fields.append(row)
    return type_


def group_version(file):
    return f"{file.group}/{file.version}" if file.group else file.version


def base_path(file):
    return f"/apis/{file.group}/{file.version}" if file.group else f"/api/{file.version}"
