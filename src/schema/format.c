/* format.c - names and other text of a known form. The scanners below are the regular expressions that the messages
 * quote. */
#include "schema/format.h"

#include <arpa/inet.h>
#include <string.h>

#define LABEL_MAX 63
#define SUBDOMAIN_MAX 253

#define SUBDOMAIN_TEXT                                                                                               \
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start " \
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "                      \
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
#define LABEL_TEXT                                                                                                  \
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end " \
    "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "                  \
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
#define DNS1035_TEXT                                                                                                   \
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, " \
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "             \
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
#define QUALIFIED_TEXT                                                                                                 \
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character " \
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "                                      \
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
#define LABEL_VALUE_TEXT                                                                                              \
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "   \
    "and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation " \
    "is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_lower(c) || is_digit(c) || (c >= 'A' && c <= 'Z');
}

/* [a-z0-9]([-a-z0-9]*[a-z0-9])?, length aside. */
static bool label_chars(struct str s)
{
    if (str_empty(s) || s.data[0] == '-' || s.data[s.len - 1] == '-')
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!is_lower(s.data[i]) && !is_digit(s.data[i]) && s.data[i] != '-')
            return false;
    return true;
}

static bool subdomain_chars(struct str s)
{
    struct str part;

    if (str_empty(s))
        return false;
    while (str_split(&s, '.', &part))
        if (!label_chars(part))
            return false;
    return true;
}

/* ([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9] */
static bool qualified_chars(struct str s)
{
    if (str_empty(s) || !is_alnum(s.data[0]) || !is_alnum(s.data[s.len - 1]))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!is_alnum(s.data[i]) && s.data[i] != '-' && s.data[i] != '_' && s.data[i] != '.')
            return false;
    return true;
}

bool name_is_label(struct str name)
{
    return name.len <= LABEL_MAX && label_chars(name);
}

bool name_is_subdomain(struct str name)
{
    return name.len <= SUBDOMAIN_MAX && subdomain_chars(name);
}

bool name_is_dns1035(struct str name)
{
    return name_is_label(name) && is_lower(name.data[0]);
}

bool name_is_port(struct str name)
{
    const char *problems[FORMAT_PROBLEMS_MAX];

    return format_problems(FORMAT_PORT_NAME, name, problems) == 0;
}

/* What is wrong, one sentence after the other. */
struct problems {
    const char **out;
    size_t count;
};

static void problem(struct problems *p, const char *text)
{
    if (p->count < FORMAT_PROBLEMS_MAX)
        p->out[p->count++] = text;
}

static void too_long(struct problems *p, struct str value, size_t max)
{
    if (value.len > max)
        problem(p, max == LABEL_MAX ? "must be no more than 63 characters" : "must be no more than 253 characters");
}

static void subdomain_problems(struct problems *p, struct str value)
{
    too_long(p, value, SUBDOMAIN_MAX);
    if (!subdomain_chars(value))
        problem(p, SUBDOMAIN_TEXT);
}

static void label_problems(struct problems *p, struct str value)
{
    too_long(p, value, LABEL_MAX);
    if (!label_chars(value))
        problem(p, subdomain_chars(value) ? "must not contain dots" : LABEL_TEXT);
}

static void dns1035_problems(struct problems *p, struct str value)
{
    too_long(p, value, LABEL_MAX);
    if (!label_chars(value) || !is_lower(value.data[0]))
        problem(p, DNS1035_TEXT);
}

static void qualified_problems(struct problems *p, struct str name)
{
    ssize_t slash = str_chr(name, '/');
    struct str part = name;

    if (slash >= 0) {
        struct str prefix = str_first(name, (size_t)slash);

        part = str_skip(name, (size_t)slash + 1);
        if (str_chr(part, '/') >= 0) {
            problem(p, "a qualified name " QUALIFIED_TEXT " with an optional DNS subdomain prefix and '/' (e.g. "
                       "'example.com/MyName')");
            return;
        }
        if (str_empty(prefix))
            problem(p, "prefix part must be non-empty");
        if (prefix.len > SUBDOMAIN_MAX)
            problem(p, "prefix part must be no more than 253 characters");
        if (prefix.len > 0 && !subdomain_chars(prefix))
            problem(p, "prefix part " SUBDOMAIN_TEXT);
    }
    if (str_empty(part))
        problem(p, "name part must be non-empty");
    if (part.len > LABEL_MAX)
        problem(p, "name part must be no more than 63 characters");
    if (!qualified_chars(part))
        problem(p, "name part " QUALIFIED_TEXT);
}

static void label_value_problems(struct problems *p, struct str value)
{
    too_long(p, value, LABEL_MAX);
    if (!str_empty(value) && !qualified_chars(value))
        problem(p, LABEL_VALUE_TEXT);
}

static void port_name_problems(struct problems *p, struct str name)
{
    bool letter = false, charset = true;

    for (size_t i = 0; i < name.len; i++) {
        letter = letter || is_lower(name.data[i]);
        charset = charset && (is_lower(name.data[i]) || is_digit(name.data[i]) || name.data[i] == '-');
    }
    if (name.len > 15)
        problem(p, "must be no more than 15 characters");
    if (!charset)
        problem(p, "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
    if (!letter)
        problem(p, "must contain at least one letter (a-z)");
    if (str_find(name, STR("--")) >= 0)
        problem(p, "must not contain consecutive hyphens");
    if (name.len && (name.data[0] == '-' || name.data[name.len - 1] == '-'))
        problem(p, "must not begin or end with a hyphen");
}

static void config_key_problems(struct problems *p, struct str key)
{
    bool chars = !str_empty(key);

    for (size_t i = 0; i < key.len; i++)
        chars = chars && (is_alnum(key.data[i]) || key.data[i] == '-' || key.data[i] == '_' || key.data[i] == '.');
    too_long(p, key, SUBDOMAIN_MAX);
    if (!chars)
        problem(p, "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
                   "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')");
    if (str_is(key, "."))
        problem(p, "must not be '.'");
    else if (str_is(key, ".."))
        problem(p, "must not be '..'");
    else if (str_has_prefix(key, STR("..")))
        problem(p, "must not start with '..'");
}

static void env_name_problems(struct problems *p, struct str name)
{
    if (str_empty(name))
        problem(p, "environment variable name must be non-empty");
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.data[i] < 0x20 || (unsigned char)name.data[i] >= 0x7f || name.data[i] == '=') {
            problem(p, "a valid environment variable name must consist only of printable ASCII characters other than "
                       "'='");
            return;
        }
}

static void path_segment_problems(struct problems *p, struct str name)
{
    if (str_is(name, ".") || str_is(name, "..")) {
        problem(p, str_is(name, ".") ? "may not be '.'" : "may not be '..'");
        return;
    }
    if (str_chr(name, '/') >= 0)
        problem(p, "may not contain '/'");
    if (str_chr(name, '%') >= 0)
        problem(p, "may not contain '%'");
}

/* 4, 6; 0: no address. */
static int ip_family(struct str text)
{
    char buf[INET6_ADDRSTRLEN], out[16];

    if (text.len >= sizeof buf || str_empty(text))
        return 0;
    memcpy(buf, text.data, text.len);
    buf[text.len] = '\0';
    return inet_pton(AF_INET, buf, out) == 1 ? 4 : inet_pton(AF_INET6, buf, out) == 1 ? 6 : 0;
}

static bool is_cidr(struct str text)
{
    ssize_t slash = str_chr(text, '/');
    int family = slash < 0 ? 0 : ip_family(str_first(text, (size_t)slash));
    uint64_t bits;

    return family && str_to_u64(str_skip(text, (size_t)slash + 1), &bits) && bits <= (family == 4 ? 32 : 128);
}

int text_ip_family(struct str text)
{
    return ip_family(text);
}

size_t format_problems(enum value_format format, struct str value, const char *out[FORMAT_PROBLEMS_MAX])
{
    struct problems p = { out, 0 };

    switch (format) {
    case FORMAT_NONE:
    case FORMAT_FILE_MODE:
    case FORMAT_LABELS: break;
    case FORMAT_SUBDOMAIN: subdomain_problems(&p, value); break;
    case FORMAT_LABEL: label_problems(&p, value); break;
    case FORMAT_DNS1035: dns1035_problems(&p, value); break;
    case FORMAT_KEY: qualified_problems(&p, value); break;
    case FORMAT_LABEL_VALUE: label_value_problems(&p, value); break;
    case FORMAT_PORT:
    case FORMAT_PORT_NAME: port_name_problems(&p, value); break;
    case FORMAT_CONFIG_KEY: config_key_problems(&p, value); break;
    case FORMAT_ENV_NAME: env_name_problems(&p, value); break;
    case FORMAT_PATH_SEGMENT: path_segment_problems(&p, value); break;
    case FORMAT_IP:
        if (!ip_family(value))
            problem(&p, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
        break;
    case FORMAT_CIDR:
        if (!is_cidr(value))
            problem(&p, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
        break;
    }
    return p.count;
}

const char *qualified_name_problem(struct str name)
{
    const char *out[FORMAT_PROBLEMS_MAX];

    return format_problems(FORMAT_KEY, name, out) ? out[0] : NULL;
}

const char *label_value_problem(struct str value)
{
    const char *out[FORMAT_PROBLEMS_MAX];

    return format_problems(FORMAT_LABEL_VALUE, value, out) ? out[0] : NULL;
}
