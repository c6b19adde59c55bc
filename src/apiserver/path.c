/* path.c - URL to request info.
 *
 * The shapes are those of Kubernetes: /api/v1/... for the core group and /apis/GROUP/VERSION/... for the others, then
 * an optional (deprecated) "watch", then "namespaces/NS" in front of a namespaced resource, then
 * PLURAL[/NAME[/SUB[/REST]]]. The path is cut at its raw slashes first and each part is unescaped by itself, so that an
 * escaped slash never makes a new part; it is refused instead, with every other part that could not be the name of
 * something. */
#include "apiserver/path.h"

#include "base/buf.h"
#include "schema/type.h"

#define PATH_PARTS_MAX 64
#define PATH_MAX_BYTES 8192

struct parts {
    struct str items[PATH_PARTS_MAX];
    size_t count;
};

static bool part_is_safe(struct str part)
{
    if (str_is(part, ".") || str_is(part, ".."))
        return false;
    for (size_t i = 0; i < part.len; i++) {
        unsigned char c = (unsigned char)part.data[i];

        if (c < 0x20 || c == 0x7f || c == '/' || c == '%')
            return false;
    }
    return str_is_utf8(part);
}

static int split_path(struct arena *arena, struct str path, struct parts *parts, struct err *err)
{
    struct str rest = path, raw;

    parts->count = 0;
    while (str_split(&rest, '/', &raw)) {
        struct str part;

        if (str_empty(raw))
            continue;
        if (!http_unescape(arena, raw, false, &part) || !part_is_safe(part))
            return err_set(err, ERR_BAD_REQUEST, "the path of the request is malformed");
        if (parts->count == PATH_PARTS_MAX)
            return err_set(err, ERR_BAD_REQUEST, "the path of the request has too many parts");
        parts->items[parts->count++] = part;
    }
    return 0;
}

static struct str join_parts(struct arena *arena, const struct parts *parts, size_t from)
{
    size_t len = 1;
    char *out, *p;

    for (size_t i = from; i < parts->count; i++)
        len += parts->items[i].len + 1;
    p = out = arena_alloc(arena, len);
    if (!out)
        return STR_NULL;
    for (size_t i = from; i < parts->count; i++) {
        if (i > from)
            *p++ = '/';
        memcpy(p, parts->items[i].data, parts->items[i].len);
        p += parts->items[i].len;
    }
    return str_of(out, (size_t)(p - out));
}

bool param_bool(const struct http_params *params, struct str name)
{
    for (size_t i = 0; i < params->count; i++)
        if (str_eq(params->items[i].name, name))
            return !str_is(params->items[i].value, "0") && !str_eq_nocase(params->items[i].value, STR("false"));
    return false;
}

static uint32_t verb_of(enum http_method method, bool has_name, bool watch)
{
    switch (method) {
    case HTTP_GET_:
    case HTTP_HEAD_: return watch ? VERB_WATCH : has_name ? VERB_GET : VERB_LIST;
    case HTTP_POST_: return VERB_CREATE;
    case HTTP_PUT_: return VERB_UPDATE;
    case HTTP_PATCH_: return VERB_PATCH;
    case HTTP_DELETE_: return has_name ? VERB_DELETE : VERB_DELETE_COLLECTION;
    default: return 0;
    }
}

/* Parts after the version: [namespaces NS] PLURAL [NAME [SUB [REST...]]]. */
static void parse_resource(struct arena *arena, const struct parts *parts, size_t at, struct request_info *info)
{
    size_t left = parts->count - at;
    const struct str *p = parts->items + at;

    if (left >= 3 && str_is(p[0], "namespaces") &&
        !(left == 3 && (str_is(p[2], "status") || str_is(p[2], "finalize")))) {
        info->ns = p[1];
        p += 2, left -= 2, at += 2;
    }
    info->plural = p[0];
    if (left > 1)
        info->name = p[1];
    if (left > 2)
        info->subresource = p[2];
    if (left > 3)
        info->rest = join_parts(arena, parts, at + 3);
}

int path_parse(struct arena *arena, enum http_method method, struct str path, const struct http_params *params,
               struct request_info *ret_info, struct err *err)
{
    struct request_info info = { 0 };
    struct parts *parts = arena_new_of(arena, struct parts);
    size_t at = 0;
    bool watch = false;
    int code;

    if (path.len > PATH_MAX_BYTES)
        return err_set(err, ERR_BAD_REQUEST, "the path of the request is too long");
    if (!parts)
        return err_set(err, ERR_NO_MEMORY, "request path");
    if ((code = split_path(arena, path, parts, err)) < 0)
        return code;

    struct str joined = join_parts(arena, parts, 0);
    info.path = arena_concat(arena, STR("/"), joined);
    if (!info.path.data)
        return err_set(err, ERR_NO_MEMORY, "request path");

    if (parts->count > 2 && str_is(parts->items[0], "api")) {
        info.group = STR("");
        info.version = parts->items[1];
        at = 2;
    } else if (parts->count > 3 && str_is(parts->items[0], "apis")) {
        info.group = parts->items[1];
        info.version = parts->items[2];
        at = 3;
    }
    if (at && parts->count > at + 1 && str_is(parts->items[at], "watch"))
        watch = true, at++;
    if (at) {
        info.is_resource = true;
        parse_resource(arena, parts, at, &info);
        /* Of one object ?watch says nothing: who wants to watch it selects it by name, or asks below /watch. */
        watch = watch || (!info.name.data && param_bool(params, STR("watch")));
        info.verb = verb_of(method, info.name.data != NULL, watch);
    }
    *ret_info = info;
    return 0;
}

const char *verb_name(uint32_t verb)
{
    static const char *const names[] = { "get",    "list",  "watch",  "create",
                                         "update", "patch", "delete", "deletecollection",
                                         "connect" };

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (verb == 1u << i)
            return names[i];
    return "";
}
