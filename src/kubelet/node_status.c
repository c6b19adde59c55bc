/* node_status.c - what this machine is, as Kubernetes tells it, and the word each second that it is still there.
 *
 * Heartbeats are lines of one stream, outside of the log; a Lease in kube-node-lease is renewed as well, each ten seconds, for
 * those who look there. */
#include "kubelet/node_status.h"

#include <errno.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "api/coordination_v1.h"
#include "api/resources.h"
#include "base/file.h"
#include "base/log.h"
#include "kubelet/log_server.h"
#include "schema/time.h"
#include "schema/view.h"

#define HEARTBEAT NSEC_PER_SEC
#define LEASE_EVERY 10  /* heartbeats */
#define STATUS_EVERY 60 /* heartbeats */
#define LOOK_AT 4       /* of each LEASE_EVERY heartbeats */
#define ANSWER_MAX_WAIT (2 * NSEC_PER_SEC)
#define GAP_MAX (3 * NSEC_PER_SEC) /* after a longer silence the control plane may have given this node up */
#define IMAGES_MAX 50
#define VERSION "v1.33.0-caravel"

/* -- facts about the machine -- */

static struct str read_line(struct arena *arena, const char *path)
{
    struct buf buf = BUF_INIT;
    struct str text = STR("");

    if (file_read(path, 64 << 10, &buf, NULL) == 0)
        text = arena_str(arena, str_trim(buf_str(&buf)));
    buf_deinit(&buf);
    return text.data ? text : STR("");
}

/* PRETTY_NAME of /etc/os-release */
static struct str os_image(struct arena *arena)
{
    struct str rest = read_line(arena, "/etc/os-release"), line;

    while (str_split(&rest, '\n', &line)) {
        if (!str_has_prefix(line, STR("PRETTY_NAME=")))
            continue;
        line = str_skip(line, 12);
        return line.len >= 2 && line.data[0] == '"' ? str_chop(str_skip(line, 1), 1) : line;
    }
    return STR("Linux");
}

static struct str machine_architecture(const struct utsname *uts)
{
    static const struct {
        const char *machine;
        struct str name;
    } names[] = {
        { "x86_64", STR_INIT("amd64") },    { "aarch64", STR_INIT("arm64") },   { "armv7l", STR_INIT("arm") },
        { "riscv64", STR_INIT("riscv64") }, { "ppc64le", STR_INIT("ppc64le") }, { "s390x", STR_INIT("s390x") }
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(uts->machine, names[i].machine) == 0)
            return names[i].name;
    return str_from(uts->machine);
}

static void fill_info(struct kubelet *kubelet, struct arena *arena, struct node_system_info *info)
{
    struct utsname *uts = arena_new_of(arena, struct utsname);

    if (!uts || uname(uts) < 0)
        return;
    info->machine_id = read_line(arena, "/etc/machine-id");
    info->boot_id = read_line(arena, "/proc/sys/kernel/random/boot_id");
    info->system_uuid = read_line(arena, "/sys/class/dmi/id/product_uuid");
    info->kernel_version = arena_str(arena, str_from(uts->release));
    info->os_image = os_image(arena);
    info->operating_system = STR("linux");
    info->architecture = machine_architecture(uts);
    info->container_runtime_version = str_from(runtime_version(kubelet->options.runtime));
    ssize_t space = str_chr(info->container_runtime_version, ' ');

    if (space > 0)
        info->container_runtime_version =
            arena_printf(arena, "%.*s://" STR_FMT, (int)space, info->container_runtime_version.data,
                         STR_ARG(str_skip(info->container_runtime_version, (size_t)space + 1)));
    info->kubelet_version = STR(VERSION);
    info->kube_proxy_version = STR(VERSION);
}

static struct str number(struct arena *arena, long long value, const char *suffix)
{
    return arena_printf(arena, "%lld%s", value, suffix);
}

static void fill_capacity(struct kubelet *kubelet, struct arena *arena, struct str_map *map)
{
    struct str_pair *pairs = arena_array_of(arena, 4, struct str_pair);
    struct statvfs disk = { 0 };

    if (!pairs)
        return;
    statvfs(kubelet->options.data_dir, &disk);
    pairs[0] = (struct str_pair){ STR("cpu"), number(arena, sysconf(_SC_NPROCESSORS_ONLN), "") };
    pairs[1] = (struct str_pair){ STR("ephemeral-storage"),
                                  number(arena, (long long)(disk.f_blocks * disk.f_frsize >> 10), "Ki") };
    pairs[2] = (struct str_pair){ STR("memory"),
                                  number(arena, sysconf(_SC_PHYS_PAGES) * (sysconf(_SC_PAGESIZE) >> 10), "Ki") };
    pairs[3] = (struct str_pair){ STR("pods"), number(arena, kubelet->options.max_pods, "") };
    *map = (struct str_map){ pairs, 4 };
}

/* -- conditions -- */

static int64_t available_memory_kib(struct arena *arena)
{
    struct str rest = read_line(arena, "/proc/meminfo"), line;
    int64_t value = INT64_MAX;

    while (str_split(&rest, '\n', &line))
        if (str_has_prefix(line, STR("MemAvailable:")))
            str_to_i64(str_trim(str_chop(str_skip(line, 13), 3)), &value);
    return value;
}

static bool disk_pressure(struct kubelet *kubelet)
{
    struct statvfs disk;

    return statvfs(kubelet->options.data_dir, &disk) == 0 && disk.f_blocks && disk.f_bavail * 10 < disk.f_blocks &&
           (uint64_t)disk.f_bavail * disk.f_frsize < (1ull << 30);
}

static void fill_conditions(struct kubelet *kubelet, struct arena *arena, const struct node *present,
                            struct node_condition_array *ret_list)
{
    const struct {
        const char *type;
        bool value;
        const char *reason[2], *message[2];
    } rows[] = {
        { "MemoryPressure",
          available_memory_kib(arena) < (100 << 10),
          { "KubeletHasSufficientMemory", "KubeletHasInsufficientMemory" },
          { "kubelet has sufficient memory available", "kubelet has insufficient memory available" } },
        { "DiskPressure",
          disk_pressure(kubelet),
          { "KubeletHasNoDiskPressure", "KubeletHasDiskPressure" },
          { "kubelet has no disk pressure", "kubelet has disk pressure" } },
        { "PIDPressure", false, { "KubeletHasSufficientPID", "" }, { "kubelet has sufficient PID available", "" } },
        { "Ready", true, { "", "KubeletReady" }, { "", "kubelet is posting ready status" } },
    };
    struct node_condition *list = arena_array_of(arena, ARRAY_LEN(rows), struct node_condition);
    nsec_t wall = clock_wall(kubelet->options.clock);
    struct api_time now = { true, wall - wall % NSEC_PER_SEC };

    if (!list)
        return;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        list[i] = (struct node_condition){
            .type = str_from(rows[i].type),
            .status = rows[i].value ? STR("True") : STR("False"),
            .last_heartbeat_time = now,
            .last_transition_time = now,
            .reason = str_from(rows[i].reason[rows[i].value]),
            .message = str_from(rows[i].message[rows[i].value]),
        };
        for (size_t c = 0; present && c < present->status.conditions.count; c++) {
            const struct node_condition *old = &present->status.conditions.items[c];

            if (str_eq(old->type, list[i].type) && str_eq(old->status, list[i].status))
                list[i].last_transition_time = old->last_transition_time;
        }
    }
    *ret_list = (struct node_condition_array){ list, ARRAY_LEN(rows) };
}

static void fill_images(struct kubelet *kubelet, struct arena *arena, struct container_image_array *ret_list)
{
    struct image_list images;

    if (image_store_list(kubelet->options.images, &images, NULL) < 0)
        return;
    size_t count = MIN(images.count, (size_t)IMAGES_MAX);
    struct container_image *list = arena_array_of(arena, count, struct container_image);

    for (size_t i = 0; list && i < count; i++) {
        const struct image *image = images.items[i];
        size_t names = image->repo_digests.count + image->repo_tags.count, at = 0;
        struct str *items = arena_array_of(arena, names, struct str);

        for (size_t n = 0; items && n < image->repo_digests.count; n++)
            items[at++] = arena_str(arena, image->repo_digests.items[n]);
        for (size_t n = 0; items && n < image->repo_tags.count; n++)
            items[at++] = arena_str(arena, image->repo_tags.items[n]);
        list[i].names = (struct str_array){ items, at };
        list[i].size_bytes = (struct opt_i64){ true, (int64_t)image->size };
    }
    if (list)
        *ret_list = (struct container_image_array){ list, count };
    image_list_deinit(&images);
}

static void fill_addresses(struct kubelet *kubelet, struct arena *arena, struct node_address_array *ret_list)
{
    struct node_address *list = arena_array_of(arena, 2, struct node_address);

    if (!list)
        return;
    list[0] = (struct node_address){ STR("InternalIP"), kubelet->options.node_ip };
    list[1] = (struct node_address){ STR("Hostname"), kubelet->options.node_name };
    *ret_list = (struct node_address_array){ list, 2 };
}

static void fill_status(struct kubelet *kubelet, struct arena *arena, const struct node *present,
                        struct node_status *status)
{
    fill_capacity(kubelet, arena, &status->capacity);
    status->allocatable = status->capacity;
    fill_conditions(kubelet, arena, present, &status->conditions);
    fill_addresses(kubelet, arena, &status->addresses);
    fill_info(kubelet, arena, &status->node_info);
    fill_images(kubelet, arena, &status->images);
    status->daemon_endpoints.kubelet_endpoint.port = log_server_port(kubelet->logs);
}

/* -- writing -- */

static int compare_pairs(const void *a, const void *b)
{
    return str_cmp(((const struct str_pair *)a)->key, ((const struct str_pair *)b)->key);
}

static int make_labels(struct kubelet *kubelet, struct arena *arena, const struct node_system_info *info,
                       struct str_map *ret_labels)
{
    const struct str_pair own[] = {
        { STR("beta.kubernetes.io/arch"), info->architecture },
        { STR("beta.kubernetes.io/os"), STR("linux") },
        { STR("kubernetes.io/arch"), info->architecture },
        { STR("kubernetes.io/hostname"), kubelet->options.node_name },
        { STR("kubernetes.io/os"), STR("linux") },
    };
    size_t count = ARRAY_LEN(own) + kubelet->options.label_count;
    struct str_pair *pairs = arena_array_of(arena, count, struct str_pair);

    if (!pairs)
        return -1;
    memcpy(pairs, own, sizeof own);
    for (size_t i = 0; i < kubelet->options.label_count; i++)
        pairs[ARRAY_LEN(own) + i] = kubelet->options.labels[i];
    qsort(pairs, count, sizeof *pairs, compare_pairs);
    *ret_labels = (struct str_map){ pairs, count };
    return 0;
}

static int create_node(struct kubelet *kubelet, struct arena *arena, struct err *err)
{
    struct node *node = arena_new_of(arena, struct node);

    if (!node)
        return err_set(err, ERR_NO_MEMORY, "node");
    node->metadata.name = kubelet->options.node_name;
    fill_status(kubelet, arena, NULL, &node->status);
    if (make_labels(kubelet, arena, &node->status.node_info, &node->metadata.labels) < 0)
        return err_set(err, ERR_NO_MEMORY, "node");
    int code = client_create(kubelet->options.client, &RESOURCE_NODES, STR_NULL, node, STR("kubelet: register node"), 0,
                             NULL, err);

    return code == -ERR_ALREADY_EXISTS ? 0 : code;
}

static bool shows_ready(const struct node *node)
{
    for (size_t i = 0; i < node->status.conditions.count; i++) {
        const struct node_condition *condition = &node->status.conditions.items[i];

        if (str_is(condition->type, "Ready"))
            return str_is(condition->status, "True");
    }
    return false;
}

/* corrects: only if the node is shown as lost. */
static int write_status(struct kubelet *kubelet, bool corrects, struct err *err)
{
    AUTO(arena) arena = arena_new(0);
    AUTO(object) object = NULL;
    struct node_status *status = arena ? arena_new_of(arena, struct node_status) : NULL;
    struct buf text = BUF_INIT;
    int code = status ? client_get(kubelet->options.client, &RESOURCE_NODES, STR_NULL, kubelet->options.node_name,
                                   &object, err)
                      : err_set(err, ERR_NO_MEMORY, "node status");

    if (code < 0 || (corrects && shows_ready(OBJECT_VIEW(object, node))))
        return code;
    fill_status(kubelet, arena, OBJECT_VIEW(object, node), status);
    buf_add_cstr(&text, "{\"status\":");
    code = view_write(&text, &TYPE_NODE_STATUS, status, err);
    buf_add_char(&text, '}');
    if (code == 0)
        code = buf_ok(&text) ? client_patch(kubelet->options.client, &RESOURCE_NODES, STR_NULL,
                                            kubelet->options.node_name, STR("status"), PATCH_STRATEGIC, buf_str(&text),
                                            STR("kubelet: node status"), 0, NULL, err)
                             : err_set(err, ERR_NO_MEMORY, "node status");
    buf_deinit(&text);
    return code;
}

int node_register(struct kubelet *kubelet, nsec_t timeout, struct err *err)
{
    nsec_t deadline = clock_now(kubelet->options.clock) + timeout;
    struct timespec pause = { .tv_nsec = 10 * NSEC_PER_MSEC };

    for (;;) {
        AUTO(arena) arena = arena_new(0);
        int code = arena ? create_node(kubelet, arena, err) : err_set(err, ERR_NO_MEMORY, "node");

        if (code == 0)
            code = write_status(kubelet, false, err);
        if (code == 0 || clock_now(kubelet->options.clock) >= deadline)
            return code < 0 ? err_wrap(err, code, "registering node " STR_FMT, STR_ARG(kubelet->options.node_name)) : 0;
        nanosleep(&pause, NULL);
        if (pause.tv_nsec < 500 * NSEC_PER_MSEC)
            pause.tv_nsec *= 2;
    }
}

int node_pod_cidr(struct kubelet *kubelet, struct arena *arena, struct str *ret_cidr, struct err *err)
{
    AUTO(object) object = NULL;
    int code = client_get(kubelet->options.client, &RESOURCE_NODES, STR_NULL, kubelet->options.node_name, &object, err);

    if (code < 0)
        return code;
    struct str cidr = OBJECT_VIEW(object, node)->spec.pod_cidr;

    if (!cidr.len)
        return err_set(err, ERR_NOT_FOUND, "node " STR_FMT " has no pod range yet",
                       STR_ARG(kubelet->options.node_name));
    *ret_cidr = arena_str(arena, cidr);
    return ret_cidr->data ? 0 : err_set(err, ERR_NO_MEMORY, "node");
}

/* -- reporter -- */

struct node_reporter {
    struct kubelet *kubelet;
    struct mutex lock;
    struct executor_timer *timer;
    bool stopping, silent;
    unsigned beats;
    nsec_t heard; /* when the last heartbeat that arrived was sent; 0: none yet */
    struct client_talk *talk; /* the stream of heartbeats; NULL: none. beat()'s own */
};

static int begin_talk(struct node_reporter *reporter, struct err *err)
{
    /* The session is no resource of the tables: its row here is all that the client needs to find the path. */
    static const struct resource sessions = { .group = STR_INIT("caravel.io"),
                                              .version = STR_INIT("v1"),
                                              .plural = STR_INIT("nodes"),
                                              .kind = STR_INIT("Node") };
    const struct client_call call = { .resource = &sessions,
                                      .name = reporter->kubelet->options.node_name,
                                      .subresource = STR("heartbeat") };
    struct client *client = reporter->kubelet->options.client;

    return client->ops->talk(client, &call, &reporter->talk, err);
}

/* One word on the stream, and the answer to it. A stream that ended gets a successor at once: the server may only have
 * been started again. */
static int heartbeat(struct node_reporter *reporter, struct err *err)
{
    int code = 0;

    for (int attempt = 0; attempt < 2; attempt++) {
        bool old = reporter->talk != NULL;

        if (!old && (code = begin_talk(reporter, err)) < 0)
            return code;
        code = reporter->talk->say(reporter->talk, STR("{}"), ANSWER_MAX_WAIT, err);
        if (code == 0)
            return 0;
        reporter->talk = reporter->talk->free(reporter->talk);
        if (!old)
            break;
    }
    return code;
}

static int renew_lease(struct kubelet *kubelet, struct err *err)
{
    char patch[512], now[API_TIME_LEN];
    struct str ns = STR("kube-node-lease"), name = kubelet->options.node_name;

    api_micro_time_text(clock_wall(kubelet->options.clock), now);
    snprintf(patch, sizeof patch,
             "{\"spec\":{\"holderIdentity\":\"" STR_FMT "\",\"leaseDurationSeconds\":40,\"renewTime\":\"%s\"}}",
             STR_ARG(name), now);
    int code = client_patch(kubelet->options.client, &RESOURCE_COORDINATION_K8S_IO_LEASES, ns, name, STR_NULL,
                            PATCH_MERGE, str_from(patch), STR("kubelet: renew lease"), 0, NULL, err);

    if (code != -ERR_NOT_FOUND)
        return code;
    struct lease lease = { .metadata = { .name = name, .namespace = ns } };
    struct lease_spec spec = { .holder_identity = name,
                               .lease_duration_seconds = { true, 40 },
                               .renew_time = { true, clock_wall(kubelet->options.clock) } };

    lease.spec = spec;
    return client_create(kubelet->options.client, &RESOURCE_COORDINATION_K8S_IO_LEASES, ns, &lease,
                         STR("kubelet: create lease"), 0, NULL, err);
}

static void beat(void *arg);

static void beat_later(struct node_reporter *reporter)
{
    struct err err;

    LOCKED(&reporter->lock);
    if (reporter->stopping)
        return; /* node_reporter_free() has the handle, and waits */
    executor_cancel(reporter->kubelet->options.executor, TAKE(reporter->timer));
    if (executor_post_after(reporter->kubelet->options.executor, HEARTBEAT, beat, reporter, &reporter->timer, &err) < 0)
        log_error("kubelet", "heartbeats have stopped: %s", err.message);
}

/* Keeps its own handle until it is over, or it would not be waited for. */
static void beat(void *arg)
{
    struct node_reporter *reporter = arg;
    struct err err = { 0 };

    mutex_lock(&reporter->lock);
    bool stopping = reporter->stopping;
    mutex_unlock(&reporter->lock);
    if (stopping)
        return;
    reporter->beats++;
    nsec_t sent = clock_now(reporter->kubelet->options.clock);
    int code = heartbeat(reporter, &err);
    bool gap = !reporter->heard || clock_now(reporter->kubelet->options.clock) - reporter->heard > GAP_MAX;

    if (code == 0)
        reporter->heard = sent;
    if (code == 0 && reporter->beats % LEASE_EVERY == 1)
        code = renew_lease(reporter->kubelet, &err);
    bool due = reporter->silent || gap || reporter->beats % STATUS_EVERY == 0;
    /* The leader hears of this node by way of the server that does: it may have missed what arrived there. */
    if (code == 0 && (due || reporter->beats % LEASE_EVERY == LOOK_AT))
        code = write_status(reporter->kubelet, !due, &err);
    if (code == -ERR_NOT_FOUND)
        code = node_register(reporter->kubelet, 0, &err); /* somebody deleted the node */
    if ((code < 0) != reporter->silent)
        log_warn("kubelet", code < 0 ? "the API does not hear this node: %s" : "the API hears this node again%s",
                 code < 0 ? err.message : "");
    reporter->silent = code < 0;
    beat_later(reporter);
}

int node_reporter_new(struct kubelet *kubelet, struct node_reporter **ret_reporter, struct err *err)
{
    struct node_reporter *reporter = calloc(1, sizeof *reporter);

    if (!reporter)
        return err_set(err, ERR_NO_MEMORY, "node reporter");
    reporter->kubelet = kubelet;
    mutex_init(&reporter->lock);
    int code = executor_post_after(kubelet->options.executor, 0, beat, reporter, &reporter->timer, err);

    if (code < 0) {
        mutex_deinit(&reporter->lock);
        free(reporter);
        return code;
    }
    *ret_reporter = reporter;
    return 0;
}

struct node_reporter *node_reporter_free(struct node_reporter *reporter)
{
    if (!reporter)
        return NULL;
    for (;;) {
        mutex_lock(&reporter->lock);
        reporter->stopping = true;
        struct executor_timer *timer = TAKE(reporter->timer);
        mutex_unlock(&reporter->lock);
        if (!timer)
            break;
        executor_cancel_wait(reporter->kubelet->options.executor, timer);
    }
    if (reporter->talk)
        reporter->talk->free(reporter->talk);
    mutex_deinit(&reporter->lock);
    free(reporter);
    return NULL;
}
