"""Writes the C headers and tables of schema/type.h from the model."""

import json
import os

from idl import POINTER_SCALARS

HEAD = "/* Made by tools/apigen from {source}; do not edit. */\n"

# scalar: (C type, C type when it may be unset, C type of a list of it, table)
SCALARS = {
    "string": ("struct str", "struct str", "struct str_array", "type_string"),
    "bytes": ("struct str", "struct str", "struct str_array", "type_bytes"),
    "bool": ("bool", "struct opt_bool", None, "type_bool"),
    "int32": ("int32_t", "struct opt_i32", "struct i32_array", "type_int32"),
    "int64": ("int64_t", "struct opt_i64", "struct i64_array", "type_int64"),
    "double": ("double", "struct opt_double", None, "type_double"),
    "time": ("struct api_time", "struct api_time", None, "type_time"),
    "microtime": ("struct api_time", "struct api_time", None, "type_micro_time"),
    "quantity": ("struct str", "struct str", "struct str_array", "type_quantity"),
    "intstr": ("struct int_or_string", "struct int_or_string", None, "type_int_or_string"),
    "any": ("const struct json *", "const struct json *", "struct json_array", "type_any"),
    "object": ("const struct json *", "const struct json *", "struct json_array", "type_any"),
    "schemalist": ("const struct json *", "const struct json *", "struct json_array", "type_schema_or_list"),
    "schemabool": ("const struct json *", "const struct json *", "struct json_array", "type_schema_or_bool"),
    "schemastrings": ("const struct json *", "const struct json *", "struct json_array", "type_schema_or_strings"),
}
SCALAR_MAPS = {"string": "struct str_map", "bytes": "struct str_map", "quantity": "struct str_map",
               "time": "struct time_map", "any": "struct json_map", "object": "struct json_map",
               "schemalist": "struct json_map", "schemabool": "struct json_map", "schemastrings": "struct json_map"}

CONTAINERS = """#pragma once

#include "schema/type.h"

struct i32_array {
    const int32_t *items;
    size_t count;
};
struct i64_array {
    const int64_t *items;
    size_t count;
};
struct json_array {
    const struct json *const *items;
    size_t count;
};
struct json_pair {
    struct str key;
    const struct json *value;
};
struct json_map {
    const struct json_pair *items;
    size_t count;
};
struct time_pair {
    struct str key;
    struct api_time value;
};
struct time_map {
    const struct time_pair *items;
    size_t count;
};
struct str_array_pair {
    struct str key;
    struct str_array value;
};
struct str_array_map {
    const struct str_array_pair *items;
    size_t count;
};
"""


def quoted(text):
    return json.dumps(text)


def str_init(text):
    return f"STR_INIT({quoted(text)})"


def comment(doc, indent=""):
    return f"{indent}/* {doc} */\n" if doc else ""


# How things are written in C.

def value_type(ref, optional):
    """The C type of a value, with a blank after it unless it ends in a star."""
    if ref.shape == "list":
        text = f"struct {ref.elem.struct.c_name}_array" if ref.elem.struct else SCALARS[ref.elem.scalar][2]
    elif ref.shape == "map":
        text = map_type(ref.elem)
    elif ref.struct:
        text = f"struct {ref.struct.c_name}"
    else:
        text = SCALARS[ref.scalar][1 if optional else 0]
    return text if text.endswith("*") else text + " "


def map_type(elem):
    if elem.struct:
        return f"struct {elem.struct.c_name}_map"
    return "struct str_array_map" if elem.shape == "list" else SCALAR_MAPS[elem.scalar]


def member(field):
    if field.ref.struct and not field.inline:
        return f"const struct {field.ref.struct.c_name} *{field.c_name};"
    return f"{value_type(field.ref, not (field.required or field.always))}{field.c_name};"


def map_pair(ref):
    """The struct of one entry of a map."""
    return map_type(ref.elem)[:-len("_map")] + "_pair"


def table_of(ref):
    """The name of the descriptor table of a type, e.g. type_string or list_of_container."""
    if ref.shape == "scalar" or (ref.shape == "named" and ref.type.alias):
        return SCALARS[ref.scalar][3]
    if ref.shape == "named":
        return "TYPE_" + ref.type.c_name.upper()
    if ref.elem.scalar == "string":
        return f"type_string_{ref.shape}"
    return f"{ref.shape}_of_{table_of(ref.elem).removeprefix('type_').removeprefix('TYPE_').lower()}"


def elem_refs(file, shape):
    """Structs that file's types hold in lists (or maps), in any file."""
    for type_ in file.types.values():
        for field in type_.fields:
            if field.ref.shape == shape and field.ref.elem.struct:
                yield field.ref.elem.struct


# Headers.

def structs_in_order(file):
    """Structs so that an embedded one comes before what embeds it."""
    done, order = set(), []

    def visit(type_):
        if type_.name in done or type_.alias or type_.file is not file:
            return
        done.add(type_.name)
        for field in type_.fields:
            if field.inline:
                visit(field.ref.struct)
        order.append(type_)

    for type_ in file.types.values():
        visit(type_)
    return order


def needed_files(file):
    """Files whose types this one mentions."""
    prefixes = set()
    for type_ in file.types.values():
        for field in type_.fields:
            ref = field.ref.elem.elem or field.ref.elem if field.ref.elem else field.ref
            if ref.type and ref.type.file is not file:
                prefixes.add(ref.type.file.prefix)
    return sorted(prefixes)


def write_header(out, file, listed, mapped):
    order = structs_in_order(file)
    out.write(HEAD.format(source=os.path.basename(file.path)))
    out.write('#pragma once\n\n#include "api/containers.h"\n')
    for prefix in needed_files(file):
        out.write(f'#include "api/{prefix}.h"\n')
    out.write("\n")
    for type_ in order:
        out.write(f"struct {type_.c_name};\n")
    for type_ in order:
        if type_ in listed:
            out.write(f"struct {type_.c_name}_array {{\n"
                      f"    const struct {type_.c_name} *items;\n    size_t count;\n}};\n")
        if type_ in mapped:
            out.write(f"struct {type_.c_name}_pair;\nstruct {type_.c_name}_map {{\n"
                      f"    const struct {type_.c_name}_pair *items;\n    size_t count;\n}};\n")
    for type_ in order:
        out.write(f"\n{comment(type_.doc)}struct {type_.c_name} {{\n")
        for field in type_.fields:
            out.write(f"    {member(field)}{' /* ' + field.doc + ' */' if field.doc else ''}\n")
        out.write("};\n")
        if type_ in mapped:
            out.write(f"struct {type_.c_name}_pair {{\n    struct str key;\n    struct {type_.c_name} value;\n}};\n")
    if order:
        out.write("\nextern const struct type\n    "
                  + ",\n    ".join(f"TYPE_{type_.c_name.upper()}" for type_ in order) + ";\n")


# Tables.

class Tables:
    """One C file of descriptor tables."""

    def __init__(self, out, file):
        self.out, self.file = out, file
        self.arrays, self.shapes = {}, set()

    def strings(self, values):
        """The name of a static array of these strings, written when it is first needed."""
        key = tuple(values)
        if key not in self.arrays:
            self.arrays[key] = f"strings_{len(self.arrays)}"
            items = ", ".join(str_init(value) for value in values)
            self.out.write(f"static const struct str {self.arrays[key]}[] = {{ {items} }};\n")
        return self.arrays[key]

    def shape(self, ref):
        """Writes the table of a list or map once."""
        name = table_of(ref)
        if ref.shape not in ("list", "map") or name.startswith("type_") or name in self.shapes:
            return
        self.shape(ref.elem)
        self.shapes.add(name)
        c_type = value_type(ref, False).strip()
        self.out.write(f"static const struct type {name} = {{\n    .kind = TYPE_{ref.shape.upper()}, "
                       f".size = sizeof({c_type}), .elem = &{table_of(ref.elem)},\n}};\n")
        self.out.write(f'_Static_assert(sizeof({c_type}) == sizeof(struct any_array), "layout");\n')
        if ref.shape == "map":
            self.out.write(f'_Static_assert(offsetof({map_pair(ref)}, value) == sizeof(struct str), "layout");\n')

    def field(self, type_, field):
        parts = [f".name = {str_init(field.name)}", f".type = &{table_of(field.ref)}",
                 f".offset = offsetof(struct {type_.c_name}, {field.c_name})"]
        flags = field_flags(field)
        if flags:
            parts.append(".flags = " + " | ".join(flags))
        if field.default is not None:
            parts.append(f".default_json = {str_init(field.default)}")
        if field.values:
            parts.append(f".enum_values = {self.strings(field.values)}, .enum_count = {len(field.values)}")
        if field.list_kind:
            parts.append(f".list_kind = LIST_{field.list_kind.upper()}")
        if field.list_kind == "map":
            parts.append(f".list_map_keys = {self.strings(field.list_keys)}, "
                         f".list_map_key_count = {len(field.list_keys)}")
        if field.map_kind == "atomic":
            parts.append(".map_atomic = true")
        if field.merge_key:
            parts.append(f".merge_key = {str_init(field.merge_key)}")
        if field.pb:
            parts.append(f".pb_depth = {len(field.pb)}, .pb = {{ {', '.join(map(str, field.pb))} }}")
        if field.format:
            parts.append(f".format = FORMAT_{field.format.upper().replace('-', '_')}")
        if field.bounds:
            parts.append(f".range = {field_range(field.bounds)}")
        if field.doc:
            parts.append(f".doc = {str_init(field.doc)}")
        return "    { " + ",\n      ".join(parts) + " },\n"

    def type(self, type_):
        for field in type_.fields:
            self.shape(field.ref)
        rows = [self.field(type_, field) for field in sorted(type_.fields, key=lambda field: field.name)]
        self.out.write(f"\nstatic const struct field {type_.c_name}_fields[] = {{\n{''.join(rows)}}};\n")
        order = self.pb_order(type_)
        self.out.write(f"const struct type TYPE_{type_.c_name.upper()} = {{\n    .kind = TYPE_STRUCT,\n"
                       f"    .name = {str_init(type_.full_name)},\n"
                       f"    .fields = {type_.c_name}_fields,\n    .field_count = {len(rows)},\n"
                       f"    .size = sizeof(struct {type_.c_name}),\n")
        if order:
            self.out.write(f"    .pb_order = {type_.c_name}_pb,\n    .pb_count = {order},\n")
        if type_.atomic:
            self.out.write("    .atomic = true,\n")
        if type_.check:
            self.out.write(f"    .check = check_{type_.check},\n")
        if type_.doc:
            self.out.write(f"    .doc = {str_init(type_.doc)},\n")
        if type_.is_object:
            self.out.write(f"    .group = {str_init(type_.file.group)},\n"
                           f"    .version = {str_init(type_.file.version)},\n"
                           f"    .kind_name = {str_init(type_.name)},\n")
        self.out.write("};\n")

    def pb_order(self, type_):
        """Writes the places of the fields in the order of their protobuf numbers; returns how many there are."""
        fields = sorted(type_.fields, key=lambda field: field.name)
        places = sorted((i for i, field in enumerate(fields) if field.pb), key=lambda i: fields[i].pb)
        if places:
            self.out.write(f"static const uint16_t {type_.c_name}_pb[] = {{ {', '.join(map(str, places))} }};\n")
        return len(places)

    def resource(self, resource):
        name, file = resource.c_name, resource.file
        lower = name.lower()
        short = self.strings(resource.short) if resource.short else "NULL"
        categories = self.strings(resource.categories) if resource.categories else "NULL"
        self.out.write("\n")
        if resource.columns:
            self.out.write(f"static const struct column {lower}_columns[] = {{\n"
                           + "".join(column_row(column) for column in resource.columns) + "};\n")
        if resource.subs:
            self.out.write(f"static const struct subresource {lower}_subs[] = {{\n"
                           + "".join(sub_row(sub) for sub in resource.subs) + "};\n")
        list_kind = str_init(resource.kind + "List") if "list" in resource.verbs else "{ NULL, 0 }"
        self.out.write(f"const struct resource {name} = {{\n"
                       f"    .group = {str_init(file.group)},\n    .version = {str_init(file.version)},\n"
                       f"    .plural = {str_init(resource.plural)},\n"
                       f"    .singular = {str_init(resource.kind.lower())},\n"
                       f"    .kind = {str_init(resource.kind)},\n    .list_kind = {list_kind},\n"
                       f"    .namespaced = {c_bool(resource.scope == 'namespaced')},\n"
                       f"    .served = {c_bool(file.served)},\n    .verbs = {verb_bits(resource.verbs)},\n"
                       f"    .type = &TYPE_{resource.type.c_name.upper()},\n"
                       f"    .short_names = {short},\n    .short_name_count = {len(resource.short)},\n"
                       f"    .categories = {categories},\n    .category_count = {len(resource.categories)},\n"
                       f"    .columns = {lower + '_columns' if resource.columns else 'NULL'},\n"
                       f"    .column_count = {len(resource.columns)},\n"
                       f"    .subresources = {lower + '_subs' if resource.subs else 'NULL'},\n"
                       f"    .subresource_count = {len(resource.subs)},\n"
                       f"    .delete_returns_object = {c_bool(resource.delete_object)},\n"
                       f"    .storage = &{resource.storage.c_name},\n"
                       f"    .store_prefix = {str_init(store_prefix(resource.storage))},\n}};\n")


def c_bool(value):
    return "true" if value else "false"


def field_flags(field):
    flags = [("FIELD_REQUIRED", field.required), ("FIELD_ALWAYS", field.always), ("FIELD_INLINE", field.inline),
             ("FIELD_ZERO_OK", field.zero), ("FIELD_IMMUTABLE", field.immutable),
             ("FIELD_CODED", field.coded),
             ("FIELD_PATCH_MERGE", "merge" in field.patch), ("FIELD_PATCH_REPLACE", "replace" in field.patch),
             ("FIELD_PATCH_RETAIN_KEYS", "retainKeys" in field.patch),
             ("FIELD_ENUM_OPEN", field.values and not field.closed),
             ("FIELD_MAP_GRANULAR", field.map_kind == "granular"),
             ("FIELD_OMIT_EMPTY", omits_empty(field)), ("FIELD_POINTER", field.nullable)]
    return [name for name, is_set in flags if is_set]


def field_range(bounds):
    return (f"&(const struct field_range){{ {bounds.get('min', 'INT64_MIN')}, {bounds.get('max', 'INT64_MAX')}, "
            f"{bounds.get('maxlen', 0)}, {bounds.get('maxitems', 0)} }}")


def omits_empty(field):
    """Whether Go leaves the field out when it is empty, i.e. omitempty on what is no pointer."""
    return not field.always and not field.nullable and (field.ref.shape in ("list", "map") or
                                                        field.ref.scalar in POINTER_SCALARS)


def verb_bits(verbs):
    return " | ".join("VERB_" + verb.upper().replace("DELETECOLLECTION", "DELETE_COLLECTION") for verb in verbs)


def store_prefix(resource):
    group = resource.file.group
    return f"/registry/{group + '/' if group else ''}{resource.plural}/"


def column_row(column):
    cell = ("function", column.cell[3:]) if column.cell.startswith("fn=") else ("path", column.cell)
    parts = [f".name = {str_init(column.name)}", f".type = {str_init(column.type)}",
             f".format = {str_init('name' if column.name == 'Name' else '')}",
             f".priority = {1 if column.wide else 0}", f".{cell[0]} = {str_init(cell[1])}"]
    if column.absent is not None:
        parts.append(f".absent_json = {str_init(column.absent)}")
    if column.doc:
        parts.append(f".doc = {str_init(column.doc)}")
    return "    { " + ", ".join(parts) + " },\n"


def sub_row(sub):
    return (f"    {{ .name = {str_init(sub.name)}, .verbs = {verb_bits(sub.verbs)}, "
            f".group = {str_init(sub.file.group)}, .version = {str_init(sub.file.version)}, "
            f".kind = {str_init(sub.kind)} }},\n")


def write_tables(out, file):
    out.write(HEAD.format(source=os.path.basename(file.path)))
    out.write(f'#include "api/{file.prefix}.h"\n#include "api/resources.h"\n#include "schema/checks.h"\n'
              '#include "schema/format.h"\n\n')
    tables = Tables(out, file)
    for type_ in file.types.values():
        if not type_.alias:
            tables.type(type_)
    for resource in file.resources:
        tables.resource(resource)


def write_index(header, source, files):
    """resources.h and resources.c: every resource and every type."""
    resources = [resource for file in files.values() for resource in file.resources]
    types = sorted((type_ for file in files.values() for type_ in file.types.values() if not type_.alias),
                   key=lambda type_: type_.full_name)
    header.write(HEAD.format(source="all of api/") + '#pragma once\n\n#include "schema/type.h"\n\n')
    for resource in resources:
        header.write(f"extern const struct resource {resource.c_name};\n")
    source.write(HEAD.format(source="all of api/"))
    source.write("".join(f'#include "api/{name}.h"\n' for name in [*sorted(files), "resources"]) + "\n")
    source.write("const struct resource *const api_resources[] = {\n"
                 + "".join(f"    &{resource.c_name},\n" for resource in resources)
                 + f"}};\nconst size_t api_resource_count = {len(resources)};\n\n")
    source.write("const struct type *const api_types[] = {\n"
                 + "".join(f"    &TYPE_{type_.c_name.upper()},\n" for type_ in types)
                 + f"}};\nconst size_t api_type_count = {len(types)};\n")


def emit(files, folder):
    listed = {type_ for file in files.values() for type_ in elem_refs(file, "list")}
    mapped = {type_ for file in files.values() for type_ in elem_refs(file, "map")}

    def create(name):
        return open(os.path.join(folder, name), "w", encoding="ascii")

    with create("containers.h") as out:
        out.write(HEAD.format(source="all of api/") + CONTAINERS)
    for file in files.values():
        with create(file.prefix + ".h") as out:
            write_header(out, file, listed, mapped)
        with create(file.prefix + ".c") as out:
            write_tables(out, file)
    with create("resources.h") as header, create("resources.c") as source:
        write_index(header, source, files)
