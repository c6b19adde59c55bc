/* The grammar is that of the distribution project: [domain/]path[:tag][@digest]. The first component is a domain only
 * when it has a dot, a colon or an upper case letter, or is "localhost"; otherwise the name belongs to Docker Hub,
 * where a name of one component lives beneath "library/". */
#include "kubelet/image/image_ref.h"

#include "kubelet/image/digest.h"

#define NAME_MAX_LEN 255
#define TAG_MAX_LEN 128
#define TEXT_MAX_LEN 4096

static bool is_lower_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
    return is_lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

static bool is_hex_digit(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Runs of lower case letters and digits, divided by one '.', one or two '_', or any number of '-'. */
static bool valid_component(struct str s)
{
    size_t i = 0;

    while (i < s.len) {
        size_t start = i;
        while (i < s.len && is_lower_alnum(s.data[i]))
            i++;
        if (i == start)
            return false;
        if (i == s.len)
            return true;
        char separator = s.data[i];
        start = i;
        while (i < s.len && s.data[i] == separator)
            i++;
        size_t run = i - start;
        if (!(separator == '-' || (separator == '.' && run == 1) || (separator == '_' && run <= 2)))
            return false;
    }
    return false; /* empty, or ends in a separator */
}

static bool valid_path(struct str path)
{
    struct str part;

    while (str_split(&path, '/', &part))
        if (!valid_component(part))
            return false;
    return true;
}

static bool valid_tag(struct str tag)
{
    if (tag.len == 0 || tag.len > TAG_MAX_LEN || !(is_alnum(tag.data[0]) || tag.data[0] == '_'))
        return false;
    for (size_t i = 0; i < tag.len; i++)
        if (!is_alnum(tag.data[i]) && !memchr("_.-", tag.data[i], 3))
            return false;
    return true;
}

static bool valid_host_label(struct str label)
{
    if (label.len == 0 || !is_alnum(label.data[0]) || !is_alnum(label.data[label.len - 1]))
        return false;
    for (size_t i = 0; i < label.len; i++)
        if (!is_alnum(label.data[i]) && label.data[i] != '-')
            return false;
    return true;
}

static bool valid_ipv6(struct str host)
{
    if (host.len < 4 || host.data[host.len - 1] != ']')
        return false;
    for (size_t i = 1; i < host.len - 1; i++)
        if (!is_hex_digit(host.data[i]) && host.data[i] != ':')
            return false;
    return true;
}

static bool valid_domain(struct str domain)
{
    ssize_t colon = str_rchr(domain, ':');
    ssize_t bracket = str_rchr(domain, ']');
    struct str host = domain, label;

    if (colon > bracket) {
        uint64_t port;
        struct str digits = str_skip(domain, (size_t)colon + 1);
        if (!str_to_u64(digits, &port) || port == 0 || port > 65535)
            return false;
        host = str_first(domain, (size_t)colon);
    }
    if (host.len && host.data[0] == '[')
        return valid_ipv6(host);
    while (str_split(&host, '.', &label))
        if (!valid_host_label(label))
            return false;
    return true;
}

static bool has_upper(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] >= 'A' && s.data[i] <= 'Z')
            return true;
    return false;
}

static void split_domain(struct str name, struct str *ret_domain, struct str *ret_path)
{
    ssize_t slash = str_chr(name, '/');
    struct str first = str_first(name, slash < 0 ? 0 : (size_t)slash);

    if (slash < 0 ||
        (str_chr(first, '.') < 0 && str_chr(first, ':') < 0 && !has_upper(first) && !str_is(first, "localhost"))) {
        *ret_domain = STR("docker.io");
        *ret_path = name;
        return;
    }
    *ret_domain = str_is(first, "index.docker.io") ? STR("docker.io") : first;
    *ret_path = str_skip(name, (size_t)slash + 1);
}

/* algorithm:hex, the algorithm being words of letters and digits; 32 hex digits at least. */
static bool valid_digest(struct str digest)
{
    ssize_t colon = str_chr(digest, ':');
    struct digest sha256;
    bool word = false;

    if (colon <= 0)
        return false;
    if (str_is(str_first(digest, (size_t)colon), "sha256"))
        return digest_parse(digest, &sha256, NULL) == 0;
    for (size_t i = 0; i < (size_t)colon; i++) {
        bool letter = is_alnum(digest.data[i]);
        if (!letter && !(word && memchr("+._-", digest.data[i], 4)))
            return false;
        word = letter;
    }
    struct str hex = str_skip(digest, (size_t)colon + 1);
    for (size_t i = 0; i < hex.len; i++)
        if (!is_hex_digit(hex.data[i]))
            return false;
    return word && hex.len >= 32 && hex.len <= 256;
}

static bool is_image_id(struct str s)
{
    if (s.len != DIGEST_HEX_LEN)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!is_hex_digit(s.data[i]) || has_upper(str_of(s.data + i, 1)))
            return false;
    return true;
}

static int bad(struct err *err, struct str text, const char *why)
{
    return err_set(err, ERR_INVALID, "invalid reference format: %s: \"" STR_FMT "\"", why,
                   STR_ARG(str_first(text, 256)));
}

/* Cuts tag and digest off text; what is left is the name. */
static int split_suffixes(struct str text, struct str *ret_name, struct image_ref *ref, struct err *err)
{
    struct str name = text;
    ssize_t at = str_chr(name, '@');

    if (at >= 0) {
        ref->digest = str_skip(name, (size_t)at + 1);
        name = str_first(name, (size_t)at);
        if (!valid_digest(ref->digest))
            return bad(err, text, "malformed digest");
    }
    ssize_t colon = str_rchr(name, ':'), slash = str_rchr(name, '/');
    if (colon > slash) {
        ref->tag = str_skip(name, (size_t)colon + 1);
        name = str_first(name, (size_t)colon);
        if (!valid_tag(ref->tag))
            return bad(err, text, "malformed tag");
    }
    *ret_name = name;
    return 0;
}

static int check_name(struct str text, const struct image_ref *ref, struct err *err)
{
    if (str_empty(ref->path))
        return bad(err, text, "the name is empty");
    if (has_upper(ref->path))
        return bad(err, text, "the repository name must be lower case");
    if (!valid_path(ref->path))
        return bad(err, text, "malformed repository name");
    if (!valid_domain(ref->domain))
        return bad(err, text, "malformed registry host");
    return 0;
}

/* Puts the parts into one text and points the slices at it. */
static int assemble(struct arena *arena, struct str text, struct image_ref *ref, struct err *err)
{
    bool library = str_is(ref->domain, "docker.io") && str_chr(ref->path, '/') < 0;
    struct str whole = arena_printf(arena, STR_FMT "/%s" STR_FMT "%s" STR_FMT "%s" STR_FMT, STR_ARG(ref->domain),
                                    library ? "library/" : "", STR_ARG(ref->path), ref->tag.data ? ":" : "",
                                    STR_ARG(ref->tag), ref->digest.data ? "@" : "", STR_ARG(ref->digest));

    if (!whole.data)
        return err_set(err, ERR_NO_MEMORY, "image reference");
    size_t path_len = ref->path.len + (library ? 8 : 0);
    ref->text = whole;
    ref->domain = str_first(whole, ref->domain.len);
    ref->path = str_of(whole.data + ref->domain.len + 1, path_len);
    ref->name = str_first(whole, ref->domain.len + 1 + path_len);
    if (ref->name.len > NAME_MAX_LEN)
        return bad(err, text, "the repository name is longer than 255 characters");
    if (ref->tag.data)
        ref->tag = str_of(whole.data + ref->name.len + 1, ref->tag.len);
    if (ref->digest.data)
        ref->digest = str_skip(whole, whole.len - ref->digest.len);
    return 0;
}

int image_ref_parse(struct arena *arena, struct str text, struct image_ref *ret_ref, struct err *err)
{
    struct image_ref ref = { 0 };
    struct str name = STR_NULL;
    int r;

    if (str_empty(text))
        return err_set(err, ERR_INVALID, "invalid reference format: the name is empty");
    if (text.len > TEXT_MAX_LEN)
        return bad(err, text, "too long");
    r = split_suffixes(text, &name, &ref, err);
    if (r < 0)
        return r;
    if (is_image_id(name))
        return bad(err, text, "the name must not be a 64-digit hexadecimal string");
    split_domain(name, &ref.domain, &ref.path);
    r = check_name(text, &ref, err);
    if (r < 0)
        return r;
    if (!ref.tag.data && !ref.digest.data)
        ref.tag = STR("latest");
    r = assemble(arena, text, &ref, err);
    if (r < 0)
        return r;
    *ret_ref = ref;
    return 0;
}

struct str image_ref_tagged(struct arena *arena, const struct image_ref *ref)
{
    if (!ref->tag.data)
        return STR_NULL;
    return arena_printf(arena, STR_FMT ":" STR_FMT, STR_ARG(ref->name), STR_ARG(ref->tag));
}

struct str image_ref_digested(struct arena *arena, const struct image_ref *ref, struct str digest)
{
    if (!digest.data)
        return STR_NULL;
    return arena_printf(arena, STR_FMT "@" STR_FMT, STR_ARG(ref->name), STR_ARG(digest));
}

struct str image_ref_host(const struct image_ref *ref)
{
    return str_is(ref->domain, "docker.io") ? STR("registry-1.docker.io") : ref->domain;
}
