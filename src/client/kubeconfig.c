#include "client/kubeconfig.h"

#include <limits.h>
#include <stdio.h>

#include "base/file.h"
#include "codec/base64.h"
#include "codec/yaml.h"

#define KUBECONFIG_MAX (1u << 20)

/* The element of list (clusters, users, contexts) whose name is name, and in it the member of the same kind. */
static const struct json *named(const struct json *config, struct str list, struct str name, struct str member)
{
    const struct json *items = json_get(config, list);

    for (uint32_t i = 0; json_is(items, JSON_ARRAY) && i < items->count; i++)
        if (str_eq(json_str_at(&items->items[i], "name"), name))
            return json_get(&items->items[i], member);
    return NULL;
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

int kubeconfig_load(struct arena *arena, const char *path, struct client_config *ret_config, struct err *err)
{
    struct client_config config = { 0 };
    struct str text;
    struct json *root;
    int code = read_into(arena, path, &text, err);

    if (code == 0)
        code = yaml_parse(arena, text, NULL, &root, err);
    if (code < 0)
        return err_wrap(err, code, "kubeconfig %s", path);
    struct str current = json_str_at(root, "current-context");
    const struct json *context = named(root, STR("contexts"), current, STR("context"));
    const struct json *cluster = named(root, STR("clusters"), json_str_at(context, "cluster"), STR("cluster"));
    const struct json *user = named(root, STR("users"), json_str_at(context, "user"), STR("user"));

    if (!cluster)
        return err_set(err, ERR_BAD_REQUEST, "kubeconfig %s: current-context \"" STR_FMT "\" names no cluster", path,
                       STR_ARG(current));
    config.server = json_str_at(cluster, "server");
    config.token = json_str_at(user, "token");
    code = read_pem(arena, path, cluster, "certificate-authority-data", "certificate-authority", &config.ca_pem, err);
    if (code == 0)
        code = read_pem(arena, path, user, "client-certificate-data", "client-certificate", &config.cert_pem, err);
    if (code == 0)
        code = read_pem(arena, path, user, "client-key-data", "client-key", &config.key_pem, err);
    if (code < 0)
        return code;
    *ret_config = config;
    return 0;
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
