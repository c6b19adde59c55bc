/* manifest.h - objects from what -f names: files, folders, URLs, standard input; YAML or JSON, several in one, Lists. */
#pragma once

#include "base/vec.h"
#include "cli/resources.h"

struct manifest {
    struct json *json;
    struct str source; /* "web.yaml", or "web.yaml, document 2" when it holds several */
    struct str api_version, kind, name, ns; /* ns: unset when it names none */
};

struct manifests {
    struct arena *arena;
    VEC(struct manifest) items;
    bool failed; /* something was not read: told already, with what and where */
};

void manifests_init(struct manifests *manifests, struct arena *arena);
void manifests_deinit(struct manifests *manifests);
/* Reads all documents of one -f. What cannot be read or is no object is told on standard error and noted; the rest counts. */
void manifests_read(struct manifests *manifests, const char *what, bool recursive);
/* The documents of a text. */
int manifests_parse(struct manifests *manifests, struct str source, struct str text, struct err *err);

/* -f and -R: a child parser for argp, whose input is this. */
#define FILES_MAX 64
struct file_options {
    const char *files[FILES_MAX];
    size_t count;
    bool recursive;
};
extern const struct argp files_argp;
void manifests_read_all(struct manifests *manifests, const struct file_options *options);
/* What the objects of the files are called; for get, describe and delete. */
int manifests_targets(const struct manifests *manifests, struct resources *resources, bool ns_is_fixed,
                      struct targets *ret_targets, struct err *err);

/* Its resource, and the namespace in which it is worked on: its own, else the session's; unset for objects without. The
 * namespace of -n must not contradict the object's. */
int manifest_resolve(struct resources *resources, const struct manifest *manifest, bool ns_is_fixed,
                     const struct resource **ret_resource, struct str *ret_ns, struct err *err);
