#!/usr/bin/env python3
"""check_protobuf.py PRINT_PROTOBUF API-FOLDER - our protobuf as protoc reads it.

The .proto file is made here from api/*.api, apart from the tables that our encoder walks; protoc decodes with it what
print_protobuf wrote. Each field must come back under its name with the value that the JSON says, and nothing may come
back without a name, as it would with a wrong number or wire type."""

import base64
import calendar
import glob
import json
import os
import re
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "tools", "apigen"))

import idl  # noqa: E402

SCALARS = {"string": "string", "bytes": "bytes", "bool": "bool", "int32": "int32", "int64": "int64", "double": "double",
           "time": "Time", "microtime": "Time", "quantity": "Quantity", "intstr": "IntOrString", "any": "Raw",
           "object": "Raw", "schemalist": "SchemaOrList", "schemabool": "SchemaOrBool",
           "schemastrings": "SchemaOrStrings"}
SCHEMA = "io_k8s_apiextensions_apiserver_pkg_apis_apiextensions_v1_JSONSchemaProps"
FIXED = f"""syntax = "proto2";
message Time {{ optional int64 seconds = 1; optional int32 nanos = 2; }}
message Quantity {{ optional string string = 1; }}
message IntOrString {{ optional int64 type = 1; optional int32 intVal = 2; optional string strVal = 3; }}
message Raw {{ optional bytes raw = 1; }}
message Strings {{ repeated string items = 1; }}
message SchemaOrList {{ optional {SCHEMA} schema = 1; repeated {SCHEMA} list = 2; }}
message SchemaOrBool {{ optional bool allows = 1; optional {SCHEMA} schema = 2; }}
message SchemaOrStrings {{ optional {SCHEMA} schema = 1; repeated string property = 2; }}
"""


def message_name(full_name):
    return re.sub(r"[^A-Za-z0-9]", "_", full_name)


def field_name(name):
    """A name that protoc takes; no two fields of a struct differ in signs only."""
    return re.sub(r"[^A-Za-z0-9]", "_", "f_" + name)


def proto_type(ref):
    if ref.scalar:
        return SCALARS[ref.scalar]
    if ref.shape == "list":
        assert ref.elem.scalar == "string"
        return "Strings"
    return message_name(ref.type.full_name)


def field_line(field):
    name, number = field_name(field.name), field.pb[-1]
    if field.ref.shape == "map":
        return f"map<string, {proto_type(field.ref.elem)}> {name} = {number};"
    if field.ref.shape == "list":
        return f"repeated {proto_type(field.ref.elem)} {name} = {number};"
    return f"optional {proto_type(field.ref)} {name} = {number};"


def body(fields, depth):
    """The fields that have so many numbers, and the structs that Go embeds as messages of their own."""
    lines, groups = [], {}
    for field in fields:
        if len(field.pb) == depth + 1:
            lines.append(field_line(field))
        else:
            groups.setdefault(field.pb[depth], []).append(field)
    for number, inner in groups.items():
        lines.append(f"message E{number} {{ {body(inner, depth + 1)} }} optional E{number} e_{number} = {number};")
    return "\n".join(lines)


def proto_file(types, names):
    messages = [f"message {message_name(t.full_name)} {{\n{body([f for f in t.fields if f.pb], 0)}\n}}\n" for t in types]
    rows = "".join(f"  repeated {message_name(name)} m{i} = {i + 1};\n" for i, name in enumerate(names))
    return FIXED + "".join(messages) + f"message All {{\n{rows}}}\n"


# protoc's text format.

TOKEN = re.compile(r'\s*([A-Za-z0-9_]+)(?:: ("(?:[^"\\]|\\.)*"|\S+)| (\{))|\s*(\})')
ESCAPES = {"n": 10, "t": 9, "r": 13, '"': 34, "'": 39, "\\": 92}


def unquote(text):
    out = bytearray()
    for octal, char, plain in re.findall(r"\\([0-7]{3})|\\(.)|([^\\]+)", text[1:-1], re.S):
        out += bytes([int(octal, 8)]) if octal else bytes([ESCAPES[char]]) if char else plain.encode("latin-1")
    return bytes(out)


def parse_text(text):
    """A message as {name: [values]}."""
    root = {}
    stack = [root]
    at = 0
    while match := TOKEN.match(text, at):
        at = match.end()
        name, scalar, opens, closes = match.groups()
        if closes:
            stack.pop()
        elif opens:
            stack[-1].setdefault(name, []).append({})
            stack.append(stack[-1][name][-1])
        else:
            stack[-1].setdefault(name, []).append(unquote(scalar) if scalar[0] == '"' else scalar)
    assert not text[at:].strip() and len(stack) == 1, text[at:at + 100]
    return root


# What a message should hold.

class Mismatch(Exception):
    pass


def need(holds, path, got):
    if not holds:
        raise Mismatch(f"{path}: {str(got)[:300]}")


def only(message, name):
    return message.get(name, [None])[0]


def compare_time(micro, want, got, path):
    seconds, _, rest = want.partition(".")
    nanos = int(rest.rstrip("Z").ljust(9, "0")) if micro and rest else 0
    at = calendar.timegm(time.strptime(seconds.rstrip("Z"), "%Y-%m-%dT%H:%M:%S"))
    need((only(got, "seconds"), only(got, "nanos")) == (str(at), str(nanos)), path, got)


def compare_schema_or(schema, scalar, want, got, path):
    if isinstance(want, dict):
        need(scalar != "schemabool" or only(got, "allows") == "true", path, got)
        compare_struct(schema, want, only(got, "schema"), path)
    elif scalar == "schemabool":
        need(only(got, "allows") == json.dumps(want), path, got)
    elif scalar == "schemastrings":
        need([x.decode() for x in got.get("property", [])] == want, path, got)
    else:
        need(len(got.get("list", [])) == len(want), path, got)
        for one, other in zip(want, got.get("list", [])):
            compare_struct(schema, one, other, path)


def compare_scalar(owner, scalar, want, got, path):
    if scalar == "string":
        need(got.decode() == want, path, got)
    elif scalar == "bytes":
        need(got == base64.b64decode(want), path, got)
    elif scalar == "bool":
        need(got == json.dumps(want), path, got)
    elif scalar in ("int32", "int64", "double"):
        need(float(got) == want if scalar == "double" else int(got) == want, path, got)
    elif scalar in ("time", "microtime"):
        compare_time(scalar == "microtime", want, got, path)
    elif scalar == "quantity":
        need(only(got, "string").decode() == want, path, got)
    elif scalar == "intstr":
        number = isinstance(want, int)
        need(only(got, "type") == ("0" if number else "1"), path, got)
        need(int(only(got, "intVal")) == want if number else only(got, "strVal").decode() == want, path, got)
    elif scalar in ("any", "object"):
        need(json.loads(only(got, "raw")) == want, path, got)
    else:
        compare_schema_or(owner, scalar, want, got, path)


def compare_value(owner, ref, want, got, path):
    need(got is not None, path, "nothing")
    if ref.scalar:
        compare_scalar(owner, ref.scalar, want, got, path)
    elif ref.shape == "list":
        need([x.decode() for x in got.get("items", [])] == want, path, got)
    else:
        compare_struct(ref.type, want, got, path)


def is_empty(got):
    """Zero, or a struct of zeros: what Go writes for what is not there."""
    if isinstance(got, dict):
        return all(is_empty(value) for values in got.values() for value in values)
    return got in (b"", b"0", "0", "false")  # b"0": a quantity


def compare_field(owner, field, want, got, path):
    if want is None:
        need(all(is_empty(value) for value in got), path, got)
    elif field.ref.shape == "list":
        need(len(got) == len(want), path, got)
        for one, other in zip(want, got):
            compare_value(owner, field.ref.elem, one, other, path)
    elif field.ref.shape == "map":
        need([entry["key"][0].decode() for entry in got] == sorted(want), path, got)
        for entry in got:
            compare_value(owner, field.ref.elem, want[entry["key"][0].decode()], only(entry, "value"), path)
    else:
        compare_value(owner, field.ref, want, got[0] if got else None, path)


def compare_struct(type_, want, got, path):
    known = {"e_" + str(n) for f in type_.fields for n in f.pb[:-1]}
    known |= {field_name(f.name) for f in type_.fields if f.pb}
    need(set(got) <= known, path + ": what protoc has no name for", set(got) - known)
    for field in type_.fields:
        if not field.pb:
            continue
        place = got
        for number in field.pb[:-1]:
            place = only(place, f"e_{number}")
            need(place is not None, f"{path}.{field.name}", "an embedded struct is not there")
        compare_field(type_, field, want.get(field.name), place.get(field_name(field.name), []), f"{path}.{field.name}")


def varint(value):
    out = b""
    while value > 0x7f:
        out += bytes([value & 0x7f | 0x80])
        value >>= 7
    return out + bytes([value])


def decode_all(proto, rows, names):
    whole = b"".join(varint((names[name] + 1) << 3 | 2) + varint(len(message)) + message for name, _, message in rows)
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "api.proto"), "w") as file:
            file.write(proto)
        done = subprocess.run(["protoc", f"--proto_path={folder}", "--decode=All", "api.proto"], input=whole,
                              capture_output=True, check=False)
    if done.returncode:
        sys.exit("protoc: " + done.stderr.decode()[:2000])
    return parse_text(done.stdout.decode("latin-1"))


def main(program, folder):
    files = idl.load(sorted(glob.glob(os.path.join(folder, "*.api"))))
    types = {t.full_name: t for file in files.values() for t in file.types.values() if not t.alias}
    printed = subprocess.run([program], capture_output=True, check=True).stdout.decode()
    rows = [(name, json.loads(text), bytes.fromhex(digits))
            for name, text, digits in (line.split("\t") for line in printed.splitlines())]
    names = {name: i for i, name in enumerate(sorted({row[0] for row in rows}))}
    decoded = decode_all(proto_file(types.values(), list(names)), rows, names)
    bad, seen = 0, dict.fromkeys(names, 0)
    for name, want, _ in rows:
        try:
            compare_struct(types[name], want, decoded[f"m{names[name]}"][seen[name]], name)
        except Mismatch as mismatch:
            bad += 1
            print(f"[  FAILED  ] {mismatch}")
        seen[name] += 1
    if not bad and len(names) > 500:
        print(f"[       OK ] {len(rows)} objects of {len(names)} types are what protoc reads")
    return bad > 0 or len(names) <= 500


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
