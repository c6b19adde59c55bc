/* proxy_head.c - what is of one connection stays on it (RFC 9110, 7.6.1), what says who the user is stays here, and
 * places on the other side are named as places below the proxy. */
#include "apiserver/proxy_head.h"

bool proxy_path_split(struct str path, struct str *ret_prefix, struct str *ret_rest)
{
    static const char *const node[] = { "api", "v1", "nodes", NULL, "proxy" };
    static const char *const inside[] = { "api", "v1", "namespaces", NULL, NULL, NULL, "proxy" };
    static const struct {
        const char *const *parts;
        size_t count;
    } shapes[] = { { node, ARRAY_LEN(node) }, { inside, ARRAY_LEN(inside) } };

    for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
        struct str rest = str_skip(path, 1), part = STR_NULL;
        bool fits = str_has_prefix(path, STR("/"));

        for (size_t i = 0; fits && i < shapes[s].count; i++)
            fits = str_split(&rest, '/', &part) &&
                   (shapes[s].parts[i] ? str_is(part, shapes[s].parts[i]) : !str_empty(part));
        if (!fits)
            continue;
        *ret_prefix = str_of(path.data, (size_t)(part.data + part.len - path.data));
        *ret_rest = str_skip(path, ret_prefix->len);
        return true;
    }
    return false;
}

enum proxy_body proxy_body_of(const struct http_request *request)
{
    uint64_t length;

    if (str_to_u64(http_request_header(request, STR("content-length")), &length))
        return length ? PROXY_BODY_LENGTH : PROXY_BODY_NONE;
    if (http_request_header(request, STR("transfer-encoding")).data)
        return PROXY_BODY_CHUNKED;
    /* HTTP/2 says only at the end of a body that it is the end. */
    return request->major == 2 && request->method != HTTP_GET_ && request->method != HTTP_HEAD_ ? PROXY_BODY_CHUNKED
                                                                                                : PROXY_BODY_NONE;
}

static bool is_in(struct str name, const struct str *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(name, list[i]))
            return true;
    return false;
}

/* Of this connection alone, by its nature or because Connection names it. */
static bool is_hop(struct str name, const struct http_header *headers, size_t count)
{
    static const struct str hops[] = {
        STR_INIT("connection"), STR_INIT("keep-alive"), STR_INIT("proxy-authenticate"), STR_INIT("proxy-authorization"),
        STR_INIT("proxy-connection"), STR_INIT("te"), STR_INIT("trailer"), STR_INIT("transfer-encoding"),
        STR_INIT("upgrade"),
    };
    struct str part;

    if (is_in(name, hops, ARRAY_LEN(hops)))
        return true;
    for (size_t i = 0; i < count; i++) {
        struct str rest = headers[i].value;

        while (str_is(headers[i].name, "connection") && str_split(&rest, ',', &part))
            if (str_eq_nocase(str_trim(part), name))
                return true;
    }
    return false;
}

/* Written anew, or none of the other side's business. */
static bool is_ours(struct str name)
{
    static const struct str ours[] = {
        STR_INIT("host"), STR_INIT("content-length"), STR_INIT("authorization"), STR_INIT("expect"),
        STR_INIT("x-forwarded-for"), STR_INIT("x-forwarded-uri"),
    };

    return is_in(name, ours, ARRAY_LEN(ours)) || str_has_prefix(name, STR("impersonate-")) ||
           str_has_prefix(name, STR("x-remote-"));
}

static void write_forwarded(struct buf *head, const struct http_request *request, struct str prefix, struct str rest)
{
    struct str before = http_request_header(request, STR("x-forwarded-for"));

    buf_printf(head, "X-Forwarded-For: " STR_FMT "%s" STR_FMT "\r\n", STR_ARG(before), before.len ? ", " : "",
               STR_ARG(request->remote_address));
    buf_printf(head, "X-Forwarded-Uri: " STR_FMT STR_FMT "\r\n", STR_ARG(prefix), STR_ARG(rest));
}

void proxy_head_write(struct buf *head, const struct http_request *request, struct str prefix, struct str rest,
                      bool upgrade)
{
    struct str host = http_request_header(request, STR("host"));
    enum proxy_body body = proxy_body_of(request);

    buf_printf(head, STR_FMT " %s" STR_FMT "%s" STR_FMT " HTTP/1.1\r\nHost: " STR_FMT "\r\n",
               STR_ARG(request->method_name), rest.len ? "" : "/", STR_ARG(rest), request->query.len ? "?" : "",
               STR_ARG(request->query), STR_ARG(host));
    for (size_t i = 0; i < request->header_count; i++) {
        const struct http_header *header = &request->headers[i];

        if (header->name.len && header->name.data[0] != ':' && !is_ours(header->name) &&
            !is_hop(header->name, request->headers, request->header_count))
            buf_printf(head, STR_FMT ": " STR_FMT "\r\n", STR_ARG(header->name), STR_ARG(header->value));
    }
    write_forwarded(head, request, prefix, rest);
    if (body == PROXY_BODY_LENGTH)
        buf_printf(head, "Content-Length: " STR_FMT "\r\n",
                   STR_ARG(http_request_header(request, STR("content-length"))));
    else if (body == PROXY_BODY_CHUNKED)
        buf_add_cstr(head, "Transfer-Encoding: chunked\r\n");
    if (upgrade)
        buf_printf(head, "Connection: Upgrade\r\nUpgrade: " STR_FMT "\r\n\r\n",
                   STR_ARG(http_request_header(request, STR("upgrade"))));
    else
        buf_add_cstr(head, "Connection: close\r\n\r\n");
}

bool proxy_header_passes(struct str name, const struct http_header *headers, size_t count)
{
    /* What another origin may do with this server is not the pod's to say. */
    static const struct str origins[] = {
        STR_INIT("access-control-allow-credentials"), STR_INIT("access-control-allow-headers"),
        STR_INIT("access-control-allow-methods"), STR_INIT("access-control-allow-origin"),
    };

    return !is_hop(name, headers, count) && !is_in(name, origins, ARRAY_LEN(origins)) && !str_is(name, "content-length");
}

/* "http://host/path" in parts; without scheme and host these are empty. */
static struct str skip_authority(struct str location, struct str *ret_authority)
{
    ssize_t slashes = str_find(location, STR("://"));
    ssize_t colon = str_chr(location, ':'), slash = str_chr(location, '/');
    struct str rest;

    *ret_authority = STR("");
    if (str_has_prefix(location, STR("//")))
        rest = str_skip(location, 2);
    else if (slashes > 0 && slashes == colon && slash > colon)
        rest = str_skip(location, (size_t)slashes + 3);
    else
        return location;
    size_t end = 0;

    while (end < rest.len && rest.data[end] != '/' && rest.data[end] != '?' && rest.data[end] != '#')
        end++;
    *ret_authority = str_first(rest, end);
    return str_skip(rest, end);
}

void proxy_location_write(struct buf *out, const struct http_request *request, struct str prefix, struct str authority,
                          struct str location)
{
    struct str theirs, path = skip_authority(location, &theirs);
    bool elsewhere = theirs.len && !str_eq(theirs, authority) &&
                     !str_eq(theirs, http_request_header(request, STR("host")));

    if (elsewhere || !str_has_prefix(path, STR("/"))) {
        buf_add_str(out, location);
        return;
    }
    if (!str_has_prefix(path, prefix))
        buf_add_str(out, prefix);
    buf_add_str(out, path);
}
