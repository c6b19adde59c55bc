#include "kubelet/host_files.h"

#include "base/file.h"

#define RESOLV_MAX (64u << 10)

char *host_file_path(struct pod_sync *sync, const char *name)
{
    char *folder = path_pod(sync->arena, sync->kubelet, sync->state->uid);

    return folder ? (char *)arena_printf(sync->arena, "%s/%s", folder, name).data : NULL;
}

static int write_once(struct pod_sync *sync, const char *name, const struct buf *text, struct err *err)
{
    char *path = host_file_path(sync, name);

    if (!path || !buf_ok(text))
        return err_set(err, ERR_NO_MEMORY, "%s", name);
    return file_write_atomic(path, buf_str(text), 0644, err);
}

static void add_hosts(struct pod_sync *sync, struct buf *text)
{
    const struct pod_spec *spec = &sync->pod->spec;
    struct str hostname = spec->hostname.len ? spec->hostname : sync->object->meta->name;

    buf_add_cstr(text, "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost "
                       "ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\n"
                       "fe00::2\tip6-allrouters\n");
    if (spec->subdomain.len)
        buf_printf(text, "%s\t" STR_FMT "." STR_FMT "." STR_FMT ".svc.cluster.local\t" STR_FMT "\n", sync->state->ip,
                   STR_ARG(hostname), STR_ARG(spec->subdomain), STR_ARG(sync->object->meta->namespace),
                   STR_ARG(hostname));
    else
        buf_printf(text, "%s\t" STR_FMT "\n", sync->state->ip, STR_ARG(hostname));
    if (spec->host_aliases.count)
        buf_add_cstr(text, "\n# Entries added by HostAliases.\n");
    for (size_t i = 0; i < spec->host_aliases.count; i++) {
        const struct host_alias *alias = &spec->host_aliases.items[i];

        buf_add_str(text, alias->ip);
        for (size_t n = 0; n < alias->hostnames.count; n++) {
            buf_add_char(text, '\t');
            buf_add_str(text, alias->hostnames.items[n]);
        }
        buf_add_char(text, '\n');
    }
}

static void add_dns_config(const struct pod_dns_config *config, struct buf *text)
{
    for (size_t i = 0; i < config->nameservers.count; i++)
        buf_printf(text, "nameserver " STR_FMT "\n", STR_ARG(config->nameservers.items[i]));
    if (config->searches.count)
        buf_add_cstr(text, "search");
    for (size_t i = 0; i < config->searches.count; i++)
        buf_printf(text, " " STR_FMT, STR_ARG(config->searches.items[i]));
    if (config->searches.count)
        buf_add_char(text, '\n');
    if (config->options.count)
        buf_add_cstr(text, "options");
    for (size_t i = 0; i < config->options.count; i++) {
        const struct pod_dns_config_option *option = &config->options.items[i];

        buf_printf(text, " " STR_FMT "%s" STR_FMT, STR_ARG(option->name), option->value.len ? ":" : "",
                   STR_ARG(option->value));
    }
    if (config->options.count)
        buf_add_char(text, '\n');
}

/* There is no cluster DNS to point to: ClusterFirst, like Default, takes the node's resolver. */
static int add_resolver(struct pod_sync *sync, struct buf *text, struct err *err)
{
    const struct pod_spec *spec = &sync->pod->spec;

    if (!str_is(spec->dns_policy, "None") && file_exists("/etc/resolv.conf")) {
        int code = file_read("/etc/resolv.conf", RESOLV_MAX, text, err);

        if (code < 0)
            return code;
        if (text->len && text->data[text->len - 1] != '\n')
            buf_add_char(text, '\n');
    }
    if (spec->dns_config)
        add_dns_config(spec->dns_config, text);
    return 0;
}

int host_files_write(struct pod_sync *sync, struct err *err)
{
    struct buf hosts = BUF_INIT, resolver = BUF_INIT;
    char *present = host_file_path(sync, "resolv.conf");

    if (present && file_exists(present))
        return 0;
    add_hosts(sync, &hosts);
    int code = write_once(sync, "etc-hosts", &hosts, err);

    if (code == 0)
        code = add_resolver(sync, &resolver, err);
    if (code == 0)
        code = write_once(sync, "resolv.conf", &resolver, err);
    buf_deinit(&hosts);
    buf_deinit(&resolver);
    return code;
}
