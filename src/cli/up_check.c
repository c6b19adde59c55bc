#include "cli/up_check.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "network/address_pool.h"

#define DEFAULT_SERVICE_CIDR "10.96.0.0/12"

static bool in_path(const char *program)
{
    const char *path = getenv("PATH");
    struct str rest = str_from(path ? path : "/usr/bin:/bin"), folder;
    char candidate[512];

    while (str_split(&rest, ':', &folder)) {
        snprintf(candidate, sizeof candidate, STR_FMT "/%s", STR_ARG(folder), program);
        if (access(candidate, X_OK) == 0)
            return true;
    }
    return false;
}

int check_machine(struct err *err)
{
    static const char *const programs[] = { "crun", "conmon" };

    if (geteuid() != 0)
        return err_set(err, ERR_FORBIDDEN, "running containers needs root");
    for (size_t i = 0; i < ARRAY_LEN(programs); i++)
        if (!in_path(programs[i]))
            return err_set(err, ERR_NOT_FOUND, "%s is missing; on Debian: apt-get install %s", programs[i],
                           programs[i]);
    return 0;
}

int check_listen_host(const struct listen_address *address, struct err *err)
{
    struct in_addr ip;

    return inet_pton(AF_INET, address->host, &ip) == 1
               ? 0
               : err_set(err, ERR_BAD_REQUEST, "--listen %s: not an IPv4 address", address->host);
}

/* What the API takes as a node's name; capitals are made small before they get there. */
static bool node_name_is_good(const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || len > NODE_NAME_MAX || !isalnum((unsigned char)name[0]) || !isalnum((unsigned char)name[len - 1]))
        return false;
    for (const char *p = name; *p; p++)
        if (!isalnum((unsigned char)*p) && *p != '-' && (*p != '.' || p[1] == '.' || p[1] == '-' || p[-1] == '-'))
            return false;
    return true;
}

int check_node(const char *name, const char *ip, struct err *err)
{
    struct in_addr address;

    if (!node_name_is_good(name))
        return err_set(err, ERR_BAD_REQUEST,
                       "--node-name %s: a name is 1 to %d of letters, digits, '-' and '.', beginning "
                       "and ending with a letter or digit",
                       name, NODE_NAME_MAX);
    if (inet_pton(AF_INET, ip, &address) != 1)
        return err_set(err, ERR_BAD_REQUEST, "--node-ip %s: not an IPv4 address", ip);
    return 0;
}

int check_ranges(const char *pods, const char *services, struct err *err)
{
    uint32_t pod_network, service_network;
    unsigned pod_bits, service_bits;
    int code = cidr_parse(pods, &pod_network, &pod_bits, err);

    if (code < 0)
        return err_wrap(err, code, "--pod-cidr");
    if ((code = cidr_parse(services ? services : DEFAULT_SERVICE_CIDR, &service_network, &service_bits, err)) < 0)
        return err_wrap(err, code, "--service-cidr");
    unsigned shorter = MIN(pod_bits, service_bits);

    if ((pod_network ^ service_network) >> (32 - shorter) == 0)
        return err_set(err, ERR_BAD_REQUEST, "--pod-cidr %s and --service-cidr %s overlap", pods,
                       services ? services : DEFAULT_SERVICE_CIDR);
    return 0;
}

const char *api_service_ip(const char *services, char out[INET_ADDRSTRLEN])
{
    struct in_addr ip = { 0 };
    uint32_t network;
    unsigned bits;

    if (cidr_parse(services ? services : DEFAULT_SERVICE_CIDR, &network, &bits, NULL) == 0)
        ip.s_addr = htonl(network + 1);
    return inet_ntop(AF_INET, &ip, out, INET_ADDRSTRLEN);
}

int check_port(const struct listen_address *address, struct err *err)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)address->port) };
    AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int yes = 1;

    inet_pton(AF_INET, address->host, &in.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&in, sizeof in) < 0)
        return err_set(err, ERR_CONFLICT, "--listen %s:%d: %s", address->host, address->port,
                       errno == EADDRINUSE ? "the port is in use by another program" : strerror(errno));
    return 0;
}
