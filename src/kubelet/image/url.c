#include "kubelet/image/url.h"

#define URL_MAX 16384

static bool all_printable(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] <= ' ' || s.data[i] > '~')
            return false;
    return true;
}

bool url_parse(struct str text, struct url *ret_url)
{
    ssize_t fragment = str_chr(text, '#');
    struct str whole = fragment < 0 ? text : str_first(text, (size_t)fragment);
    ssize_t end = str_find(whole, STR("://"));
    struct url url = { .text = whole };

    if (whole.len > URL_MAX || !all_printable(whole) || end < 0)
        return false;
    struct str scheme = str_first(whole, (size_t)end), after = str_skip(whole, (size_t)end + 3);
    url.tls = str_eq_nocase(scheme, STR("https"));
    if (!url.tls && !str_eq_nocase(scheme, STR("http")))
        return false;
    size_t len = 0;
    while (len < after.len && after.data[len] != '/' && after.data[len] != '?')
        len++;
    url.authority = str_first(after, len);
    url.rest = str_skip(after, len);
    if (url.authority.len == 0 || str_chr(url.authority, '@') >= 0 || str_chr(url.authority, '\\') >= 0)
        return false;
    *ret_url = url;
    return true;
}

bool url_resolve(struct arena *arena, const struct url *base, struct str location, struct url *ret_url)
{
    const char *scheme = base->tls ? "https" : "http";
    struct str text = location;

    if (str_has_prefix(location, STR("//"))) {
        text = arena_printf(arena, "%s:" STR_FMT, scheme, STR_ARG(location));
    } else if (str_has_prefix(location, STR("/"))) {
        text = arena_printf(arena, "%s://" STR_FMT STR_FMT, scheme, STR_ARG(base->authority), STR_ARG(location));
    } else if (str_find(location, STR("://")) < 0) {
        ssize_t query = str_chr(base->rest, '?');
        struct str path = query < 0 ? base->rest : str_first(base->rest, (size_t)query);
        ssize_t slash = str_rchr(path, '/');
        text = arena_printf(arena, "%s://" STR_FMT STR_FMT "/" STR_FMT, scheme, STR_ARG(base->authority),
                            STR_ARG(str_first(path, slash < 0 ? 0 : (size_t)slash)), STR_ARG(location));
    }
    return text.data && url_parse(text, ret_url);
}

bool url_same_origin(const struct url *a, const struct url *b)
{
    return a->tls == b->tls && str_eq_nocase(a->authority, b->authority);
}

bool authority_is_loopback(struct str authority)
{
    ssize_t colon = str_rchr(authority, ':'), bracket = str_rchr(authority, ']');
    struct str host = colon > bracket ? str_first(authority, (size_t)colon) : authority;
    struct str part, rest = host;
    int parts = 0;

    if (str_eq_nocase(host, STR("localhost")) || str_is(host, "[::1]"))
        return true;
    for (; str_split(&rest, '.', &part); parts++) {
        uint64_t number;
        if (parts == 4 || part.len > 3 || !str_to_u64(part, &number) || number > 255 || (parts == 0 && number != 127))
            return false;
    }
    return parts == 4;
}
