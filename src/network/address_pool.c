/* address_pool.c - addresses of the node's range.
 *
 * In memory a table by offset and a map by pod; on disk a file per address, so that a crash at any moment leaves each
 * address either taken by exactly one pod or free. The search goes on where the last one ended: an address that was
 * just given up rests as long as possible, and connections to its old owner end before it means somebody else. */
#include "network/address_pool.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"

#define LEASE_FILE_MAX ((size_t)256 << 10)

static const char *const protocols[] = { [PORT_TCP] = "tcp", [PORT_UDP] = "udp", [PORT_SCTP] = "sctp" };

int cidr_parse(const char *text, uint32_t *ret_network, unsigned *ret_prefix_len, struct err *err)
{
    struct str prefix = str_from(text), host;
    char address[INET_ADDRSTRLEN];
    struct in_addr ip;
    uint64_t bits;

    if (!text || !str_split(&prefix, '/', &host) || !prefix.data || host.len >= sizeof address ||
        !str_to_u64(prefix, &bits) || bits < 8 || bits > 30)
        return err_set(err, ERR_INVALID, "\"%s\" is not an IPv4 range between /8 and /30", text ? text : "");
    memcpy(address, host.data, host.len);
    address[host.len] = 0;
    if (inet_pton(AF_INET, address, &ip) != 1)
        return err_set(err, ERR_INVALID, "\"%s\" is not an IPv4 range", text);
    uint32_t network = ntohl(ip.s_addr);
    if (network & (UINT32_MAX >> bits))
        return err_set(err, ERR_INVALID, "\"%s\" has bits set beyond its prefix", text);
    *ret_network = network;
    *ret_prefix_len = (unsigned)bits;
    return 0;
}

static struct address_lease *lease_free(struct address_lease *lease)
{
    if (lease)
        free(lease->ports);
    free(lease);
    return NULL;
}
DEFINE_AUTO(address_lease, lease_free)

static void lease_path(const struct address_pool *pool, struct in_addr ip, char *out, size_t size)
{
    char text[INET_ADDRSTRLEN];

    inet_ntop(AF_INET, &ip, text, sizeof text);
    snprintf(out, size, "%s/%s", pool->dir, text);
}

/* "tcp 0.0.0.0 8080 80" */
static bool parse_port(struct str line, struct port_mapping *port)
{
    struct str protocol, ip, host, container;
    char address[INET_ADDRSTRLEN];
    uint64_t host_port, container_port;

    if (!str_split(&line, ' ', &protocol) || !str_split(&line, ' ', &ip) || !str_split(&line, ' ', &host) ||
        !str_split(&line, ' ', &container) || ip.len >= sizeof address || !str_to_u64(host, &host_port) ||
        !str_to_u64(container, &container_port) || host_port > 65535 || container_port > 65535)
        return false;
    memcpy(address, ip.data, ip.len);
    address[ip.len] = 0;
    if (inet_pton(AF_INET, address, &port->host_ip) != 1)
        return false;
    port->host_port = (uint16_t)host_port;
    port->container_port = (uint16_t)container_port;
    for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
        if (str_is(protocol, protocols[i])) {
            port->protocol = (enum port_protocol)i;
            return true;
        }
    return false;
}

/* A whole file ends in a line "end": what has none was torn. */
static bool parse_lease(struct str text, struct address_lease *lease)
{
    struct str line, word;

    if (!str_split(&text, '\n', &line) || !str_split(&line, ' ', &word) || !str_is(word, "pod") ||
        line.len == 0 || line.len > POD_UID_MAX)
        return false;
    memcpy(lease->pod_uid, line.data, line.len);
    while (str_split(&text, '\n', &line)) {
        if (str_is(line, "end"))
            return true;
        struct port_mapping *more = realloc(lease->ports, (lease->port_count + 1) * sizeof *more);
        if (!more)
            return false;
        lease->ports = more;
        if (!parse_port(line, &lease->ports[lease->port_count]))
            return false;
        lease->port_count++;
    }
    return false;
}

static void write_lease(struct buf *buf, const struct address_lease *lease)
{
    char ip[INET_ADDRSTRLEN];

    buf_printf(buf, "pod %s\n", lease->pod_uid);
    for (size_t i = 0; i < lease->port_count; i++) {
        const struct port_mapping *port = &lease->ports[i];

        inet_ntop(AF_INET, &port->host_ip, ip, sizeof ip);
        buf_printf(buf, "%s %s %u %u\n", protocols[port->protocol], ip, port->host_port, port->container_port);
    }
    buf_add_cstr(buf, "end\n");
}

static int enter(struct address_pool *pool, struct address_lease *lease, struct err *err)
{
    if (map_put(&pool->by_pod, str_from(lease->pod_uid), lease, NULL) < 0)
        return err_set(err, ERR_NO_MEMORY, "address table");
    pool->leases[ntohl(lease->ip.s_addr) - pool->network] = lease;
    return 0;
}

/* Files of another range (the node's was changed) and torn ones go. */
static int load_one(struct address_pool *pool, const char *name, struct err *err)
{
    AUTO(address_lease) lease = calloc(1, sizeof *lease);
    AUTO_DEINIT(buf, text) = BUF_INIT;
    char path[1100];

    if (!lease)
        return err_set(err, ERR_NO_MEMORY, "address table");
    if (inet_pton(AF_INET, name, &lease->ip) != 1)
        return 0; /* not ours */
    snprintf(path, sizeof path, "%s/%s", pool->dir, name);
    uint32_t offset = ntohl(lease->ip.s_addr) - pool->network;
    if (offset < pool->size && file_read(path, LEASE_FILE_MAX, &text, NULL) == 0 &&
        parse_lease(buf_str(&text), lease) && !address_pool_find(pool, str_from(lease->pod_uid)))
        return enter(pool, TAKE(lease), err);
    if (unlink(path) < 0 && errno != ENOENT)
        return err_errno(err, errno, "removing %s", path);
    return 0;
}

int address_pool_init(struct address_pool *pool, const char *dir, uint32_t network, unsigned prefix_len,
                      struct err *err)
{
    struct dirent *item;

    *pool = (struct address_pool){ .network = network, .prefix_len = prefix_len, .size = 1U << (32 - prefix_len) };
    map_init(&pool->by_pod);
    if (snprintf(pool->dir, sizeof pool->dir, "%s", dir) >= (int)sizeof pool->dir)
        return err_set(err, ERR_INVALID, "path too long: %s", dir);
    pool->next = 2;
    pool->leases = calloc(pool->size, sizeof *pool->leases);
    if (!pool->leases)
        return err_set(err, ERR_NO_MEMORY, "address table");
    int r = file_make_dirs(dir, 0700, err);
    if (r < 0)
        return r;
    DIR *folder = opendir(dir);
    if (!folder)
        return err_errno(err, errno, "reading %s", dir);
    while (r == 0 && (item = readdir(folder)))
        if (item->d_name[0] != '.')
            r = load_one(pool, item->d_name, err);
    closedir(folder);
    return r;
}

void address_pool_deinit(struct address_pool *pool)
{
    for (uint32_t i = 0; pool->leases && i < pool->size; i++)
        lease_free(pool->leases[i]);
    free(pool->leases);
    map_deinit(&pool->by_pod);
    *pool = (struct address_pool){ 0 };
}

struct address_lease *address_pool_find(struct address_pool *pool, struct str pod_uid)
{
    return map_get(&pool->by_pod, pod_uid);
}

struct in_addr address_pool_gateway(const struct address_pool *pool)
{
    return (struct in_addr){ htonl(pool->network + 1) };
}

static int write_file(int fd, struct str text)
{
    for (size_t done = 0; done < text.len;) {
        ssize_t n = write(fd, text.data + done, text.len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        done += (size_t)n;
    }
    return 0;
}

/* False in *ret_taken: a file is there that we do not know of, so the address is not ours to give. */
static int claim(struct address_pool *pool, struct address_lease *lease, bool *ret_taken, struct err *err)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    char path[1100];

    lease_path(pool, lease->ip, path, sizeof path);
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST) {
        *ret_taken = false;
        return 0;
    }
    if (fd < 0)
        return err_errno(err, errno, "creating %s", path);
    write_lease(&text, lease);
    if (!buf_ok(&text) || write_file(fd, buf_str(&text)) < 0) {
        int r = buf_ok(&text) ? err_errno(err, errno, "writing %s", path) : err_set(err, ERR_NO_MEMORY, "address");
        unlink(path);
        return r;
    }
    *ret_taken = true;
    return 0;
}

static struct address_lease *lease_new(struct str pod_uid, const struct port_mapping *ports, size_t port_count)
{
    AUTO(address_lease) lease = calloc(1, sizeof *lease);

    if (!lease)
        return NULL;
    memcpy(lease->pod_uid, pod_uid.data, pod_uid.len);
    if (port_count) {
        lease->ports = calloc(port_count, sizeof *ports);
        if (!lease->ports)
            return NULL;
        memcpy(lease->ports, ports, port_count * sizeof *ports);
        lease->port_count = port_count;
    }
    return TAKE(lease);
}

int address_pool_take(struct address_pool *pool, struct str pod_uid, const struct port_mapping *ports,
                      size_t port_count, struct address_lease **ret_lease, struct err *err)
{
    struct address_lease *known = address_pool_find(pool, pod_uid);

    if (known) {
        *ret_lease = known;
        return 0;
    }
    if (pod_uid.len == 0 || pod_uid.len > POD_UID_MAX || memchr(pod_uid.data, '\n', pod_uid.len) ||
        memchr(pod_uid.data, 0, pod_uid.len))
        return err_set(err, ERR_INVALID, "\"" STR_FMT "\" is not the UID of a pod", STR_ARG(str_first(pod_uid, 64)));
    AUTO(address_lease) lease = lease_new(pod_uid, ports, port_count);
    if (!lease)
        return err_set(err, ERR_NO_MEMORY, "address");
    /* Without the network's, the node's and the broadcast address. */
    for (uint32_t tried = 0; tried < pool->size; tried++) {
        uint32_t offset = pool->next;
        bool taken = false;

        pool->next = offset + 2 < pool->size ? offset + 1 : 2;
        if (offset < 2 || offset + 1 >= pool->size || pool->leases[offset])
            continue;
        lease->ip.s_addr = htonl(pool->network + offset);
        int r = claim(pool, lease, &taken, err);
        if (r < 0)
            return r;
        if (!taken)
            continue;
        r = enter(pool, lease, err);
        if (r < 0) {
            char path[1100];

            lease_path(pool, lease->ip, path, sizeof path);
            unlink(path);
            return r;
        }
        *ret_lease = TAKE(lease);
        return 0;
    }
    return err_set(err, ERR_NO_SPACE, "all %u addresses of the node are taken", pool->size - 3);
}

int address_pool_give(struct address_pool *pool, struct address_lease *lease, struct err *err)
{
    char path[1100];

    lease_path(pool, lease->ip, path, sizeof path);
    if (unlink(path) < 0 && errno != ENOENT)
        return err_errno(err, errno, "removing %s", path);
    map_remove(&pool->by_pod, str_from(lease->pod_uid));
    pool->leases[ntohl(lease->ip.s_addr) - pool->network] = NULL;
    lease_free(lease);
    return 0;
}
