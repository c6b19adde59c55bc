/* pod_setup.c - folders, volumes, namespaces, network before the first container; and all of it gone afterwards. */
#include <arpa/inet.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>

#include "base/file.h"
#include "base/log.h"
#include "kubelet/host_files.h"
#include "kubelet/image/rootfs.h"
#include "kubelet/internal.h"
#include "kubelet/resources.h"
#include "kubelet/volume.h"
#include "schema/quantity.h"

#define REFRESH (60 * NSEC_PER_SEC)
#define RETRY_BASE (250 * NSEC_PER_MSEC)
#define RETRY_CAP (10 * NSEC_PER_SEC)

/* Labels and annotations show in files of the downward API. */
static uint64_t digest_meta(const struct object_meta *meta)
{
    const struct str_map *maps[] = { &meta->labels, &meta->annotations };
    uint64_t digest = 0;

    for (size_t m = 0; m < ARRAY_LEN(maps); m++)
        for (size_t i = 0; i < maps[m]->count; i++)
            digest = (digest * 31 + str_hash(maps[m]->items[i].key)) * 31 + str_hash(maps[m]->items[i].value);
    return digest;
}

static int prepare_volumes(struct pod_sync *sync, struct err *err)
{
    struct pod_state *state = sync->state;
    uint64_t meta = digest_meta(sync->object->meta);

    if (state->volumes_ready && sync->now - state->volumes_at < REFRESH && state->volumes_meta == meta)
        return 0;
    int code = volumes_mount(sync, err);

    if (code < 0) {
        sync_event(sync, NULL, "Warning", "FailedMount", "%s", err->message);
        if (!state->volumes_ready)
            return code; /* else containers keep what they have */
    }
    state->volumes_ready = true;
    state->volumes_at = sync->now;
    state->volumes_meta = meta;
    return 0;
}

static int list_sysctls(struct pod_sync *sync, struct sandbox_spec *spec, struct err *err)
{
    const struct pod_security_context *security = sync->pod->spec.security_context;
    size_t count = security ? security->sysctls.count : 0;
    struct oci_pair *pairs = arena_array_of(sync->arena, count, struct oci_pair);

    if (count && !pairs)
        return err_set(err, ERR_NO_MEMORY, "sysctls");
    for (size_t i = 0; i < count; i++)
        pairs[i] = (struct oci_pair){ security->sysctls.items[i].name, security->sysctls.items[i].value };
    spec->sysctls = pairs;
    spec->sysctl_count = count;
    return 0;
}

/* Kubernetes' rule: spec.hostname or the pod's name, cut at 63 characters without a '-' or '.' at the end. */
struct str pod_hostname(const struct pod_sync *sync)
{
    struct str name = sync->pod->spec.hostname.len ? sync->pod->spec.hostname : sync->object->meta->name;

    name = str_first(name, 63);
    while (name.len && (name.data[name.len - 1] == '-' || name.data[name.len - 1] == '.'))
        name.len--;
    return name;
}

static int prepare_sandbox(struct pod_sync *sync, struct err *err)
{
    const struct pod_spec *pod = &sync->pod->spec;
    struct sandbox_spec spec = {
        .pod_uid = sync->state->uid,
        .pod_namespace = sync->object->meta->namespace,
        .pod_name = sync->object->meta->name,
        .hostname = opt_or(pod->host_network, false) ? sync->kubelet->options.node_name : pod_hostname(sync),
        .host_network = opt_or(pod->host_network, false),
        .host_ipc = opt_or(pod->host_ipc, false),
        .host_pid = opt_or(pod->host_pid, false),
        .share_pid = opt_or(pod->share_process_namespace, false),
        .resources = pod_resources(sync->pod),
    };
    int code = list_sysctls(sync, &spec, err);

    if (code == 0)
        code = sandbox_get(sync->kubelet->options.runtime, spec.pod_uid, sync->arena, &sync->sandbox, NULL);
    if (code < 0 || !sync->sandbox.ready)
        code = sandbox_create(sync->kubelet->options.runtime, &spec, sync->arena, &sync->sandbox, err);
    return code;
}

static enum port_protocol protocol_of(struct str name)
{
    return str_is(name, "UDP") ? PORT_UDP : str_is(name, "SCTP") ? PORT_SCTP : PORT_TCP;
}

static int list_ports(struct pod_sync *sync, struct port_mapping **ret_ports, size_t *ret_count, struct err *err)
{
    const struct container_array *containers = &sync->pod->spec.containers;
    size_t count = 0, at = 0;

    for (size_t c = 0; c < containers->count; c++)
        count += containers->items[c].ports.count;
    struct port_mapping *ports = arena_array_of(sync->arena, count, struct port_mapping);

    if (count && !ports)
        return err_set(err, ERR_NO_MEMORY, "host ports");
    for (size_t c = 0; c < containers->count; c++)
        for (size_t p = 0; p < containers->items[c].ports.count; p++) {
            const struct container_port *port = &containers->items[c].ports.items[p];
            char *host_ip = arena_cstr(sync->arena, port->host_ip);

            if (!opt_or(port->host_port, 0))
                continue;
            ports[at] = (struct port_mapping){ .protocol = protocol_of(port->protocol),
                                               .host_port = (uint16_t)port->host_port.value,
                                               .container_port = (uint16_t)port->container_port };
            if (port->host_ip.len && (!host_ip || inet_pton(AF_INET, host_ip, &ports[at].host_ip) != 1))
                return err_set(err, ERR_NOT_SUPPORTED, "hostIP " STR_FMT " is not an IPv4 address",
                               STR_ARG(port->host_ip));
            at++;
        }
    *ret_ports = ports;
    *ret_count = at;
    return 0;
}

static int prepare_network(struct pod_sync *sync, struct err *err)
{
    struct pod_state *state = sync->state;
    struct pod_address address;
    struct port_mapping *ports = NULL;
    size_t count = 0;

    if (state->network_ready)
        return 0;
    if (sync->sandbox.host_network) {
        snprintf(state->ip, sizeof state->ip, STR_FMT, STR_ARG(sync->kubelet->options.node_ip));
        state->network_ready = true;
        return 0;
    }
    int code = list_ports(sync, &ports, &count, err);
    char *netns = code == 0 ? arena_cstr(sync->arena, sync->sandbox.netns) : NULL;

    if (code == 0 && !netns)
        code = err_set(err, ERR_NO_MEMORY, "network");
    if (code == 0)
        code = pod_network_attach(sync->kubelet->network, state->uid, netns, ports, count, &address, err);
    if (code < 0)
        return code;
    inet_ntop(AF_INET, &address.ip, state->ip, sizeof state->ip);
    state->network_ready = true;
    return 0;
}

static int prepare_all(struct pod_sync *sync, struct err *err)
{
    char *folder = path_pod(sync->arena, sync->kubelet, sync->state->uid);
    int code = folder ? file_make_dirs(folder, 0750, err) : err_set(err, ERR_NO_MEMORY, "pod folder");

    if (code == 0)
        code = prepare_volumes(sync, err);
    if (code < 0)
        return code;
    bool fresh = !sync->state->network_ready;

    if ((code = prepare_sandbox(sync, err)) == 0 && (code = prepare_network(sync, err)) == 0 && fresh)
        code = host_files_write(sync, err);
    if (code < 0) {
        sync->state->network_ready &= !fresh;
        sync_event(sync, NULL, "Warning", "FailedCreatePodSandBox", "Failed to create pod sandbox: %s", err->message);
    }
    return code;
}

/* What the pod as a whole waits for shows in every container that is not there yet. */
static void tell_containers(struct pod_sync *sync, const char *message)
{
    for (size_t i = 0; i < sync->slot_count + sync->ephemeral_count; i++) {
        struct container_memory *memory = sync->slots[i].memory;

        if (sync->slots[i].current)
            continue;
        memory->reason = NULL;
        snprintf(memory->message, sizeof memory->message, "%s", message);
    }
}

/* Failures are tried again less and less often; a look for another reason does not hurry that. */
int pod_prepare(struct pod_sync *sync)
{
    struct pod_state *state = sync->state;
    struct err why = { 0 };

    if (state->setup_failures && sync->now < state->setup_at) {
        sync_wake_after(sync, state->setup_at - sync->now);
        return 1;
    }
    int code = prepare_all(sync, &why);

    if (code < 0 || state->setup_failures)
        tell_containers(sync, why.message);
    if (code == 0) {
        state->setup_failures = 0;
        return 0;
    }
    nsec_t delay = MIN(RETRY_BASE << MIN(state->setup_failures, 8u), RETRY_CAP);

    log_warn("kubelet", "pod " STR_FMT ": %s", STR_ARG(state->key), why.message);
    state->setup_failures++;
    state->setup_at = sync->now + delay;
    sync_wake_after(sync, delay);
    return 1;
}

/* -- removal -- */

/* Every <pod>/containers/<name>/<attempt>. */
static int unmount_rootfs(struct arena *arena, const char *pod, struct err *err)
{
    const char *containers = arena_printf(arena, "%s/containers", pod).data;
    DIR *names = containers ? opendir(containers) : NULL;
    struct dirent *name, *attempt;
    int code = 0;

    while (names && code == 0 && (name = readdir(names))) {
        const char *folder = arena_printf(arena, "%s/%s", containers, name->d_name).data;
        DIR *attempts = name->d_name[0] == '.' || !folder ? NULL : opendir(folder);

        while (attempts && code == 0 && (attempt = readdir(attempts))) {
            const char *dir = arena_printf(arena, "%s/%s", folder, attempt->d_name).data;

            if (attempt->d_name[0] != '.' && dir)
                code = rootfs_unmount(dir, err);
        }
        if (attempts)
            closedir(attempts);
    }
    if (names)
        closedir(names);
    return code;
}

int pod_remove(struct kubelet *kubelet, struct str uid, bool keep_logs, struct err *err)
{
    AUTO(arena) arena = arena_new(0);
    char *folder = arena ? path_pod(arena, kubelet, uid) : NULL;

    if (!folder)
        return err_set(err, ERR_NO_MEMORY, "removing pod");
    int code = sandbox_remove(kubelet->options.runtime, uid, err);

    if (code == 0)
        code = pod_network_detach(kubelet->network, uid, err);
    if (code == 0)
        code = unmount_rootfs(arena, folder, err);
    if (code == 0)
        code = volumes_unmount(arena, folder, err);
    if (code == 0)
        code = file_remove_tree(folder, err);
    if (code == 0 && !keep_logs)
        code = path_logs_remove(kubelet, uid, err);
    return code;
}
