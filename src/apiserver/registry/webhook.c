/* webhook.c - where a webhook is called: a URL, or a service of the cluster. */
#include "apiserver/registry/place.h"

/* "/a/b/": segments of names, none of them empty. */
static void check_webhook_path(const struct place *at)
{
    struct str rest = place_str(at), part;
    unsigned n = 0;

    if (str_empty(rest) || str_is(rest, "/"))
        return;
    if (str_is(rest, "//")) {
        say_invalid(at, "segment[0] may not be empty");
        return;
    }
    if (rest.data[0] != '/')
        say_invalid(at, "must start with a '/'");
    rest = str_skip(rest, 1);
    if (str_has_suffix(rest, STR("/")))
        rest = str_chop(rest, 1);
    for (; str_split(&rest, '/', &part); n++) {
        const char *problem = str_empty(part) ? NULL : form_problem(NAME_SUBDOMAIN, part);

        if (str_empty(part))
            say_invalid(at, "segment[%u] may not be empty", n);
        else if (problem)
            say_invalid(at, "segment[%u]: %s", n, problem);
    }
}

static void check_webhook_service(const struct place *service)
{
    struct place name = place_member(service, "name"), ns = place_member(service, "namespace");
    struct place port = place_member(service, "port"), path = place_member(service, "path");

    check_required(&name, "service name is required");
    check_required(&ns, "service namespace is required");
    check_range(&port, 1, 65535, "port is not valid: must be between 1 and 65535, inclusive");
    check_webhook_path(&path);
}

#define URL_FORM "; desired format: https://host[/path]"

static void check_webhook_url(const struct place *at)
{
    struct str url = place_str(at), host = url, scheme = STR("");
    ssize_t colon = str_find(url, STR("://")), end;

    for (size_t i = 0; i < url.len; i++)
        if ((unsigned char)url.data[i] < 0x20 || url.data[i] == 0x7f) {
            say_required(at, "url must be a valid URL: invalid control character in URL" URL_FORM);
            return;
        }
    if (colon >= 0) {
        scheme = str_first(url, (size_t)colon);
        host = str_skip(url, (size_t)colon + 3);
    } else {
        host = STR("");
    }
    if (!str_eq_nocase(scheme, STR("https")))
        say_invalid_as(at, scheme, "'https' is the only allowed URL scheme" URL_FORM);
    for (end = 0; (size_t)end < host.len && !memchr("/?#", host.data[end], 3); end++)
        ;
    struct str authority = str_first(host, (size_t)end);
    ssize_t user = str_rchr(authority, '@');

    if (str_empty(user >= 0 ? str_skip(authority, (size_t)user + 1) : authority))
        say_invalid_as(at, STR(""), "host must be specified" URL_FORM);
    if (user >= 0)
        say_invalid_as(at, str_first(authority, (size_t)user), "user information is not permitted in the URL");
    ssize_t fragment = str_chr(url, '#'), query = str_chr(url, '?');
    if (fragment >= 0 && (size_t)fragment + 1 < url.len)
        say_invalid_as(at, str_skip(url, (size_t)fragment + 1), "fragments are not permitted in the URL");
    if (query >= 0 && (fragment < 0 || query < fragment)) {
        struct str text = str_skip(fragment < 0 ? url : str_first(url, (size_t)fragment), (size_t)query + 1);

        if (!str_empty(text))
            say_invalid_as(at, text, "query parameters are not permitted in the URL");
    }
}

void check_webhook_client(const struct place *client)
{
    struct place url = place_member(client, "url"), service = place_member(client, "service");

    if (place_there(&url) == place_there(&service))
        say_required(client, "exactly one of url or service is required");
    else if (place_there(&url))
        check_webhook_url(&url);
    else
        check_webhook_service(&service);
}
