"""C names of types, fields and resources."""

import re

from idl import IdlError

# Words that cannot be a member's name: C's own, and macros that GNU C predefines.
RESERVED = set("""auto break case char const continue default do double else enum extern float for goto if inline int
long register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while bool
true false linux unix""".split())


def snake(name):
    """podIPs -> pod_ips, nonResourceURLs -> non_resource_urls, CSIDriver -> csi_driver."""
    name = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    name = re.sub(r"([A-Z]+)([A-Z](?!s(?:[A-Z_]|$))[a-z])", r"\1_\2", name)
    return name.lower()


def member_name(field):
    name = field.c_name or snake(field.name)
    return name + "_" if name in RESERVED else name


def rank(file, preferred):
    """Who gets a plain struct name when several want it: the lower rank."""
    if file.prefix == "meta_v1":
        return 0
    if file.prefix == "core_v1":
        return 1
    return 2 if preferred else 3


def assign_names(files):
    seen, wanted = set(), {}
    for file in files.values():  # in the order of discovery: a group's preferred version first
        preferred = file.group not in seen
        seen.add(file.group)
        for type_ in file.types.values():
            for field in type_.fields:
                field.c_name = member_name(field)
            if file.served and not type_.alias and not type_.c_name:
                wanted.setdefault(snake(type_.name), []).append((rank(file, preferred), type_))
    for name, claims in wanted.items():
        claims.sort(key=lambda claim: claim[0])
        if len(claims) == 1 or claims[0][0] < claims[1][0]:
            claims[0][1].c_name = name
    taken = {}
    for file in files.values():
        for type_ in file.types.values():
            type_.c_name = type_.c_name or f"{file.prefix}_{snake(type_.name)}"
            if not type_.alias and type_.c_name in taken:
                raise IdlError(f"{type_.where}: struct {type_.c_name} is taken by {taken[type_.c_name]}")
            taken[type_.c_name] = type_.where
    name_resources(files)


def name_resources(files):
    """RESOURCE_<GROUP>_<PLURAL>, with the version where several are served or none is."""
    served = {}
    for file in files.values():
        for resource in file.resources:
            if file.served:
                served.setdefault((file.group, resource.plural), []).append(resource)
    for file in files.values():
        for resource in file.resources:
            plain = file.served and len(served[(file.group, resource.plural)]) == 1
            parts = ["RESOURCE", file.group, "" if plain else file.version, resource.plural]
            resource.c_name = re.sub(r"[^A-Z0-9]+", "_", "_".join(part for part in parts if part).upper())
