#include "cli/store_options.h"

#include <stdio.h>
#include <unistd.h>

#include "base/file.h"

#define SCHEME STR("etcd://")
#define PREFIX_MAX 200
#define FILE_MAX (256u << 10)

enum { OPT_STORE = 512, OPT_CA, OPT_CERT, OPT_KEY, OPT_USER, OPT_PASSWORD };

static const struct argp_option options[] = {
    { "store", OPT_STORE, "URL", 0,
      "keep everything in etcd, where other servers may share it: etcd://HOST[:PORT],...[/PREFIX] (in the data folder)",
      0 },
    { "etcd-cafile", OPT_CA, "FILE", 0, "the authority that etcd's certificates are of; without it plain TCP is used",
      0 },
    { "etcd-certfile", OPT_CERT, "FILE", 0, "the certificate to show to etcd", 0 },
    { "etcd-keyfile", OPT_KEY, "FILE", 0, "its key", 0 },
    { "etcd-user", OPT_USER, "NAME", 0, "the user to be at etcd", 0 },
    { "etcd-password-file", OPT_PASSWORD, "FILE", 0, "that user's password", 0 },
    { 0 },
};

/* In the order of the members of struct store_flags. */
static const char *const names[] = { "--store",        "--etcd-cafile", "--etcd-certfile",
                                     "--etcd-keyfile", "--etcd-user",   "--etcd-password-file" };

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct store_flags *flags = state->input;

    switch (key) {
    case OPT_STORE: flags->store = value; return 0;
    case OPT_CA: flags->ca_file = value; return 0;
    case OPT_CERT: flags->cert_file = value; return 0;
    case OPT_KEY: flags->key_file = value; return 0;
    case OPT_USER: flags->user = value; return 0;
    case OPT_PASSWORD: flags->password_file = value; return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp flags_argp = { options, parse, NULL, NULL, NULL, NULL, NULL };
const struct argp_child server_children[] = { { &instance_argp, 0, NULL, 0 }, { &flags_argp, 0, NULL, 0 }, { 0 } };

void store_flags_each(const struct store_flags *flags, void (*fn)(void *arg, const char *name, const char *value),
                      void *arg)
{
    const char *const values[] = { flags->store,    flags->ca_file, flags->cert_file,
                                   flags->key_file, flags->user,    flags->password_file };

    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        if (values[i])
            fn(arg, names[i], values[i]);
}

/* -- the URL -- */

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
}

/* HOST, HOST:PORT, [IPV6], [IPV6]:PORT. */
static bool endpoint_split(struct str text, struct str *ret_host, struct str *ret_port)
{
    struct str host, rest;

    if (str_has_prefix(text, STR("["))) {
        ssize_t end = str_chr(text, ']');

        if (end < 3)
            return false;
        host = str_first(str_skip(text, 1), (size_t)end - 1);
        rest = str_skip(text, (size_t)end + 1);
        for (size_t i = 0; i < host.len; i++)
            if (!strchr("0123456789abcdefABCDEF:.%", host.data[i]))
                return false;
    } else {
        ssize_t colon = str_chr(text, ':');

        host = str_first(text, colon < 0 ? text.len : (size_t)colon);
        rest = str_skip(text, host.len);
        for (size_t i = 0; i < host.len; i++)
            if (!is_host_char(host.data[i]))
                return false;
    }
    if (host.len == 0 || host.len > 253 || (rest.len && rest.data[0] != ':'))
        return false;
    *ret_host = host;
    *ret_port = rest.len ? str_skip(rest, 1) : STR("2379");
    return true;
}

static int check_endpoint(struct str endpoint, bool *exposed, struct err *err)
{
    struct str host, port;
    uint64_t number;

    if (!endpoint_split(endpoint, &host, &port))
        return err_set(err, ERR_BAD_REQUEST, "--store: \"" STR_FMT "\" is no HOST or HOST:PORT", STR_ARG(endpoint));
    if (!str_to_u64(port, &number) || number < 1 || number > 65535)
        return err_set(err, ERR_BAD_REQUEST, "--store: \"" STR_FMT "\" has no port from 1 to 65535", STR_ARG(endpoint));
    *exposed |= !str_is(host, "localhost") && !str_is(host, "::1") && !str_has_prefix(host, STR("127."));
    return 0;
}

static int check_prefix(struct str prefix, struct err *err)
{
    struct str rest = prefix, part;

    if (prefix.len > PREFIX_MAX)
        return err_set(err, ERR_BAD_REQUEST, "--store: the prefix is longer than %d characters", PREFIX_MAX);
    while (str_split(&rest, '/', &part)) {
        bool good = part.len > 0;

        for (size_t i = 0; i < part.len; i++)
            good = good && (is_host_char(part.data[i]) || part.data[i] == '_');
        if (!good)
            return err_set(err, ERR_BAD_REQUEST,
                           "--store: the prefix \"/" STR_FMT "\" has something else in it than letters, digits, '.', "
                           "'-', '_' and single slashes",
                           STR_ARG(prefix));
    }
    return 0;
}

static int parse_url(struct arena *arena, struct str url, struct store_place *place, struct err *err)
{
    struct str rest = str_skip(url, SCHEME.len), endpoints, endpoint;
    ssize_t slash;
    int code;

    if (!str_has_prefix(url, SCHEME))
        return err_set(err, ERR_BAD_REQUEST, "--store " STR_FMT ": expected etcd://HOST[:PORT],...[/PREFIX]",
                       STR_ARG(url));
    slash = str_chr(rest, '/');
    place->etcd.endpoints = endpoints = str_first(rest, slash < 0 ? rest.len : (size_t)slash);
    if (str_empty(endpoints))
        return err_set(err, ERR_BAD_REQUEST, "--store " STR_FMT ": no host is named", STR_ARG(url));
    if (str_has_suffix(endpoints, STR(",")))
        return err_set(err, ERR_BAD_REQUEST, "--store " STR_FMT ": a host is missing behind the last comma",
                       STR_ARG(url));
    while (str_split(&endpoints, ',', &endpoint))
        if ((code = check_endpoint(endpoint, &place->exposed, err)) < 0)
            return code;
    struct str prefix = slash < 0 ? STR("") : str_skip(rest, (size_t)slash + 1);

    if (str_has_suffix(prefix, STR("/")))
        prefix = str_chop(prefix, 1);
    if (str_empty(prefix))
        return 0;
    place->etcd.prefix = arena_concat(arena, STR("/"), prefix);
    return place->etcd.prefix.data ? check_prefix(prefix, err) : err_set(err, ERR_NO_MEMORY, "--store");
}

/* -- what goes together -- */

static int check_together(const struct store_flags *flags, struct err *err)
{
    const struct {
        const char *given, *needs;
        bool bad;
    } rules[] = {
        { "--etcd-cafile", "--store", flags->ca_file && !flags->store },
        { "--etcd-certfile", "--store", flags->cert_file && !flags->store },
        { "--etcd-keyfile", "--store", flags->key_file && !flags->store },
        { "--etcd-user", "--store", flags->user && !flags->store },
        { "--etcd-password-file", "--store", flags->password_file && !flags->store },
        { "--etcd-certfile", "--etcd-cafile", flags->cert_file && !flags->ca_file },
        { "--etcd-certfile", "--etcd-keyfile", flags->cert_file && !flags->key_file },
        { "--etcd-keyfile", "--etcd-certfile", flags->key_file && !flags->cert_file },
        { "--etcd-user", "--etcd-password-file", flags->user && !flags->password_file },
        { "--etcd-password-file", "--etcd-user", flags->password_file && !flags->user },
    };

    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        if (rules[i].bad)
            return err_set(err, ERR_BAD_REQUEST, "%s needs %s", rules[i].given, rules[i].needs);
    if (flags->user && !*flags->user)
        return err_set(err, ERR_BAD_REQUEST, "--etcd-user: the name is empty");
    return 0;
}

static int load(struct arena *arena, const char *flag, const char *path, struct str *ret_text, struct err *err)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    int code = path ? file_read(path, FILE_MAX, &text, err) : 0;

    if (!path)
        return 0;
    if (code < 0)
        return err_wrap(err, code, "%s", flag);
    if (str_empty(str_trim(buf_str(&text))))
        return err_set(err, ERR_BAD_REQUEST, "%s: %s is empty", flag, path);
    *ret_text = arena_str(arena, buf_str(&text));
    return ret_text->data ? 0 : err_set(err, ERR_NO_MEMORY, "%s", flag);
}

static int check_pem(const char *flag, const char *path, struct str text, const char *kind, struct err *err)
{
    if (!path || (str_find(text, STR("-----BEGIN ")) >= 0 && str_find(text, str_from(kind)) >= 0))
        return 0;
    return err_set(err, ERR_BAD_REQUEST, "%s: %s has no %s in PEM form", flag, path, kind);
}

static int load_files(struct arena *arena, const struct store_flags *flags, struct store_etcd_options *etcd,
                      struct err *err)
{
    int code = load(arena, "--etcd-cafile", flags->ca_file, &etcd->ca_pem, err);

    if (code == 0)
        code = load(arena, "--etcd-certfile", flags->cert_file, &etcd->cert_pem, err);
    if (code == 0)
        code = load(arena, "--etcd-keyfile", flags->key_file, &etcd->key_pem, err);
    if (code == 0)
        code = load(arena, "--etcd-password-file", flags->password_file, &etcd->password, err);
    if (code == 0)
        code = check_pem("--etcd-cafile", flags->ca_file, etcd->ca_pem, "CERTIFICATE", err);
    if (code == 0)
        code = check_pem("--etcd-certfile", flags->cert_file, etcd->cert_pem, "CERTIFICATE", err);
    if (code == 0)
        code = check_pem("--etcd-keyfile", flags->key_file, etcd->key_pem, "PRIVATE KEY", err);
    while (etcd->password.len && strchr("\r\n", etcd->password.data[etcd->password.len - 1]))
        etcd->password.len--;
    return code;
}

int store_place_parse(struct arena *arena, const struct store_flags *flags, struct store_place *ret_place,
                      struct err *err)
{
    struct store_place place = { .shared = flags->store != NULL };
    int code = check_together(flags, err);

    if (code == 0 && place.shared)
        code = parse_url(arena, str_from(flags->store), &place, err);
    if (code == 0 && place.shared)
        code = load_files(arena, flags, &place.etcd, err);
    if (code < 0)
        return code;
    if (flags->user)
        place.etcd.user = str_from(flags->user);
    place.exposed = place.exposed && !flags->ca_file;
    *ret_place = place;
    return 0;
}

/* -- the folder -- */

static bool holds_store(const struct instance *instance, const char *folder)
{
    char path[INSTANCE_PATH_MAX], file[64];

    snprintf(file, sizeof file, "%s/data.mdb", folder);
    return access(instance_path(instance, file, path), F_OK) == 0;
}

int store_place_folder(const struct store_place *place, const struct instance *instance, char out[INSTANCE_PATH_MAX],
                       struct err *err)
{
    if (place->shared && holds_store(instance, "store"))
        return err_set(err, ERR_CONFLICT,
                       "--store: %s/store is a store of its own, which this server would leave behind; choose another "
                       "--data-dir, or move that folder away",
                       instance->data_dir);
    if (!place->shared && holds_store(instance, "cache"))
        return err_set(err, ERR_CONFLICT,
                       "%s follows a store in etcd; say which with --store, choose another --data-dir, or remove %s/cache",
                       instance->data_dir, instance->data_dir);
    instance_path(instance, place->shared ? "cache" : "store", out);
    return 0;
}

bool store_is_in_etcd(const struct instance *instance)
{
    return holds_store(instance, "cache");
}

const char *store_folder(const struct instance *instance, char out[INSTANCE_PATH_MAX])
{
    return instance_path(instance, store_is_in_etcd(instance) ? "cache" : "store", out);
}
