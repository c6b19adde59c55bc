"""Reads the API description (api/*.api) into a model.

The language is line based. '#' starts a comment line; '\\' at the end of a line joins the next one, its indent left
out; ' -- ' starts the one-line documentation of what stands before it, on that line or the one above. A file describes
one version of one group:

    api      apps/v1                 group and version; the core group is written core
    package  io.k8s.api.apps.v1      what its definitions are called in OpenAPI
    prefix   apps_v1                 its name here, also put before C names that would clash
    served   yes | no                no: known, but answered with 404
    priority 17800 15                of the group and of the version, higher ones come first in discovery

    resource deployments Deployment namespaced | cluster
        short      deploy
        categories all
        verbs      standard          or create get list ...; standard is all eight
        delete     object            a delete answers with the object instead of a Status
        stored     apps_v1           kept as that version; absent: as this one
        sub        scale get patch update kind=autoscaling_v1.Scale    kind: absent, that of the resource
        column     "Ready" string fn=deployment.ready wide             a named function; wide: only with -o wide
        column     "Current" integer .status.replicas else=0           a JSONPath, and JSON for when it finds nothing

    kind Deployment                  an object: apiVersion and kind come first by themselves
        metadata  meta_v1.ObjectMeta  always pb=1
    type DeploymentSpec atomic       any other struct; atomic: server-side apply replaces it as a whole
        replicas  int32  default=1 pb=1
        union type rollingUpdate=RollingUpdate      discriminator, then member=name
    alias JSON any                   a name in OpenAPI for a scalar

A resource that can be listed brings its list kind (DeploymentList) with it. Field types are scalars (see SCALARS),
types of this file, types of another one (core_v1.Container), list<T> or map<T>. schemalist, schemabool and
schemastrings are JSON like any, but protobuf has messages for them: the struct they stand in, or something else.
Field flags:

    required  always             in OpenAPI; written even when empty
    zero                         required in OpenAPI only: absent or empty passes
    coded                        whether it is there and has one of its values is checked in code, with words of its own
    nullable                     a pointer in Go: "", 0, false and {} differ from absent
    patch=merge(name)            merge | retainKeys | merge,retainKeys | replace, and the merge key
    list=atomic | set | map(key,key)      map=atomic | granular
    enum=A|B  values=A|B         closed; open
    min=0  max=65535             a number outside of it is invalid ("must be greater than or equal to 0", ...)
    maxlen=63  maxitems=32       bytes of a string ("Too long"); elements of a list ("Too many")
    format=label                 text of a form (see FORMATS); "" passes, so that required says what is lacking; of the
                                 elements when a list; port: also numbers; file-mode: of numbers; labels: keys and values of a map
    immutable                    an update that changes it is invalid ("field is immutable")
    default=JSON  pb=1/2         protobuf field numbers from the outside in
    as=name                      C name, also of types
    check=name                   of types: a rule in code, check_name() of schema/checks.h, for each of its values

What is checked: schema/check.c. The status of objects never is.
"""

import re

SCALARS = {"string", "bytes", "bool", "int32", "int64", "double", "time", "microtime", "quantity", "intstr", "any",
           "object", "schemalist", "schemabool", "schemastrings"}
POINTER_SCALARS = {"string", "bytes", "bool", "int32", "int64", "double"}  # nullable says whether they are pointers
STANDARD_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
VERBS = STANDARD_VERBS + ["connect"]
FLAGS = {"required", "always", "nullable", "zero", "immutable", "coded"}
SETTINGS = {"patch", "list", "map", "enum", "values", "default", "pb", "as", "min", "max", "maxlen", "maxitems",
            "format"}
FORMATS = {"subdomain", "label", "dns1035", "key", "label-value", "labels", "port", "port-name", "ip", "cidr",
           "config-key", "env-name", "path-segment", "file-mode"}  # enum value_format of schema/format.h
TOKEN = re.compile(r'(?:[^\s"]|"(?:[^"\\]|\\.)*")+')


class IdlError(Exception):
    pass


class Ref:
    """The type of a field: a scalar, a named type, or a list or map of another Ref."""

    def __init__(self, text):
        match = re.fullmatch(r"(list|map)<(.+)>", text)
        self.text = text
        self.shape = match.group(1) if match else "scalar" if text in SCALARS else "named"
        self.elem = Ref(match.group(2)) if match else None
        self.type = None  # shape "named": the Type, once resolved

    @property
    def scalar(self):
        """The scalar's name, seen through aliases; None when it is none."""
        if self.shape == "scalar":
            return self.text
        return self.type.alias if self.shape == "named" else None

    @property
    def struct(self):
        """The struct that this names itself, not in a list; None when it is none."""
        return self.type if self.shape == "named" and not self.type.alias else None


class Field:
    def __init__(self, name, ref, where):
        self.name, self.ref, self.where = name, ref, where
        self.required = self.always = self.nullable = self.zero = self.immutable = self.coded = False
        self.patch, self.merge_key = [], None
        self.list_kind, self.list_keys, self.map_kind = None, [], None
        self.values, self.closed = [], False
        self.default, self.pb, self.c_name, self.doc = None, [], None, None
        self.format, self.bounds = None, {}  # bounds: of min, max, maxlen, maxitems those that there are

    @property
    def inline(self):
        return bool(self.ref.struct and self.always and not self.nullable)


class Type:
    def __init__(self, file, name, where):
        self.file, self.name, self.where = file, name, where
        self.alias = None         # the scalar that this is another name of
        self.is_object = False    # has a group, version and kind
        self.atomic = False
        self.fields, self.union = [], None
        self.c_name, self.doc, self.check = None, None, None

    @property
    def full_name(self):
        return self.file.package + "." + self.name


class Column:
    def __init__(self, name, type_, cell, options, doc):
        self.name, self.type, self.cell, self.doc = name.strip('"'), type_, cell, doc
        self.wide = "wide" in options
        self.absent = next((option[len("else="):] for option in options if option.startswith("else=")), None)


class Subresource:
    def __init__(self, name, verbs, kind):
        self.name, self.verbs, self.kind = name, verbs, kind


class Resource:
    def __init__(self, file, plural, kind, scope, where):
        self.file, self.plural, self.kind, self.scope, self.where = file, plural, kind, scope, where
        self.short, self.categories, self.verbs, self.columns, self.subs = [], [], [], [], []
        self.delete_object, self.stored, self.type, self.storage = False, None, None, None


class File:
    def __init__(self, path):
        self.path = path
        self.group = self.version = self.package = self.prefix = None
        self.served, self.priority = None, (0, 0)
        self.types, self.resources = {}, []


def logical_lines(path):
    """(number, text) of each line, with what continues it; comments and blanks are left out."""
    lines, joining = [], False
    with open(path, encoding="ascii") as stream:
        for number, line in enumerate(stream, 1):
            line, text = line.rstrip("\n"), line.strip()
            if joining:
                lines[-1][1] += text
            elif text.startswith("-- ") and lines:
                lines[-1][1] += " " + text
            elif text and not text.startswith("#"):
                lines.append([number, line])
            joining = bool(lines) and lines[-1][1].endswith("\\")
            if joining:
                lines[-1][1] = lines[-1][1][:-1]
    return lines


def split_values(text):
    return [value.strip('"') for value in text.split("|")]


class Parser:
    def __init__(self, path):
        self.file, self.block, self.where = File(path), None, path

    def fail(self, message):
        raise IdlError(f"{self.where}: {message}")

    def parse(self):
        for number, line in logical_lines(self.file.path):
            self.where = f"{self.file.path}:{number}"
            text, _, doc = line.partition(" -- ")
            try:
                self.line(line.startswith(" "), TOKEN.findall(text), doc.strip() or None)
            except (ValueError, IndexError):
                self.fail(f"cannot read '{' '.join(text.split())}'")
        for needed in ("group", "version", "package", "prefix", "served"):
            if getattr(self.file, needed) is None:
                raise IdlError(f"{self.file.path}: {needed} is missing")
        return self.file

    def line(self, indented, words, doc):
        if not indented:
            self.top_line(words, doc)
        elif isinstance(self.block, Resource):
            self.resource_line(words, doc)
        elif isinstance(self.block, Type) and not self.block.alias:
            self.type_line(words, doc)
        else:
            self.fail("indented line outside of a block")

    def top_line(self, words, doc):
        file, word, rest = self.file, words[0], words[1:]
        if word == "api" and len(rest) == 1:
            group, _, file.version = rest[0].partition("/")
            file.group = "" if group == "core" else group
        elif word in ("package", "prefix") and len(rest) == 1:
            setattr(file, word, rest[0])
        elif word == "served" and rest in (["yes"], ["no"]):
            file.served = rest == ["yes"]
        elif word == "priority" and len(rest) == 2:
            file.priority = (int(rest[0]), int(rest[1]))
        elif word == "resource" and len(rest) == 3 and rest[2] in ("namespaced", "cluster"):
            self.block = Resource(file, *rest, self.where)
            file.resources.append(self.block)
        elif word in ("kind", "type", "alias") and rest:
            self.block = self.new_type(word, rest, doc)
        else:
            self.fail(f"cannot read '{' '.join(words)}'")

    def new_type(self, word, rest, doc):
        type_ = Type(self.file, rest[0], self.where)
        type_.doc, type_.is_object = doc, word == "kind"
        if rest[0] in self.file.types:
            self.fail(f"{rest[0]} is there twice")
        self.file.types[rest[0]] = type_
        options = rest[1:]
        if word == "alias":
            if len(options) != 1 or options[0] not in SCALARS:
                self.fail("an alias names one scalar")
            type_.alias = options.pop()
        for option in options:
            if option == "atomic":
                type_.atomic = True
            elif option.startswith("as="):
                type_.c_name = option[3:]
            elif option.startswith("check="):
                type_.check = option[6:]
            else:
                self.fail(f"unknown option '{option}'")
        if type_.is_object:
            type_.fields = [object_field("apiVersion", self.where), object_field("kind", self.where)]
        return type_

    def resource_line(self, words, doc):
        resource, word, rest = self.block, words[0], words[1:]
        if word in ("short", "categories"):
            setattr(resource, word, rest)
        elif word == "verbs":
            resource.verbs = STANDARD_VERBS if rest == ["standard"] else rest
        elif word == "delete" and rest == ["object"]:
            resource.delete_object = True
        elif word == "stored" and len(rest) == 1:
            resource.stored = rest[0]
        elif word == "sub" and len(rest) >= 2:
            kind = rest.pop()[5:] if rest[-1].startswith("kind=") else resource.kind
            resource.subs.append(Subresource(rest[0], rest[1:], kind))
        elif word == "column" and len(rest) >= 3 and all(re.fullmatch("wide|else=.+", option) for option in rest[3:]):
            resource.columns.append(Column(*rest[:3], rest[3:], doc))
        else:
            self.fail(f"cannot read '{' '.join(words)}' in a resource")

    def type_line(self, words, doc):
        if words[0] == "union":
            self.block.union = (words[1], dict(word.split("=", 1) for word in words[2:]))
            return
        if len(words) < 2:
            self.fail(f"field {words[0]} has no type")
        field = Field(words[0], Ref(words[1]), self.where)
        field.doc = doc
        for word in words[2:]:
            key, _, value = word.partition("=")
            if word in FLAGS:
                setattr(field, word, True)
            elif key in SETTINGS and value:
                self.setting(field, key, value)
            else:
                self.fail(f"unknown flag '{word}'")
        self.block.fields.append(field)

    def setting(self, field, key, value):
        if key == "patch":
            match = re.fullmatch(r"([\w,]+)(?:\((\w+)\))?", value)
            if not match:
                self.fail(f"cannot read patch={value}")
            field.patch, field.merge_key = match.group(1).split(","), match.group(2)
        elif key == "list":
            match = re.fullmatch(r"(atomic|set|map)(?:\(([\w,]+)\))?", value)
            if not match or (match.group(1) == "map") != bool(match.group(2)):
                self.fail(f"cannot read list={value}")
            field.list_kind, field.list_keys = match.group(1), (match.group(2) or "").split(",")
        elif key == "map":
            field.map_kind = value
        elif key in ("enum", "values"):
            field.values, field.closed = split_values(value), key == "enum"
        elif key == "default":
            field.default = value
        elif key in ("min", "max", "maxlen", "maxitems"):
            field.bounds[key] = int(value)
        elif key == "format":
            field.format = value
        elif key == "pb":
            field.pb = [int(number) for number in value.split("/")]
        else:
            field.c_name = value


def object_field(name, where):
    return Field(name, Ref("string"), where)


def add_list_kinds(file):
    """PodList for every resource that can be listed."""
    for resource in file.resources:
        if "list" not in resource.verbs:
            continue
        name, where = resource.kind + "List", resource.where
        if name in file.types:
            raise IdlError(f"{where}: {name} comes by itself")
        type_ = file.types[name] = Type(file, name, where)
        type_.is_object = True
        type_.doc = f"A list of {resource.plural}."
        metadata = Field("metadata", Ref("meta_v1.ListMeta"), where)
        items = Field("items", Ref(f"list<{resource.kind}>"), where)
        metadata.always = items.required = items.always = True
        metadata.pb, items.pb = [1], [2]
        type_.fields = [object_field("apiVersion", where), object_field("kind", where), metadata, items]


def lookup(files, file, name, where):
    """The type that name means in file; None when there is none."""
    prefix, _, local = name.rpartition(".")
    home = files.get(prefix) if prefix else file
    if home is None:
        raise IdlError(f"{where}: there is no file {prefix}")
    return home.types.get(local)


def resolve_ref(files, file, ref, where):
    if ref.elem:
        resolve_ref(files, file, ref.elem, where)
    elif ref.shape == "named":
        ref.type = lookup(files, file, ref.text, where)
        if ref.type is None:
            raise IdlError(f"{where}: there is no type {ref.text}")


def resolve_resource(files, resource):
    file, where = resource.file, resource.where
    resource.type = file.types.get(resource.kind)
    home = files.get(resource.stored) if resource.stored else file
    same = [other for other in home.resources if other.plural == resource.plural] if home else []
    if resource.type is None or not resource.type.is_object:
        raise IdlError(f"{where}: there is no kind {resource.kind}")
    if len(same) != 1:
        raise IdlError(f"{where}: {resource.stored or file.prefix} does not have exactly one {resource.plural}")
    resource.storage = same[0]
    for sub in resource.subs:
        prefix, _, sub.kind = sub.kind.rpartition(".")
        if prefix and prefix not in files:
            raise IdlError(f"{where}: there is no file {prefix}")
        sub.file = files[prefix] if prefix else file


def load(paths):
    """All files by prefix, references resolved; files in the order of discovery."""
    files = {}
    for path in paths:
        file = Parser(path).parse()
        if file.prefix in files:
            raise IdlError(f"{path}: prefix {file.prefix} is taken")
        files[file.prefix] = file
    files = dict(sorted(files.items(), key=lambda item: ([-n for n in item[1].priority], item[0])))
    for file in files.values():
        add_list_kinds(file)
    for file in files.values():
        for type_ in file.types.values():
            for field in type_.fields:
                resolve_ref(files, file, field.ref, field.where)
        for resource in file.resources:
            resolve_resource(files, resource)
    return files
