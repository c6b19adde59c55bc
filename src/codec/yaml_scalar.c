/* yaml_scalar.c - the scalar rules of sigs.k8s.io/yaml, through which every manifest for Kubernetes has gone.
 *
 * Its first look is at the first character: only a digit, a sign, a dot, '~' or a first letter of one of the words can
 * begin anything but a string. Numbers may have underscores, and a prefix: 0x, 0o, 0b, or 0 for octal; what such an
 * integer cannot hold is tried as a float ("08" is 8). Floats become the text that Go's encoding/json gives them, as
 * there they are a float64 in between. Timestamps stay strings, but are quoted when written. */
#include "codec/yaml_scalar.h"

#include <math.h>
#include <stdio.h>

#define NUMBER_MAX 128 /* characters of a number; longer ones are strings */

static const struct {
    struct str text;
    enum yaml_type type;
    bool value;
} words[] = {
    { STR_INIT(""), YAML_NULL },           { STR_INIT("~"), YAML_NULL },          { STR_INIT("null"), YAML_NULL },
    { STR_INIT("Null"), YAML_NULL },       { STR_INIT("NULL"), YAML_NULL },       { STR_INIT("true"), YAML_BOOL, true },
    { STR_INIT("True"), YAML_BOOL, true }, { STR_INIT("TRUE"), YAML_BOOL, true }, { STR_INIT("y"), YAML_BOOL, true },
    { STR_INIT("Y"), YAML_BOOL, true },    { STR_INIT("yes"), YAML_BOOL, true },  { STR_INIT("Yes"), YAML_BOOL, true },
    { STR_INIT("YES"), YAML_BOOL, true },  { STR_INIT("on"), YAML_BOOL, true },   { STR_INIT("On"), YAML_BOOL, true },
    { STR_INIT("ON"), YAML_BOOL, true },   { STR_INIT("false"), YAML_BOOL },      { STR_INIT("False"), YAML_BOOL },
    { STR_INIT("FALSE"), YAML_BOOL },      { STR_INIT("n"), YAML_BOOL },          { STR_INIT("N"), YAML_BOOL },
    { STR_INIT("no"), YAML_BOOL },         { STR_INIT("No"), YAML_BOOL },         { STR_INIT("NO"), YAML_BOOL },
    { STR_INIT("off"), YAML_BOOL },        { STR_INIT("Off"), YAML_BOOL },        { STR_INIT("OFF"), YAML_BOOL },
    { STR_INIT(".nan"), YAML_FLOAT },      { STR_INIT(".NaN"), YAML_FLOAT },      { STR_INIT(".NAN"), YAML_FLOAT },
    { STR_INIT(".inf"), YAML_FLOAT },      { STR_INIT(".Inf"), YAML_FLOAT },      { STR_INIT(".INF"), YAML_FLOAT },
    { STR_INIT("+.inf"), YAML_FLOAT },     { STR_INIT("+.Inf"), YAML_FLOAT },     { STR_INIT("+.INF"), YAML_FLOAT },
    { STR_INIT("-.inf"), YAML_FLOAT },     { STR_INIT("-.Inf"), YAML_FLOAT },     { STR_INIT("-.INF"), YAML_FLOAT },
};

#define WORD_MAX 5

/* What a scalar was found to be. */
struct scalar {
    enum yaml_type type;
    bool boolean, word;
    bool negative; /* YAML_INT */
    uint64_t magnitude;
    double number; /* YAML_FLOAT */
};

static bool find_word(struct str text, struct scalar *scalar)
{
    for (size_t i = 0; text.len <= WORD_MAX && i < ARRAY_LEN(words); i++)
        if (str_eq(words[i].text, text)) {
            *scalar = (struct scalar){ .type = words[i].type, .boolean = words[i].value, .word = true };
            return true;
        }
    return false;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t skip_digits(const char *s, size_t at)
{
    while (is_digit(s[at]))
        at++;
    return at;
}

/* An integer with prefix, all of s (NUL-terminated, without underscores), that fits int64 or uint64. */
static bool read_integer(const char *s, struct scalar *scalar)
{
    static const struct {
        char letter;
        int base;
    } prefixes[] = { { 'x', 16 }, { 'o', 8 }, { 'b', 2 } };
    bool negative = *s == '-', sign = negative || *s == '+';
    uint64_t value = 0;
    int base = 10;

    s += sign;
    if (*s == '0' && s[1]) {
        base = 8;
        s++;
        for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
            if ((*s | 32) == prefixes[i].letter) {
                base = prefixes[i].base;
                s++;
                break;
            }
    }
    if (!*s)
        return false;
    for (; *s; s++) {
        int c = *s | 32, digit = is_digit(*s) ? *s - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;

        if (digit >= base || __builtin_mul_overflow(value, (uint64_t)base, &value) ||
            __builtin_add_overflow(value, (uint64_t)digit, &value))
            return false;
    }
    if (sign && value > (uint64_t)INT64_MAX + negative)
        return false;
    *scalar = (struct scalar){ .type = YAML_INT, .negative = negative, .magnitude = value };
    return true;
}

/* [-+]?(.digits|digits[.digits])([eE][-+]?digits)?, all of s. */
static bool read_float(const char *s, struct scalar *scalar)
{
    size_t at = *s == '-' || *s == '+', whole = at, fraction;

    at = skip_digits(s, at);
    whole = at - whole;
    fraction = 0;
    if (s[at] == '.') {
        fraction = skip_digits(s, at + 1) - (at + 1);
        at += 1 + fraction;
    }
    if (whole + fraction == 0)
        return false;
    if ((s[at] | 32) == 'e') {
        at++;
        at += s[at] == '-' || s[at] == '+';
        if (!is_digit(s[at]))
            return false;
        at = skip_digits(s, at);
    }
    if (s[at])
        return false;
    double number = strtod(s, NULL);

    if (!isfinite(number))
        return false;
    *scalar = (struct scalar){ .type = YAML_FLOAT, .number = number };
    return true;
}

/* Timestamps: YYYY-M-D, alone or followed by 'T', 't' or blank, h:m:s, fraction, and (after T) a zone. */

/* At most max digits, at least min, with a value in the given range. */
static bool read_field(const char **s, int min, int max, int low, int high)
{
    int count = 0, value = 0;

    for (; count < max && is_digit(**s); count++)
        value = value * 10 + (*(*s)++ - '0');
    return count >= min && value >= low && value <= high;
}

static bool read_char(const char **s, char c)
{
    return **s == c ? (*s)++, true : false;
}

static bool is_zone(const char *s)
{
    if (read_char(&s, 'Z'))
        return !*s;
    return (read_char(&s, '+') || read_char(&s, '-')) && read_field(&s, 2, 2, 0, 23) && read_char(&s, ':') &&
           read_field(&s, 2, 2, 0, 59) && !*s;
}

static bool is_timestamp(const char *s)
{
    if (!read_field(&s, 4, 4, 0, 9999) || !read_char(&s, '-') || !read_field(&s, 1, 2, 1, 12) || !read_char(&s, '-') ||
        !read_field(&s, 1, 2, 1, 31))
        return false;
    if (!*s)
        return true;
    bool zone = *s == 'T' || *s == 't';

    if ((!zone && *s != ' ') || !read_field((s++, &s), 1, 2, 0, 23) || !read_char(&s, ':') ||
        !read_field(&s, 1, 2, 0, 59) || !read_char(&s, ':') || !read_field(&s, 1, 2, 0, 59))
        return false;
    if (*s == '.') {
        if (!is_digit(*++s))
            return false;
        while (is_digit(*s))
            s++;
    }
    return zone ? is_zone(s) : !*s;
}

/* Put together. */

static struct scalar examine(struct str text)
{
    char plain[NUMBER_MAX + 1], exact[NUMBER_MAX + 1];
    struct scalar scalar = { .type = YAML_STR };
    size_t len = 0;

    if (find_word(text, &scalar) || text.len == 0 || text.len > NUMBER_MAX)
        return scalar;
    char first = text.data[0];

    if ((!is_digit(first) && first != '.' && first != '-' && first != '+') || memchr(text.data, 0, text.len))
        return scalar;
    memcpy(exact, text.data, text.len);
    exact[text.len] = 0;
    for (size_t i = 0; i < text.len; i++)
        if (exact[i] != '_')
            plain[len++] = exact[i];
    plain[len] = 0;
    if (is_timestamp(exact))
        scalar.type = YAML_TIMESTAMP;
    else if (first == '.')
        read_float(exact, &scalar);
    else if (!read_integer(plain, &scalar))
        read_float(plain, &scalar);
    return scalar;
}

enum yaml_type yaml_resolve(struct str text)
{
    return examine(text).type;
}

/* The shortest digits that read back as the same number, laid out as Go's encoding/json does: an exponent below 1e-6
 * and from 1e21 on, in which no zero leads; zeros instead of further digits elsewhere. Returns the length. */
static size_t format_float(double number, char out[64])
{
    bool exponent = number != 0 && (fabs(number) < 1e-6 || fabs(number) >= 1e21);
    int precision = -1;

    do
        snprintf(out, 64, "%.*e", ++precision, number);
    while (precision < 17 && strtod(out, NULL) != number);
    char *e = strchr(out, 'e'), *point = strchr(out, '.');
    int power = (int)strtol(e + 1, NULL, 10);

    if (exponent)
        return (size_t)(e - out) + (size_t)snprintf(e, 8, "e%c%d", power < 0 ? '-' : '+', abs(power));
    if (power <= precision)
        return (size_t)snprintf(out, 64, "%.*f", precision - power, number);
    if (point) {
        memmove(point, point + 1, (size_t)(e - point));
        e--;
    }
    memset(e, '0', (size_t)(power - precision));
    return (size_t)(e - out) + (size_t)(power - precision);
}

static int scalar_number(struct arena *arena, const struct scalar *scalar, struct str text, struct json *ret_json,
                         struct err *err)
{
    char out[64];
    size_t len;

    if (scalar->type == YAML_FLOAT && scalar->word)
        return err_set(err, ERR_BAD_REQUEST, "\"" STR_FMT "\" cannot be expressed in JSON", STR_ARG(text));
    if (scalar->type == YAML_FLOAT)
        len = format_float(scalar->number, out);
    else
        len = (size_t)snprintf(out, sizeof out, "%s%llu", scalar->negative && scalar->magnitude ? "-" : "",
                               (unsigned long long)scalar->magnitude);
    struct json json = { .kind = JSON_NUMBER };

    json.number.text = arena_str(arena, str_of(out, len));
    if (!json.number.text.data)
        return err_set(err, arena->limit ? ERR_TOO_LARGE : ERR_NO_MEMORY, "no memory for a YAML scalar");
    json.is_int = str_to_i64(json.number.text, &json.number.i64);
    *ret_json = json;
    return 0;
}

int yaml_scalar(struct arena *arena, struct str text, enum yaml_type *ret_type, struct json *ret_json, struct err *err)
{
    struct scalar scalar = examine(text);
    int r = 0;

    switch (scalar.type) {
    case YAML_NULL: *ret_json = (struct json){ .kind = JSON_NULL }; break;
    case YAML_BOOL: *ret_json = (struct json){ .kind = JSON_BOOL, .boolean = scalar.boolean }; break;
    case YAML_INT:
    case YAML_FLOAT: r = scalar_number(arena, &scalar, text, ret_json, err); break;
    case YAML_STR:
    case YAML_TIMESTAMP: *ret_json = (struct json){ .kind = JSON_STRING, .string = text }; break;
    }
    if (r == 0)
        *ret_type = scalar.type;
    return r;
}

bool yaml_looks_base60(struct str text)
{
    size_t i = text.len && (text.data[0] == '-' || text.data[0] == '+'), colons = 0;

    if (i == text.len || !is_digit(text.data[i]))
        return false;
    for (; i < text.len && text.data[i] != '.'; i++) {
        colons += text.data[i] == ':';
        if (!is_digit(text.data[i]) && text.data[i] != '_' && text.data[i] != ':')
            return false;
    }
    for (i += i < text.len; i < text.len; i++)
        if (!is_digit(text.data[i]) && text.data[i] != '_')
            return false;
    return colons > 0;
}
