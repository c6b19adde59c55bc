/* credentials.c - docker configurations, matched to images as the kubelet does.
 *
 * A key may be a bare host, a host with a path, or a URL with the old /v1/ or /v2/ at its start. Longer, more specific
 * keys come first: keys are tried in descending order. Images of Docker Hub also take what is stored for
 * "index.docker.io", but only if nothing else fits. */
#include "kubelet/image/credentials.h"

#include <fnmatch.h>

#include "codec/base64.h"
#include "codec/json.h"

#define SECRET_MAX (1u << 20)
#define CREDENTIALS_MAX 1000

/* host[/path] of a key. */
static struct str clean_key(struct str key)
{
    ssize_t scheme = str_find(key, STR("://"));
    struct str rest = scheme < 0 ? key : str_skip(key, (size_t)scheme + 3);
    ssize_t slash = str_chr(rest, '/');
    struct str path = slash < 0 ? STR("") : str_skip(rest, (size_t)slash);

    if (str_has_prefix(path, STR("/v1/")) || str_has_prefix(path, STR("/v2/")))
        path = str_skip(path, 3);
    if (path.len <= 1 || path.data != rest.data + (slash < 0 ? 0 : slash))
        return str_first(rest, slash < 0 ? rest.len : (size_t)slash);
    return rest;
}

static bool label_matches(struct str glob, struct str label)
{
    char pattern[256], text[256];

    if (glob.len >= sizeof pattern || label.len >= sizeof text || (glob.len && memchr(glob.data, 0, glob.len)))
        return false;
    memcpy(pattern, glob.data, glob.len);
    memcpy(text, label.data, label.len);
    pattern[glob.len] = text[label.len] = 0;
    return fnmatch(pattern, text, 0) == 0;
}

static void split_host(struct str name, struct str *ret_host, struct str *ret_port, struct str *ret_path)
{
    ssize_t slash = str_chr(name, '/');
    struct str authority = slash < 0 ? name : str_first(name, (size_t)slash);
    ssize_t colon = str_rchr(authority, ':'), bracket = str_rchr(authority, ']');

    *ret_path = slash < 0 ? STR("") : str_skip(name, (size_t)slash);
    *ret_host = colon > bracket ? str_first(authority, (size_t)colon) : authority;
    *ret_port = colon > bracket ? str_skip(authority, (size_t)colon + 1) : STR("");
}

bool credential_key_matches(struct str key, struct str name)
{
    struct str key_host, key_port, key_path, host, port, path, glob, label;

    split_host(clean_key(key), &key_host, &key_port, &key_path);
    split_host(name, &host, &port, &path);
    if (!str_eq(key_port, port) || !str_has_prefix(path, key_path))
        return false;
    if (str_eq(key_host, host)) /* an IPv6 address would be a bad glob */
        return key_host.len > 0;
    while (str_split(&key_host, '.', &glob))
        if (!str_split(&host, '.', &label) || !label_matches(glob, label))
            return false;
    return host.data == NULL; /* as many labels */
}

struct list {
    struct credential *items;
    size_t count, cap;
};

static int add(struct arena *arena, struct list *list, const struct credential *credential, struct err *err)
{
    if (list->count == list->cap) {
        size_t cap = list->cap ? 2 * list->cap : 8;
        struct credential *items = arena_grow(arena, list->items, list->cap * sizeof *items, cap * sizeof *items);
        if (!items)
            return err_set(err, ERR_NO_MEMORY, "credentials");
        list->items = items;
        list->cap = cap;
    }
    if (list->count == CREDENTIALS_MAX)
        return err_set(err, ERR_TOO_LARGE, "more than %d credentials", CREDENTIALS_MAX);
    list->items[list->count++] = *credential;
    return 0;
}

/* {"username":..,"password":..} or {"auth": base64("user:password")}; the latter wins. */
static bool read_entry(struct arena *arena, const struct json_member *member, struct credential *ret_credential)
{
    struct credential credential = { .key = arena_str(arena, member->key) };
    struct str auth = json_str(json_member(&member->value, "auth")), decoded;

    credential.username = arena_str(arena, json_str(json_member(&member->value, "username")));
    credential.password = arena_str(arena, json_str(json_member(&member->value, "password")));
    if (auth.len) {
        if (!base64_decode(arena, auth, &decoded))
            return false;
        ssize_t colon = str_chr(decoded, ':');
        if (colon < 0)
            return false;
        credential.username = str_first(decoded, (size_t)colon);
        credential.password = str_skip(decoded, (size_t)colon + 1);
        while (credential.password.len && credential.password.data[credential.password.len - 1] == 0)
            credential.password = str_chop(credential.password, 1);
    }
    *ret_credential = credential;
    return member->value.kind == JSON_OBJECT && credential.key.data;
}

static bool read_secret(struct arena *arena, const struct image_secret *secret, struct list *all, struct err *err,
                        int *ret_code)
{
    struct credential credential;
    struct json *root;

    if (secret->text.len > SECRET_MAX || json_parse(arena, secret->text, NULL, &root, NULL) < 0)
        return false;
    const struct json *auths = secret->kind == IMAGE_SECRET_CONFIG_JSON ? json_member(root, "auths") : root;
    if (!json_is(auths, JSON_OBJECT))
        return false;
    for (uint32_t i = 0; i < auths->count; i++) {
        if (!read_entry(arena, &auths->members[i], &credential))
            return false;
        if ((*ret_code = add(arena, all, &credential, err)) < 0)
            return false;
    }
    return true;
}

/* Descending by key; equal ones keep their order. */
static void sort(struct list *list)
{
    for (size_t i = 1; i < list->count; i++) {
        struct credential moved = list->items[i];
        size_t at = i;
        for (; at > 0 && str_cmp(clean_key(list->items[at - 1].key), clean_key(moved.key)) < 0; at--)
            list->items[at] = list->items[at - 1];
        list->items[at] = moved;
    }
}

int credentials_match(struct arena *arena, const struct image_secret *secrets, size_t secret_count, struct str name,
                      struct credential **ret_list, size_t *ret_count, size_t *ret_bad, struct err *err)
{
    struct list all = { NULL, 0, 0 };
    size_t bad = 0, fits = 0;
    int r = 0;

    for (size_t i = 0; i < secret_count; i++) {
        bad += !read_secret(arena, &secrets[i], &all, err, &r);
        if (r < 0)
            return r;
    }
    sort(&all);
    struct credential *list = arena_array_of(arena, MAX(all.count, 1), struct credential);
    if (!list)
        return err_set(err, ERR_NO_MEMORY, "credentials");
    for (size_t i = 0; i < all.count; i++)
        if (credential_key_matches(all.items[i].key, name))
            list[fits++] = all.items[i];
    for (size_t i = 0; i < all.count && fits == 0 && str_has_prefix(name, STR("docker.io/")); i++)
        if (str_is(clean_key(all.items[i].key), "index.docker.io"))
            list[fits++] = all.items[i];
    *ret_list = list;
    *ret_count = fits;
    if (ret_bad)
        *ret_bad = bad;
    return 0;
}
