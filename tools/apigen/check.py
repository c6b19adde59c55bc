"""Checks that the model makes sense, beyond what it takes to read it."""

import json

from idl import FORMATS, POINTER_SCALARS, VERBS

COLUMN_TYPES = {"string", "integer", "number", "boolean", "date"}


def is_json(text):
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def fits(ref, value):
    """Whether a default value is one of the type."""
    scalar = ref.scalar
    if ref.shape == "list":
        return isinstance(value, list) and all(fits(ref.elem, item) for item in value)
    if ref.shape == "map":
        return isinstance(value, dict) and all(fits(ref.elem, item) for item in value.values())
    if ref.struct:
        fields = {field.name: field for field in ref.struct.fields}
        return isinstance(value, dict) and all(key in fields and fits(fields[key].ref, item)
                                               for key, item in value.items())
    if scalar == "bool":
        return isinstance(value, bool)
    if scalar in ("int32", "int64"):
        bits = int(scalar[3:])
        return isinstance(value, int) and not isinstance(value, bool) and -2 ** (bits - 1) <= value < 2 ** (bits - 1)
    if scalar == "double":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if scalar == "intstr":
        return isinstance(value, (int, str)) and not isinstance(value, bool)
    return scalar in ("any", "object") or isinstance(value, str)


class Check:
    def __init__(self):
        self.errors = []

    def say(self, where, message):
        self.errors.append(f"{where}: {message}")

    def unique(self, where, what, values):
        seen = set()
        for value in values:
            if value in seen:
                self.say(where, f"{what} {value} is there twice")
            seen.add(value)

    def key_fields(self, field, keys):
        elem = field.ref.elem.struct if field.ref.shape == "list" else None
        names = {each.name for each in elem.fields} if elem else set()
        for key in keys:
            if key not in names:
                self.say(field.where, f"{field.name}: its elements have no field {key}")

    def default(self, field):
        if not is_json(field.default):
            self.say(field.where, f"{field.name}: default {field.default} is not JSON")
            return
        value = json.loads(field.default)
        if not fits(field.ref, value):
            self.say(field.where, f"{field.name}: default {field.default} is no {field.ref.text}")
        if field.closed and value not in field.values:
            self.say(field.where, f"{field.name}: default {field.default} is not one of its values")

    def field(self, field):
        leaf = field.ref.elem or field.ref
        if field.values and leaf.scalar != "string":
            self.say(field.where, f"{field.name}: only strings have values")
        self.unique(field.where, "value", field.values)
        if field.list_kind and field.ref.shape != "list":
            self.say(field.where, f"{field.name}: list= on what is no list")
        if field.map_kind and (field.map_kind not in ("atomic", "granular") or
                               not (field.ref.shape == "map" or field.ref.struct)):
            self.say(field.where, f"{field.name}: map={field.map_kind} does not fit")
        if field.list_kind == "map":
            self.key_fields(field, field.list_keys)
        if field.merge_key:
            self.key_fields(field, [field.merge_key])
        if set(field.patch) - {"merge", "replace", "retainKeys"}:
            self.say(field.where, f"{field.name}: unknown patch strategy")
        if len(field.pb) > 3 or any(not 0 < number < 65536 for number in field.pb):
            self.say(field.where, f"{field.name}: protobuf numbers out of range")
        if field.zero and not field.required:
            self.say(field.where, f"{field.name}: zero means nothing without required")
        if field.nullable and not field.always and field.ref.scalar not in POINTER_SCALARS:
            self.say(field.where, f"{field.name}: is nullable anyway")
        self.form(field, leaf)
        if field.default is not None:
            self.default(field)

    def form(self, field, leaf):
        """format= and bounds are such as the field can have."""
        number, text = leaf.scalar in ("int32", "int64"), leaf.scalar == "string"
        fits_format = {"labels": field.ref.shape == "map", "port": number or leaf.scalar == "intstr", "file-mode": number}
        if field.format and (field.format not in FORMATS or not fits_format.get(field.format, text)):
            self.say(field.where, f"{field.name}: format={field.format} does not fit")
        fits_bound = {"min": number, "max": number, "maxlen": text, "maxitems": field.ref.shape == "list"}
        for bound, value in field.bounds.items():
            if not fits_bound[bound] or (bound.startswith("max") and value < field.bounds.get("min", 0)):
                self.say(field.where, f"{field.name}: {bound}={value} does not fit")

    def type(self, type_):
        where = type_.where
        for field in type_.fields:
            self.field(field)
        self.unique(where, "field", [field.name for field in type_.fields])
        self.unique(where, "C field", [field.c_name for field in type_.fields])
        if len(type_.fields) > 64:
            self.say(where, "has more fields than a struct may")
        self.unique(where, "protobuf number", [tuple(field.pb) for field in type_.fields if field.pb])
        if type_.union:
            names = {field.name for field in type_.fields}
            for name in [type_.union[0], *type_.union[1]]:
                if name not in names:
                    self.say(where, f"union member {name} is no field")
        if type_.is_object and type_.file.prefix != "meta_v1":
            metadata = [field for field in type_.fields if field.name == "metadata"]
            if not metadata or not metadata[0].inline or metadata[0].ref.struct.name not in ("ObjectMeta", "ListMeta"):
                self.say(where, f"{type_.name}: an object has metadata")

    def inline_cycle(self, type_, path=()):
        if type_ in path:
            self.say(type_.where, f"{type_.name} embeds itself")
            return
        for field in type_.fields:
            if field.inline:
                self.inline_cycle(field.ref.struct, path + (type_,))

    def resource(self, resource):
        where = resource.where
        for verbs in [resource.verbs] + [sub.verbs for sub in resource.subs]:
            self.unique(where, "verb", verbs)
            if not verbs or set(verbs) - set(VERBS):
                self.say(where, f"verbs: {' '.join(verbs) or 'none'}")
        self.unique(where, "subresource", [sub.name for sub in resource.subs])
        self.unique(where, "column", [column.name for column in resource.columns])
        for column in resource.columns:
            if column.type not in COLUMN_TYPES or not column.cell.startswith((".", "fn=")):
                self.say(where, f"column {column.name} makes no sense")
            if column.absent is not None and not is_json(column.absent):
                self.say(where, f"column {column.name}: {column.absent} is not JSON")
        if resource.storage.stored:
            self.say(where, f"{resource.stored} is not a storage version")
        if resource.storage.scope != resource.scope:
            self.say(where, "the storage version has another scope")

    def names(self, files):
        """Struct names, resources, and short names of different resources that are served."""
        self.unique("api", "resource", [resource.c_name for file in files.values() for resource in file.resources])
        owner = {}
        for file in files.values():
            self.unique(file.path, "resource", [resource.plural for resource in file.resources])
            for resource in file.resources:
                for name in resource.short:
                    if owner.setdefault(name, resource.plural) != resource.plural:
                        self.say(resource.where, f"short name {name} is taken by {owner[name]}")


def check(files):
    """Everything that is wrong, as lines."""
    checks = Check()
    for file in files.values():
        for type_ in file.types.values():
            checks.type(type_)
            checks.inline_cycle(type_)
        for resource in file.resources:
            checks.resource(resource)
    checks.names(files)
    return checks.errors
