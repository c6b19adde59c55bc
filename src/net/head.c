#include "net/head.h"

#include "net/http_server.h"

/* Lower case of the bytes that may stand in a field name (RFC 9110 tokens); 0 for all others. */
static const char token[256] = {
    ['!'] = '!', ['#'] = '#', ['$'] = '$', ['%'] = '%', ['&'] = '&', ['\''] = '\'', ['*'] = '*', ['+'] = '+',
    ['-'] = '-', ['.'] = '.', ['^'] = '^', ['_'] = '_', ['`'] = '`', ['|'] = '|',   ['~'] = '~', ['0'] = '0',
    ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4', ['5'] = '5', ['6'] = '6',   ['7'] = '7', ['8'] = '8',
    ['9'] = '9', ['a'] = 'a', ['b'] = 'b', ['c'] = 'c', ['d'] = 'd', ['e'] = 'e',   ['f'] = 'f', ['g'] = 'g',
    ['h'] = 'h', ['i'] = 'i', ['j'] = 'j', ['k'] = 'k', ['l'] = 'l', ['m'] = 'm',   ['n'] = 'n', ['o'] = 'o',
    ['p'] = 'p', ['q'] = 'q', ['r'] = 'r', ['s'] = 's', ['t'] = 't', ['u'] = 'u',   ['v'] = 'v', ['w'] = 'w',
    ['x'] = 'x', ['y'] = 'y', ['z'] = 'z', ['A'] = 'a', ['B'] = 'b', ['C'] = 'c',   ['D'] = 'd', ['E'] = 'e',
    ['F'] = 'f', ['G'] = 'g', ['H'] = 'h', ['I'] = 'i', ['J'] = 'j', ['K'] = 'k',   ['L'] = 'l', ['M'] = 'm',
    ['N'] = 'n', ['O'] = 'o', ['P'] = 'p', ['Q'] = 'q', ['R'] = 'r', ['S'] = 's',   ['T'] = 't', ['U'] = 'u',
    ['V'] = 'v', ['W'] = 'w', ['X'] = 'x', ['Y'] = 'y', ['Z'] = 'z',
};

#define KEEP_BYTES 4096 /* a recycled head gives back what an unusual request made it grow to */

void head_init(struct head *head)
{
    memset(head, 0, sizeof *head);
    buf_init(&head->bytes, 0);
}

void head_deinit(struct head *head)
{
    buf_deinit(&head->bytes);
    vec_deinit(&head->fields);
    vec_deinit(&head->headers);
}

void head_clear(struct head *head)
{
    if (head->bytes.cap > KEEP_BYTES || !buf_ok(&head->bytes)) {
        buf_deinit(&head->bytes);
        buf_init(&head->bytes, 0);
    }
    buf_clear(&head->bytes);
    vec_clear(&head->fields);
    vec_clear(&head->headers);
    head->target = head->target_len = head->method = head->method_len = 0;
    head->in_value = head->overflow = false;
}

static bool append(struct head *head, struct str span)
{
    buf_add_str(&head->bytes, span);
    return buf_ok(&head->bytes) && head->bytes.len < UINT32_MAX / 2;
}

bool head_method(struct head *head, struct str span)
{
    for (size_t i = 0; i < span.len; i++)
        if (!token[(unsigned char)span.data[i]])
            return false;
    if (head->method_len == 0)
        head->method = (uint32_t)head->bytes.len;
    head->method_len += (uint32_t)span.len;
    return append(head, span);
}

bool head_target(struct head *head, struct str span)
{
    for (size_t i = 0; i < span.len; i++)
        if ((unsigned char)span.data[i] <= ' ' || span.data[i] == 0x7f || span.data[i] == '#')
            return false;
    if (head->target_len == 0)
        head->target = (uint32_t)head->bytes.len;
    head->target_len += (uint32_t)span.len;
    return append(head, span);
}

static bool begin_field(struct head *head)
{
    if (head->fields.count == HEAD_MAX_FIELDS) {
        head->overflow = true;
        return false;
    }
    head->in_value = false;
    return vec_push(&head->fields, ((struct head_field){ .name = (uint32_t)head->bytes.len })) == 0;
}

bool head_name(struct head *head, struct str span)
{
    if ((head->in_value || head->fields.count == 0) && !begin_field(head))
        return false;
    char *out = buf_reserve(&head->bytes, span.len);
    if (!out)
        return false;
    for (size_t i = 0; i < span.len; i++)
        if (!(out[i] = token[(unsigned char)span.data[i]]))
            return false;
    head->bytes.len += span.len;
    head->fields.items[head->fields.count - 1].name_len += (uint32_t)span.len;
    return head->bytes.len < UINT32_MAX / 2;
}

bool head_value(struct head *head, struct str span)
{
    if (head->fields.count == 0)
        return false;
    struct head_field *field = &head->fields.items[head->fields.count - 1];
    for (size_t i = 0; i < span.len; i++)
        if (((unsigned char)span.data[i] < ' ' && span.data[i] != '\t') || span.data[i] == 0x7f)
            return false;
    if (!head->in_value)
        field->value = (uint32_t)head->bytes.len;
    head->in_value = true;
    field->value_len += (uint32_t)span.len;
    return append(head, span);
}

/* "http://host/path" is what a proxy would be sent; the host in it says no more than the Host header. */
static struct str without_authority(struct str target)
{
    static const struct str schemes[] = { STR_INIT("http://"), STR_INIT("https://") };

    for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
        if (str_has_prefix(target, schemes[i])) {
            struct str rest = str_skip(target, schemes[i].len);
            ssize_t slash = str_chr(rest, '/');
            return slash < 0 ? STR("/") : str_skip(rest, (size_t)slash);
        }
    return target;
}

static bool resolve_target(struct head *head, struct http_request *request)
{
    struct str target = without_authority(str_of(head->bytes.data + head->target, head->target_len));
    bool asterisk = request->method == HTTP_OPTIONS_ && str_is(target, "*");
    ssize_t mark;

    if (head->target_len == 0 || (target.data[0] != '/' && !asterisk))
        return false;
    mark = str_chr(target, '?');
    request->target = target;
    request->path = mark < 0 ? target : str_first(target, (size_t)mark);
    request->query = mark < 0 ? STR("") : str_skip(target, (size_t)mark + 1);
    return true;
}

bool head_resolve_fields(struct head *head)
{
    const char *base = head->bytes.data;

    if (vec_room(&head->headers, head->fields.count) < 0)
        return false;
    for (size_t i = 0; i < head->fields.count; i++) {
        const struct head_field *field = &head->fields.items[i];
        head->headers.items[i] = (struct http_header){
            .name = str_of(base + field->name, field->name_len),
            .value = str_trim(str_of(base + field->value, field->value_len)),
        };
    }
    head->headers.count = head->fields.count;
    return true;
}

bool head_resolve(struct head *head, struct http_request *request)
{
    if (head->method_len > 0) {
        request->method_name = str_of(head->bytes.data + head->method, head->method_len);
        request->method = http_method_from(request->method_name);
    }
    if (!resolve_target(head, request) || !head_resolve_fields(head))
        return false;
    request->headers = head->headers.items;
    request->header_count = head->headers.count;
    return true;
}
