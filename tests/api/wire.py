"""Kubernetes' protobuf form of objects, by table: an encoder and a decoder of their own, to hold the server's against.

encode(model, object) gives the bytes that a client with generated types would send; decode(model, bytes) gives the object
back. A few kinds of apiextensions have messages of their own where JSON has a choice of shapes (UNIONS)."""

import base64
import datetime
import json
import struct

MAGIC = b"k8s\0"
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

# alias: (field of the schema, field of the other, what the other is)
UNIONS = {
    "JSONSchemaPropsOrArray": (1, 2, "schemas"),
    "JSONSchemaPropsOrBool": (2, 1, "bool"),
    "JSONSchemaPropsOrStringArray": (1, 2, "strings"),
}
EMPTY = {"CustomResourceSubresourceStatus"}


class WireError(Exception):
    pass


# -- the format itself --

def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def key(number, wire):
    return varint(number << 3 | wire)


def piece(number, wire, payload):
    return key(number, wire) + (varint(len(payload)) + payload if wire == BYTES else payload)


def read_varint(data, at):
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise WireError("a varint is cut short")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def pieces(data):
    """(number, wire type, value) of each field of a message."""
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            value, at = read_varint(data, at)
        else:
            if wire == BYTES:
                size, at = read_varint(data, at)
            else:
                size = {FIXED64: 8, FIXED32: 4}.get(wire)
            if size is None or at + size > len(data):
                raise WireError(f"field {number} is damaged (wire type {wire})")
            value, at = data[at:at + size], at + size
        if number == 0:
            raise WireError("field number 0")
        yield number, wire, value


def signed(value, bits=64):
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


# -- encoding --

def parse_time(text):
    seconds, _, fraction = text.rstrip("Z").partition(".")
    moment = datetime.datetime.strptime(seconds, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.timezone.utc)
    return int(moment.timestamp()), int((fraction + "0" * 9)[:9])


def encode_scalar(name, value):
    """(wire type, payload)"""
    if name == "string":
        return BYTES, value.encode()
    if name == "bytes":
        return BYTES, base64.b64decode(value)
    if name == "bool":
        return VARINT, varint(int(value))
    if name in ("int32", "int64"):
        return VARINT, varint(value)
    if name == "double":
        return FIXED64, struct.pack("<d", value)
    if name in ("time", "microtime"):
        seconds, nanos = parse_time(value)
        return BYTES, piece(1, VARINT, varint(seconds)) + piece(2, VARINT, varint(nanos))
    if name == "quantity":
        return BYTES, piece(1, BYTES, str(value).encode())
    if name == "intstr":
        if isinstance(value, int):
            return BYTES, piece(1, VARINT, varint(0)) + piece(2, VARINT, varint(value)) + piece(3, BYTES, b"")
        return BYTES, piece(1, VARINT, varint(1)) + piece(2, VARINT, varint(0)) + piece(3, BYTES, value.encode())
    return BYTES, piece(1, BYTES, json.dumps(value).encode())  # any, object: raw JSON in field 1


def encode_union(type_, value):
    schema, other, shape = UNIONS[type_.name]
    props = type_.file.types["JSONSchemaProps"]
    if isinstance(value, dict):
        body = piece(schema, BYTES, encode_struct(props, value))
        return body + (piece(other, VARINT, varint(1)) if shape == "bool" else b"")
    if shape == "bool":
        return piece(other, VARINT, varint(int(value)))
    if shape == "schemas":
        return b"".join(piece(other, BYTES, encode_struct(props, item)) for item in value)
    return b"".join(piece(other, BYTES, item.encode()) for item in value)


def encode_value(ref, value):
    if ref.shape == "named" and ref.type.name in UNIONS:
        return BYTES, encode_union(ref.type, value)
    if ref.shape == "named" and ref.type.name in EMPTY:
        return BYTES, b""
    if ref.shape == "list":  # in a map
        return BYTES, b"".join(piece(1, *encode_value(ref.elem, item)) for item in value)
    if ref.scalar:
        return encode_scalar(ref.scalar, value)
    return BYTES, encode_struct(ref.struct, value)


def field_pieces(number, ref, value):
    if value is None:
        return b""
    if ref.shape == "list":
        return b"".join(piece(number, *encode_value(ref.elem, item)) for item in value)
    if ref.shape == "map":
        return b"".join(piece(number, BYTES, piece(1, BYTES, name.encode()) + piece(2, *encode_value(ref.elem, item)))
                        for name, item in sorted(value.items()))
    return piece(number, *encode_value(ref, value))


def encode_struct(type_, value):
    fields = {field.name: field for field in type_.fields}
    nested, out = {}, b""
    for name, item in value.items():
        field = fields.get(name)
        if field is None:
            raise WireError(f"{type_.name} has no field {name}")
        if not field.pb:
            if name in ("apiVersion", "kind"):
                continue
            raise WireError(f"{type_.name}.{name} has no number")
        body = field_pieces(field.pb[-1], field.ref, item)
        if len(field.pb) == 1:
            out += body
        else:
            way = tuple(field.pb[:-1])
            nested[way] = nested.get(way, b"") + body
    for way, body in nested.items():
        for number in reversed(way):
            body = piece(number, BYTES, body)
        out += body
    return out


def envelope(api_version, kind, raw):
    type_meta = piece(1, BYTES, api_version.encode()) + piece(2, BYTES, kind.encode())
    return MAGIC + piece(1, BYTES, type_meta) + piece(2, BYTES, raw) + piece(3, BYTES, b"") + piece(4, BYTES, b"")


def encode(model, value):
    type_ = model.kind(value["apiVersion"], value["kind"])
    if type_ is None:
        raise WireError(f"no kind {value['apiVersion']} {value['kind']}")
    return envelope(value["apiVersion"], value["kind"], encode_struct(type_, value))


# -- decoding --

def time_text(seconds, nanos, micro):
    text = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{nanos // 1000:06}Z" if micro else text + "Z"


def first(data, number, default):
    found = default
    for this, _, value in pieces(data):
        if this == number:
            found = value
    return found


def decode_scalar(name, wire, value):
    wanted = {"bool": VARINT, "int32": VARINT, "int64": VARINT, "double": FIXED64}.get(name, BYTES)
    if wire != wanted:
        raise WireError(f"a {name} with wire type {wire}")
    if name == "string":
        return value.decode()
    if name == "bytes":
        return base64.b64encode(value).decode()
    if name == "bool":
        return bool(value)
    if name in ("int32", "int64"):
        return signed(value)
    if name == "double":
        return struct.unpack("<d", value)[0]
    if name in ("time", "microtime"):
        if not value:
            return None
        return time_text(signed(first(value, 1, 0)), signed(first(value, 2, 0)), name == "microtime")
    if name == "quantity":
        return first(value, 1, b"0").decode()
    if name == "intstr":
        return first(value, 3, b"").decode() if first(value, 1, 0) else signed(first(value, 2, 0))
    raw = first(value, 1, b"")
    return json.loads(raw) if raw else None


def decode_union(type_, data):
    schema, other, shape = UNIONS[type_.name]
    props = type_.file.types["JSONSchemaProps"]
    found = list(pieces(data))
    for number, _, value in found:  # beside a schema, "allows" says nothing
        if number == schema:
            return decode_struct(props, value)
    if shape == "bool":
        return any(value for number, _, value in found if number == other)
    return [decode_struct(props, value) if shape == "schemas" else value.decode() for number, _, value in found
            if number == other]


def decode_value(ref, wire, value):
    if ref.shape == "named" and ref.type.name in UNIONS:
        return decode_union(ref.type, value)
    if ref.shape == "named" and ref.type.name in EMPTY:
        return {}
    if ref.shape == "list":
        return [decode_value(ref.elem, inner, item) for number, inner, item in pieces(value) if number == 1]
    if ref.scalar:
        return decode_scalar(ref.scalar, wire, value)
    return decode_struct(ref.struct, value)


def decode_map_entry(ref, data):
    name, wire, value = "", BYTES, b""
    for number, this, item in pieces(data):
        if number == 1:
            name = item.decode()
        elif number == 2:
            wire, value = this, item
    return name, decode_value(ref.elem, wire, value)


def walk(type_, data, way, out):
    for number, wire, value in pieces(data):
        here = way + [number]
        field = next((row for row in type_.fields if row.pb == here), None)
        if field is None:
            if not any(row.pb[:len(here)] == here for row in type_.fields):
                raise WireError(f"{type_.name} has no field {'.'.join(map(str, here))}")
            walk(type_, value, here, out)
        elif field.ref.shape == "list":
            out.setdefault(field.name, []).append(decode_value(field.ref.elem, wire, value))
        elif field.ref.shape == "map":
            name, item = decode_map_entry(field.ref, value)
            out.setdefault(field.name, {})[name] = item
        else:
            out[field.name] = decode_value(field.ref, wire, value)


def decode_struct(type_, data):
    out = {}
    walk(type_, data, [], out)
    return out


def open_envelope(data):
    """(apiVersion, kind, raw)"""
    if data[:4] != MAGIC:
        raise WireError(f"no protobuf of Kubernetes: it begins with {data[:8]!r}")
    type_meta = first(data[4:], 1, b"")
    return first(type_meta, 1, b"").decode(), first(type_meta, 2, b"").decode(), first(data[4:], 2, b"")


def decode(model, data):
    api_version, kind, raw = open_envelope(data)
    type_ = model.kind(api_version, kind)
    if type_ is None:
        raise WireError(f"no kind {api_version} {kind}")
    return {"apiVersion": api_version, "kind": kind, **decode_struct(type_, raw)}


def decode_event(model, frame):
    """A frame of a watch, without its length: (type, object). The event has no envelope, its object has one."""
    return first(frame, 1, b"").decode(), decode(model, first(first(frame, 2, b""), 1, b""))
