/* http.c - names of methods and statuses, percent-encoding, query strings.
 *
 * Everything here takes bytes from strangers: lengths are explicit, nothing relies on a NUL, and malformed escapes are
 * refused instead of guessed at. */
#include "net/http.h"

#include "base/arena.h"
#include "base/buf.h"

static const struct {
    int status;
    const char *text;
} statuses[] = {
    { 100, "Continue" },
    { 101, "Switching Protocols" },
    { 200, "OK" },
    { 201, "Created" },
    { 202, "Accepted" },
    { 204, "No Content" },
    { 206, "Partial Content" },
    { 301, "Moved Permanently" },
    { 302, "Found" },
    { 303, "See Other" },
    { 304, "Not Modified" },
    { 307, "Temporary Redirect" },
    { 308, "Permanent Redirect" },
    { 400, "Bad Request" },
    { 401, "Unauthorized" },
    { 403, "Forbidden" },
    { 404, "Not Found" },
    { 405, "Method Not Allowed" },
    { 406, "Not Acceptable" },
    { 408, "Request Timeout" },
    { 409, "Conflict" },
    { 410, "Gone" },
    { 411, "Length Required" },
    { 412, "Precondition Failed" },
    { 413, "Request Entity Too Large" },
    { 414, "URI Too Long" },
    { 415, "Unsupported Media Type" },
    { 416, "Range Not Satisfiable" },
    { 417, "Expectation Failed" },
    { 421, "Misdirected Request" },
    { 422, "Unprocessable Entity" },
    { 426, "Upgrade Required" },
    { 429, "Too Many Requests" },
    { 431, "Request Header Fields Too Large" },
    { 500, "Internal Server Error" },
    { 501, "Not Implemented" },
    { 502, "Bad Gateway" },
    { 503, "Service Unavailable" },
    { 504, "Gateway Timeout" },
    { 505, "HTTP Version Not Supported" },
    { 507, "Insufficient Storage" },
};

static const char *const method_names[] = {
    [HTTP_GET_] = "GET",         [HTTP_HEAD_] = "HEAD",       [HTTP_POST_] = "POST",
    [HTTP_PUT_] = "PUT",         [HTTP_PATCH_] = "PATCH",     [HTTP_DELETE_] = "DELETE",
    [HTTP_OPTIONS_] = "OPTIONS", [HTTP_CONNECT_] = "CONNECT", [HTTP_OTHER_] = "OTHER",
};

const char *http_status_text(int status)
{
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
        if (statuses[i].status == status)
            return statuses[i].text;
    return "Unknown";
}

const char *http_method_name(enum http_method method)
{
    return (size_t)method < ARRAY_LEN(method_names) ? method_names[method] : method_names[HTTP_OTHER_];
}

enum http_method http_method_from(struct str name)
{
    for (size_t i = 0; i < HTTP_OTHER_; i++)
        if (str_is(name, method_names[i]))
            return (enum http_method)i;
    return HTTP_OTHER_;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool needs_unescape(struct str s, bool query)
{
    return s.len > 0 && (memchr(s.data, '%', s.len) || (query && memchr(s.data, '+', s.len)));
}

bool http_unescape(struct arena *arena, struct str s, bool query, struct str *ret)
{
    size_t n = 0;

    if (!needs_unescape(s, query)) {
        *ret = s.data ? s : STR("");
        return true;
    }
    char *out = arena_alloc(arena, s.len + 1);
    if (!out)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        if (c == '+' && query) {
            c = ' ';
        } else if (c == '%') {
            int high = s.len - i > 2 ? hex_digit(s.data[i + 1]) : -1;
            int low = s.len - i > 2 ? hex_digit(s.data[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        out[n++] = c;
    }
    *ret = str_of(out, n);
    return true;
}

static bool is_unreserved(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.' || c == '~';
}

void http_escape(struct buf *buf, struct str s)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (is_unreserved(c)) {
            buf_add_char(buf, (char)c);
        } else {
            const char escaped[3] = { '%', digits[c >> 4], digits[c & 15] };
            buf_add(buf, escaped, sizeof escaped);
        }
    }
}

static size_t count_pairs(struct str query)
{
    size_t count = 1;

    for (size_t i = 0; i < query.len; i++)
        count += query.data[i] == '&';
    return count;
}

bool http_params_parse(struct arena *arena, struct str query, struct http_params *ret_params)
{
    struct http_params params = { NULL, 0 };
    struct str part;

    if (str_empty(query)) {
        *ret_params = params;
        return true;
    }
    params.items = arena_array_of(arena, count_pairs(query), struct http_param);
    if (!params.items)
        return false;
    while (str_split(&query, '&', &part)) {
        if (str_empty(part))
            continue;
        struct http_param *item = &params.items[params.count++];
        ssize_t equals = str_chr(part, '=');
        struct str name = equals < 0 ? part : str_first(part, (size_t)equals);
        struct str value = equals < 0 ? STR("") : str_skip(part, (size_t)equals + 1);
        if (!http_unescape(arena, name, true, &item->name) || !http_unescape(arena, value, true, &item->value))
            return false;
    }
    *ret_params = params;
    return true;
}

struct str http_param(const struct http_params *params, struct str name)
{
    for (size_t i = 0; i < params->count; i++)
        if (str_eq(params->items[i].name, name))
            return params->items[i].value;
    return STR_NULL;
}
