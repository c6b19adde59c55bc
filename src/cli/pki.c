#include "cli/pki.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "net/signer.h"

#define CA_DAYS 3650
#define LEAF_DAYS 365
#define PEM_MAX (64u << 10)

static const char *const leaf_names[] = {
    [PKI_SERVER] = "server", [PKI_ADMIN] = "admin", [PKI_SERVER_CLIENT] = "server-client", [PKI_NODE] = "node",
    [PKI_NODE_SERVER] = "node-server",
};

static void pki_path(const struct instance *instance, const char *name, const char *suffix, char out[INSTANCE_PATH_MAX])
{
    snprintf(out, INSTANCE_PATH_MAX, "%s/pki/%s.%s", instance->data_dir, name, suffix);
}

static int load_file(struct arena *arena, const char *path, struct str *ret_text, struct err *err)
{
    struct buf buf = BUF_INIT;
    int code = file_read(path, PEM_MAX, &buf, err);

    if (code == 0) {
        *ret_text = arena_str(arena, buf_str(&buf));
        code = ret_text->data ? 0 : err_set(err, ERR_NO_MEMORY, "%s", path);
    }
    buf_deinit(&buf);
    return code;
}

static int load_pair(struct arena *arena, const struct instance *instance, const char *name, struct tls_pair *ret_pair,
                     struct err *err)
{
    char path[INSTANCE_PATH_MAX];

    pki_path(instance, name, "crt", path);
    int code = load_file(arena, path, &ret_pair->cert_pem, err);

    pki_path(instance, name, "key", path);
    return code == 0 ? load_file(arena, path, &ret_pair->key_pem, err) : code;
}

static int save_pair(const struct instance *instance, const char *name, const struct tls_pair *pair, struct err *err)
{
    char path[INSTANCE_PATH_MAX];

    pki_path(instance, name, "key", path);
    int code = file_write_atomic(path, pair->key_pem, 0600, err);

    pki_path(instance, name, "crt", path);
    return code == 0 ? file_write_atomic(path, pair->cert_pem, 0644, err) : code;
}

/* An authority made anew in place of one half of another would leave behind all that trusts that. */
static int check_no_half(const struct instance *instance, struct err *err)
{
    static const char *const suffixes[] = { "crt", "key" };
    char path[INSTANCE_PATH_MAX];

    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        pki_path(instance, "ca", suffixes[i], path);
        if (access(path, F_OK) == 0)
            return err_set(err, ERR_CONFLICT, "%s is there, and ca.%s is missing beside it: both are needed", path,
                           suffixes[!i]);
    }
    return 0;
}

static int ensure_ca(struct arena *arena, const struct instance *instance, struct tls_pair *ret_ca, struct err *err)
{
    int code = load_pair(arena, instance, "ca", ret_ca, err);

    if (code != -ERR_NOT_FOUND)
        return code;
    if ((code = check_no_half(instance, err)) < 0)
        return code;
    code = tls_make_ca(arena, STR("caravel-ca"), CA_DAYS, ret_ca, err);
    return code == 0 ? save_pair(instance, "ca", ret_ca, err) : code;
}

struct server_names {
    struct str names[6 + PKI_FRONTS_MAX], ips[4 + PKI_FRONTS_MAX];
    size_t names_count, ips_count;
};

/* What the API server may be called. */
static void name_server(const struct pki_hosts *hosts, struct server_names *names)
{
    const struct str own[] = { STR("localhost"), STR("kubernetes"), STR("kubernetes.default"),
                               STR("kubernetes.default.svc"), STR("kubernetes.default.svc.cluster.local"),
                               str_from(hosts->node_name) };
    struct in6_addr address;

    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        names->names[names->names_count++] = own[i];
    names->ips[names->ips_count++] = STR("127.0.0.1");
    names->ips[names->ips_count++] = str_from(hosts->service_ip ? hosts->service_ip : "10.96.0.1");
    names->ips[names->ips_count++] = str_from(hosts->node_ip);
    if (!strchr(hosts->listen_host, ':') && strcmp(hosts->listen_host, "0.0.0.0") != 0)
        names->ips[names->ips_count++] = str_from(hosts->listen_host);
    for (size_t i = 0; i < MIN(hosts->fronts_count, PKI_FRONTS_MAX); i++) {
        bool ip = inet_pton(AF_INET, hosts->fronts[i], &address) == 1 || inet_pton(AF_INET6, hosts->fronts[i], &address) == 1;

        if (ip)
            names->ips[names->ips_count++] = str_from(hosts->fronts[i]);
        else
            names->names[names->names_count++] = str_from(hosts->fronts[i]);
    }
}

int pki_prepare(const struct instance *instance, const struct pki_hosts *hosts, struct err *err)
{
    AUTO(arena) arena = arena_new(0);
    char folder[INSTANCE_PATH_MAX];
    struct tls_pair ca, pair;
    int code = arena ? file_make_dirs(instance_path(instance, "pki", folder), 0700, err)
                     : err_set(err, ERR_NO_MEMORY, "certificates");

    if (code == 0)
        code = ensure_ca(arena, instance, &ca, err);
    if (code < 0)
        return err_wrap(err, code, "certificates");
    struct str node_user = arena_printf(arena, "system:node:%s", hosts->node_name);
    const struct str masters[] = { STR("system:masters") }, nodes[] = { STR("system:nodes") };
    const struct str node_name = str_from(hosts->node_name);
    struct server_names names = { 0 };

    name_server(hosts, &names);
    const struct tls_subject subjects[] = {
        [PKI_SERVER] = { .common_name = STR("kube-apiserver"), .dns_names = names.names,
                         .dns_name_count = names.names_count, .ip_addresses = names.ips,
                         .ip_address_count = names.ips_count, .server = true },
        [PKI_ADMIN] = { .common_name = STR("kubernetes-admin"), .organizations = masters, .organization_count = 1,
                        .client = true },
        [PKI_SERVER_CLIENT] = { .common_name = STR("kube-apiserver-kubelet-client"), .organizations = masters,
                                .organization_count = 1, .client = true },
        [PKI_NODE] = { .common_name = node_user, .organizations = nodes, .organization_count = 1, .client = true },
        [PKI_NODE_SERVER] = { .common_name = node_user, .organizations = nodes, .organization_count = 1,
                              .dns_names = &node_name, .dns_name_count = 1, .ip_addresses = names.ips,
                              .ip_address_count = 3, .server = true },
    };

    for (int leaf = 0; code == 0 && leaf < PKI_LEAVES; leaf++) {
        struct tls_subject subject = subjects[leaf];

        subject.days = LEAF_DAYS;
        code = tls_make_cert(arena, &ca, &subject, &pair, err);
        if (code == 0)
            code = save_pair(instance, leaf_names[leaf], &pair, err);
    }
    return code < 0 ? err_wrap(err, code, "certificates") : 0;
}

int pki_ensure_token_key(struct arena *arena, const struct instance *instance, struct str *ret_pem, struct err *err)
{
    char path[INSTANCE_PATH_MAX];

    pki_path(instance, "sa", "key", path);
    int code = load_file(arena, path, ret_pem, err);

    if (code != -ERR_NOT_FOUND)
        return code;
    code = signer_make_key(arena, ret_pem, err);
    return code == 0 ? file_write_atomic(path, *ret_pem, 0600, err) : code;
}

int pki_load_ca(struct arena *arena, const struct instance *instance, struct str *ret_pem, struct err *err)
{
    char path[INSTANCE_PATH_MAX];

    pki_path(instance, "ca", "crt", path);
    return load_file(arena, path, ret_pem, err);
}

int pki_load(struct arena *arena, const struct instance *instance, enum pki_leaf leaf, struct tls_pair *ret_pair,
             struct err *err)
{
    return load_pair(arena, instance, leaf_names[leaf], ret_pair, err);
}
