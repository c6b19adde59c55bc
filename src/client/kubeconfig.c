/* kubeconfig.c - several files are one configuration: every look-up by name goes through them in order. */
#include "client/kubeconfig.h"

#include <limits.h>
#include <stdio.h>

#include "base/file.h"
#include "base/vec.h"
#include "codec/base64.h"
#include "codec/yaml.h"

#define KUBECONFIG_MAX (1u << 20)

struct config_file {
    const char *path;
    const struct json *root;
};

/* An element of a list (clusters, users, contexts) and the file it stands in. */
struct entry {
    const struct json *object; /* NULL: there is none */
    const char *path;
};

/* The element of list whose name is name, and in it the member of the same kind. */
static struct entry named(const struct config_file *files, size_t count, struct str list, struct str name,
                          struct str member)
{
    for (size_t i = 0; i < count; i++) {
        const struct json *items = json_get(files[i].root, list);

        for (uint32_t j = 0; json_is(items, JSON_ARRAY) && j < items->count; j++)
            if (str_eq(json_str_at(&items->items[j], "name"), name))
                return (struct entry){ json_get(&items->items[j], member), files[i].path };
    }
    return (struct entry){ NULL, count ? files[0].path : "" };
}

static int read_into(struct arena *arena, const char *path, struct str *ret_text, struct err *err)
{
    struct buf buf = BUF_INIT;
    int code = file_read(path, KUBECONFIG_MAX, &buf, err);

    if (code == 0) {
        struct str copy = arena_str(arena, buf_str(&buf));

        code = copy.data ? 0 : err_set(err, ERR_NO_MEMORY, "reading %s", path);
        if (code == 0)
            *ret_text = copy;
    }
    buf_deinit(&buf);
    return code;
}

/* Certificates stand either inline as base64 or in a file, whose path is relative to the kubeconfig. */
static int read_pem(struct arena *arena, const char *config_path, const struct json *object, const char *inline_key,
                    const char *file_key, struct str *ret_pem, struct err *err)
{
    struct str data = json_str(json_get(object, str_from(inline_key)));
    struct str file = json_str(json_get(object, str_from(file_key)));
    char path[PATH_MAX];

    if (data.len) {
        if (!base64_decode(arena, data, ret_pem))
            return err_set(err, ERR_BAD_REQUEST, "%s: %s is not base64", config_path, inline_key);
        return 0;
    }
    if (!file.len)
        return 0;
    const char *slash = strrchr(config_path, '/');
    int dir = file.data[0] == '/' || !slash ? 0 : (int)(slash - config_path) + 1;

    if (snprintf(path, sizeof path, "%.*s" STR_FMT, dir, config_path, STR_ARG(file)) >= (int)sizeof path)
        return err_set(err, ERR_BAD_REQUEST, "%s: %s: path too long", config_path, file_key);
    return read_into(arena, path, ret_pem, err);
}

/* What our client does not do is said, not passed over. */
static int refuse_unknown(const struct entry *cluster, const struct entry *user, struct err *err)
{
    static const char *const of_users[] = { "exec", "auth-provider", "username" };
    static const char *const of_clusters[] = { "tls-server-name", "proxy-url" };

    for (size_t i = 0; i < ARRAY_LEN(of_users); i++)
        if (json_get(user->object, str_from(of_users[i])))
            return err_set(err, ERR_NOT_SUPPORTED, "kubeconfig %s: users with \"%s\" are not supported; use a token or "
                           "a client certificate", user->path, of_users[i]);
    for (size_t i = 0; i < ARRAY_LEN(of_clusters); i++)
        if (json_get(cluster->object, str_from(of_clusters[i])))
            return err_set(err, ERR_NOT_SUPPORTED, "kubeconfig %s: clusters with \"%s\" are not supported",
                           cluster->path, of_clusters[i]);
    return 0;
}

static int read_credentials(struct arena *arena, const struct entry *user, struct client_config *config,
                            struct err *err)
{
    int code = read_pem(arena, user->path, user->object, "client-certificate-data", "client-certificate",
                        &config->cert_pem, err);

    if (code == 0)
        code = read_pem(arena, user->path, user->object, "client-key-data", "client-key", &config->key_pem, err);
    config->token = json_str_at(user->object, "token");
    if (code == 0 && !config->token.len) {
        code = read_pem(arena, user->path, user->object, "", "tokenFile", &config->token, err);
        config->token = str_trim(config->token);
    }
    return code;
}

static int choose(struct arena *arena, const struct config_file *files, size_t count, struct str name,
                  struct kubeconfig *ret_config, struct err *err)
{
    struct kubeconfig config = { .context = name };

    for (size_t i = 0; i < count && !config.context.len; i++)
        config.context = json_str_at(files[i].root, "current-context");
    struct entry context = named(files, count, STR("contexts"), config.context, STR("context"));

    if (!context.object && name.len)
        return err_set(err, ERR_NOT_FOUND, "kubeconfig %s: there is no context \"" STR_FMT "\"", context.path,
                       STR_ARG(name));
    struct entry cluster = named(files, count, STR("clusters"), json_str_at(context.object, "cluster"),
                                 STR("cluster"));
    struct entry user = named(files, count, STR("users"), json_str_at(context.object, "user"), STR("user"));

    if (!cluster.object)
        return err_set(err, ERR_BAD_REQUEST, "kubeconfig %s: %s \"" STR_FMT "\" names no cluster", cluster.path,
                       name.len ? "context" : "current-context", STR_ARG(config.context));
    config.ns = json_str_at(context.object, "namespace");
    config.client.server = json_str_at(cluster.object, "server");
    config.client.insecure = json_bool(json_member(cluster.object, "insecure-skip-tls-verify"), false);
    int code = refuse_unknown(&cluster, &user, err);

    if (code == 0)
        code = read_pem(arena, cluster.path, cluster.object, "certificate-authority-data", "certificate-authority",
                        &config.client.ca_pem, err);
    if (code == 0)
        code = read_credentials(arena, &user, &config.client, err);
    if (code == 0)
        *ret_config = config;
    return code;
}

static int read_files(struct arena *arena, const char *const *paths, size_t count, struct config_file **ret_files,
                      size_t *ret_count, struct err *err)
{
    struct config_file *files = arena_array_of(arena, count + 1, struct config_file);
    size_t found = 0;

    if (!files)
        return err_set(err, ERR_NO_MEMORY, "kubeconfig");
    for (size_t i = 0; i < count; i++) {
        struct json *root;
        struct str text;
        int code = read_into(arena, paths[i], &text, err);

        if (code == -ERR_NOT_FOUND && (found || i + 1 < count))
            continue;
        if (code == 0)
            code = yaml_parse(arena, text, NULL, &root, err);
        if (code < 0)
            return err_wrap(err, code, "kubeconfig %s", paths[i]);
        files[found++] = (struct config_file){ paths[i], root };
    }
    *ret_files = files;
    *ret_count = found;
    return 0;
}

int kubeconfig_choose(struct arena *arena, const char *const *paths, size_t count, struct str context,
                      struct kubeconfig *ret_config, struct err *err)
{
    struct config_file *files;
    int code = read_files(arena, paths, count, &files, &count, err);

    return code == 0 ? choose(arena, files, count, context, ret_config, err) : code;
}

int kubeconfig_contexts(struct arena *arena, const char *const *paths, size_t count, struct str_array *ret_names,
                        struct err *err)
{
    VEC(struct str) names = VEC_INIT;
    struct config_file *files;
    int code = read_files(arena, paths, count, &files, &count, err);

    for (size_t i = 0; code == 0 && i < count; i++) {
        const struct json *items = json_member(files[i].root, "contexts");

        for (uint32_t j = 0; code == 0 && json_is(items, JSON_ARRAY) && j < items->count; j++)
            if (vec_push(&names, json_str_at(&items->items[j], "name")) < 0)
                code = err_set(err, ERR_NO_MEMORY, "kubeconfig");
    }
    struct str *copy = arena_array_of(arena, names.count + 1, struct str);

    if (code == 0 && !copy)
        code = err_set(err, ERR_NO_MEMORY, "kubeconfig");
    if (code == 0) {
        if (names.count)
            memcpy(copy, names.items, names.count * sizeof *copy);
        *ret_names = (struct str_array){ copy, names.count };
    }
    vec_deinit(&names);
    return code;
}

int kubeconfig_load(struct arena *arena, const char *path, struct client_config *ret_config, struct err *err)
{
    struct kubeconfig config;
    int code = kubeconfig_choose(arena, &path, 1, STR_NULL, &config, err);

    if (code == 0)
        *ret_config = config.client;
    return code;
}

static void add_base64(struct buf *buf, const char *key, struct str pem)
{
    if (!pem.len)
        return;
    buf_printf(buf, "    %s: ", key);
    base64_encode(buf, pem);
    buf_add_char(buf, '\n');
}

int kubeconfig_write(const char *path, struct str name, const struct client_config *config, struct err *err)
{
    struct buf buf = BUF_INIT;

    buf_add_cstr(&buf, "apiVersion: v1\nkind: Config\nclusters:\n");
    buf_printf(&buf, "- name: " STR_FMT "\n  cluster:\n    server: " STR_FMT "\n", STR_ARG(name),
               STR_ARG(config->server));
    add_base64(&buf, "certificate-authority-data", config->ca_pem);
    buf_printf(&buf, "users:\n- name: " STR_FMT "\n  user:\n", STR_ARG(name));
    add_base64(&buf, "client-certificate-data", config->cert_pem);
    add_base64(&buf, "client-key-data", config->key_pem);
    if (config->token.len)
        buf_printf(&buf, "    token: " STR_FMT "\n", STR_ARG(config->token));
    buf_printf(&buf, "contexts:\n- name: " STR_FMT "\n  context:\n    cluster: " STR_FMT "\n    user: " STR_FMT "\n",
               STR_ARG(name), STR_ARG(name), STR_ARG(name));
    buf_printf(&buf, "current-context: " STR_FMT "\n", STR_ARG(name));
    int code = buf_ok(&buf) ? file_write_atomic(path, buf_str(&buf), 0600, err)
                            : err_set(err, ERR_NO_MEMORY, "kubeconfig");

    buf_deinit(&buf);
    return code;
}
