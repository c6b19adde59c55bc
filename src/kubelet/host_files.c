#include "kubelet/host_files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define RESOLV_MAX (64u << 10)
#define HOSTS_MAX (1u << 20)

char *host_file_path(struct pod_sync *sync, const char *name)
{
    char *folder = path_pod(sync->arena, sync->kubelet, sync->state->uid);

    return folder ? (char *)arena_printf(sync->arena, "%s/%s", folder, name).data : NULL;
}

int file_write_plain(const char *path, struct str data, mode_t mode, struct err *err)
{
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);

    if (fd < 0 || fchmod(fd, mode) < 0)
        return err_errno(err, errno, "creating %s", path);
    while (data.len) {
        ssize_t written = write(fd, data.data, data.len);

        if (written < 0 && errno != EINTR)
            return err_errno(err, errno, "writing %s", path);
        data = str_skip(data, (size_t)MAX(written, 0));
    }
    return 0;
}

static int write_if_new(struct pod_sync *sync, const char *name, const struct buf *text, struct err *err)
{
    struct buf present = BUF_INIT;
    char *path = host_file_path(sync, name);

    if (!path || !buf_ok(text))
        return err_set(err, ERR_NO_MEMORY, "%s", name);
    bool same = file_read(path, text->len, &present, NULL) == 0 && str_eq(buf_str(&present), buf_str(text));

    buf_deinit(&present);
    return same ? 0 : file_write_plain(path, buf_str(text), 0644, err);
}

static void add_aliases(const struct pod_spec *spec, struct buf *text)
{
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

static int add_node_hosts(struct buf *text, struct err *err)
{
    buf_add_cstr(text, "# Kubernetes-managed hosts file (host network).\n");
    if (!file_exists("/etc/hosts"))
        return 0;
    int code = file_read("/etc/hosts", HOSTS_MAX, text, err);

    if (code == 0 && text->len && text->data[text->len - 1] != '\n')
        buf_add_char(text, '\n');
    return code;
}

static void add_hosts(struct pod_sync *sync, struct buf *text)
{
    const struct pod_spec *spec = &sync->pod->spec;
    struct str hostname = pod_hostname(sync);

    buf_add_cstr(text, "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost "
                       "ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\n"
                       "fe00::2\tip6-allrouters\n");
    if (spec->subdomain.len)
        buf_printf(text, "%s\t" STR_FMT "." STR_FMT "." STR_FMT ".svc.cluster.local\t" STR_FMT "\n", sync->state->ip,
                   STR_ARG(hostname), STR_ARG(spec->subdomain), STR_ARG(sync->object->meta->namespace),
                   STR_ARG(hostname));
    else
        buf_printf(text, "%s\t" STR_FMT "\n", sync->state->ip, STR_ARG(hostname));
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
    int code = 0;

    if (sync->sandbox.host_network)
        code = add_node_hosts(&hosts, err);
    else
        add_hosts(sync, &hosts);
    add_aliases(&sync->pod->spec, &hosts);
    if (code == 0)
        code = write_if_new(sync, "etc-hosts", &hosts, err);
    if (code == 0)
        code = add_resolver(sync, &resolver, err);
    if (code == 0)
        code = write_if_new(sync, "resolv.conf", &resolver, err);
    buf_deinit(&hosts);
    buf_deinit(&resolver);
    return code;
}
