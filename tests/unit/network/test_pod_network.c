/* Real links, namespaces and nft tables, so this test needs root. All it makes on the host carries the test's process
 * number and is removed by the teardown, which runs after a failure too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"
#include "network/address_pool.h"
#include "network/pod_network.h"

#define WAIT_MS 5000

static struct fixture {
    char dir[64], state[80], instance[32], cidr[32], ns[3][96];
    struct pod_network_options options;
    struct pod_network *network;
} fx;

/* Namespaces bound to files, as sandboxes have them. */
static void *make_netns(void *path)
{
    int fd = open(path, O_CREAT | O_RDONLY | O_CLOEXEC, 0444);

    if (fd >= 0)
        close(fd);
    return (void *)(intptr_t)(unshare(CLONE_NEWNET) == 0 &&
                              mount("/proc/thread-self/ns/net", path, NULL, MS_BIND, NULL) == 0);
}

static bool in_thread(void *(*fn)(void *), void *arg)
{
    pthread_t thread;
    void *result = NULL;

    return pthread_create(&thread, NULL, fn, arg) == 0 && pthread_join(thread, &result) == 0 && result;
}

static int teardown(void **state)
{
    fx.network = pod_network_free(fx.network);
    int r = pod_network_purge(&fx.options, NULL);
    for (int i = 0; i < 3; i++)
        umount2(fx.ns[i], MNT_DETACH);
    return file_remove_tree(fx.dir, NULL) < 0 ? -1 : r;
}

static int prepare(void)
{
    int pid = (int)getpid();

    fx = (struct fixture){ 0 };
    snprintf(fx.dir, sizeof fx.dir, "/tmp/pod-network-%d", pid);
    snprintf(fx.state, sizeof fx.state, "/tmp/pod-network-%d/state", pid);
    snprintf(fx.instance, sizeof fx.instance, "t%d", pid);
    snprintf(fx.cidr, sizeof fx.cidr, "10.%d.%d.0/24", 200 + pid / 256 % 50, pid % 256);
    if (mkdir(fx.dir, 0700) < 0)
        return -1;
    for (int i = 0; i < 3; i++) {
        snprintf(fx.ns[i], sizeof fx.ns[i], "/tmp/pod-network-%d/ns%d", pid, i);
        if (!in_thread(make_netns, fx.ns[i]))
            return -1;
    }
    fx.options = (struct pod_network_options){ .instance = fx.instance, .state_dir = fx.state, .pod_cidr = fx.cidr };
    return pod_network_new(&fx.options, &fx.network, NULL);
}

/* Nobody tears down what a failed setup left. */
static int setup(void **state)
{
    int r = prepare();

    if (r < 0)
        teardown(state);
    return r;
}

static struct pod_address attach(const char *uid, int ns, const struct port_mapping *ports, size_t count)
{
    struct pod_address address = { 0 };
    struct err err = { 0 };

    if (pod_network_attach(fx.network, str_from(uid), fx.ns[ns], ports, count, &address, &err) < 0)
        fail_msg("%s", err.message);
    return address;
}

/* Talking: a server in one namespace answers with the address it saw, a client in another reads it. */
struct talk {
    const char *netns; /* NULL: the host's */
    struct in_addr ip;
    uint16_t port;
    int listener;
    struct in_addr peer; /* whom the server saw */
    bool ok;
};

static bool enter(const char *netns)
{
    if (!netns)
        return true;
    int fd = open(netns, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && setns(fd, CLONE_NEWNET) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

static void *listen_main(void *arg)
{
    struct talk *talk = arg;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(talk->port) };

    if (!enter(talk->netns))
        return NULL;
    talk->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    talk->ok = bind(talk->listener, (struct sockaddr *)&address, sizeof address) == 0 &&
               listen(talk->listener, 8) == 0;
    return talk;
}

static bool wait_for(int fd, short events)
{
    struct pollfd poll_fd = { .fd = fd, .events = events };

    return poll(&poll_fd, 1, WAIT_MS) == 1;
}

static void *connect_main(void *arg)
{
    struct talk *talk = arg;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(talk->port), .sin_addr = talk->ip };
    int error = 0;
    socklen_t len = sizeof error;

    if (!enter(talk->netns))
        return NULL;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    talk->ok = (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == EINPROGRESS) &&
               wait_for(fd, POLLOUT) && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0;
    close(fd);
    return talk;
}

/* True when a connection from one namespace to that address reaches the listener; *ret_peer: as whom. */
static bool reaches(const char *from, struct in_addr to, uint16_t port, int listener, struct in_addr *ret_peer)
{
    struct talk client = { .netns = from, .ip = to, .port = port };
    struct sockaddr_in peer;
    socklen_t len = sizeof peer;

    if (!in_thread(connect_main, &client) || !client.ok || !wait_for(listener, POLLIN))
        return false;
    int fd = accept(listener, (struct sockaddr *)&peer, &len);
    if (fd < 0)
        return false;
    close(fd);
    *ret_peer = peer.sin_addr;
    return true;
}

static int listen_in(const char *netns, uint16_t port)
{
    struct talk server = { .netns = netns, .port = port, .listener = -1 };

    assert_true(in_thread(listen_main, &server) && server.ok);
    return server.listener;
}

static void *ping_main(void *arg)
{
    struct talk *talk = arg;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = talk->ip };
    struct icmphdr echo = { .type = ICMP_ECHO, .un.echo = { .id = 7, .sequence = 1 } };
    unsigned char answer[256];

    if (!enter(talk->netns))
        return NULL;
    int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
    const uint16_t *words = (const uint16_t *)&echo;
    uint32_t sum = words[0] + words[1] + words[2] + words[3];
    echo.checksum = (uint16_t)~((sum & 0xffff) + (sum >> 16));
    if (fd >= 0 && sendto(fd, &echo, sizeof echo, 0, (struct sockaddr *)&address, sizeof address) == sizeof echo)
        while (!talk->ok && wait_for(fd, POLLIN)) {
            ssize_t n = recv(fd, answer, sizeof answer, 0);
            talk->ok = n >= 28 && answer[20] == ICMP_ECHOREPLY && memcmp(answer + 12, &talk->ip, 4) == 0;
        }
    close(fd);
    return talk;
}

static bool ping(const char *from, struct in_addr to)
{
    struct talk talk = { .netns = from, .ip = to };

    return in_thread(ping_main, &talk) && talk.ok;
}

static void test_pods_reach_each_other_and_the_node(void **state)
{
    struct in_addr peer;
    struct pod_address a = attach("pod-a", 0, NULL, 0), b = attach("pod-b", 1, NULL, 0);
    int on_a = listen_in(fx.ns[0], 8080), on_host = listen_in(NULL, 18080);

    assert_int_not_equal(a.ip.s_addr, b.ip.s_addr);
    assert_int_equal(a.prefix_len, 32);
    assert_true(ping(NULL, a.ip));
    assert_true(ping(fx.ns[1], a.ip));
    assert_true(ping(fx.ns[0], a.gateway));
    assert_true(reaches(NULL, a.ip, 8080, on_a, &peer));
    assert_int_equal(peer.s_addr, a.gateway.s_addr);
    assert_true(reaches(fx.ns[1], a.ip, 8080, on_a, &peer)); /* neighbours see each other's own addresses */
    assert_int_equal(peer.s_addr, b.ip.s_addr);
    assert_true(reaches(fx.ns[0], a.gateway, 18080, on_host, &peer));
    assert_int_equal(peer.s_addr, a.ip.s_addr);
    close(on_a);
    close(on_host);
}

static void test_attach_again_repairs(void **state)
{
    struct in_addr peer;
    struct pod_address a = attach("pod-a", 0, NULL, 0), again = attach("pod-a", 0, NULL, 0);

    assert_memory_equal(&a, &again, sizeof a);
    /* The same pod in a new sandbox. */
    again = attach("pod-a", 2, NULL, 0);
    assert_memory_equal(&a, &again, sizeof a);
    int listener = listen_in(fx.ns[2], 8080);
    assert_true(reaches(NULL, a.ip, 8080, listener, &peer));
    close(listener);
}

static void test_restart_keeps_addresses(void **state)
{
    struct in_addr peer;
    struct port_mapping port = { PORT_TCP, { 0 }, 28080, 8080 };
    struct pod_address a = attach("pod-a", 0, &port, 1), again;
    AUTO(arena) arena = arena_new(0);
    struct str *uids;
    size_t count;

    fx.network = pod_network_free(fx.network);
    assert_int_equal(pod_network_new(&fx.options, &fx.network, NULL), 0);
    assert_int_equal(pod_network_address(fx.network, STR("pod-a"), &again, NULL), 0);
    assert_int_equal(a.ip.s_addr, again.ip.s_addr);
    assert_int_equal(pod_network_list(fx.network, arena, &uids, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_true(str_is(uids[0], "pod-a"));
    int listener = listen_in(fx.ns[0], 8080);
    assert_true(reaches(NULL, (struct in_addr){ htonl(INADDR_LOOPBACK) }, 28080, listener, &peer));
    assert_int_not_equal(attach("pod-b", 1, NULL, 0).ip.s_addr, a.ip.s_addr);
    close(listener);
}

static void test_host_ports(void **state)
{
    struct port_mapping ports[] = { { PORT_TCP, { 0 }, 38080, 8080 }, { PORT_UDP, { 0 }, 38080, 8080 } };
    struct pod_address a = attach("pod-a", 0, ports, 2), refused;
    struct in_addr peer, loopback = { htonl(INADDR_LOOPBACK) };
    struct err err = { 0 };
    int listener = listen_in(fx.ns[0], 8080);

    attach("pod-b", 1, NULL, 0);
    assert_true(reaches(NULL, a.gateway, 38080, listener, &peer));
    assert_true(reaches(NULL, loopback, 38080, listener, &peer));
    assert_true(reaches(fx.ns[1], a.gateway, 38080, listener, &peer));
    assert_true(reaches(fx.ns[0], a.gateway, 38080, listener, &peer)); /* itself */

    assert_int_equal(pod_network_attach(fx.network, STR("pod-c"), fx.ns[2], ports, 1, &refused, &err), -ERR_CONFLICT);
    assert_int_equal(pod_network_address(fx.network, STR("pod-c"), &refused, NULL), -ERR_NOT_FOUND);

    assert_int_equal(pod_network_detach(fx.network, STR("pod-a"), NULL), 0);
    assert_false(reaches(NULL, a.gateway, 38080, listener, &peer));
    attach("pod-c", 2, ports, 1); /* free again */
    close(listener);
}

static void test_host_port_of_one_address(void **state)
{
    struct port_mapping port = { PORT_TCP, { htonl(INADDR_LOOPBACK) }, 48080, 8080 };
    struct pod_address a = attach("pod-a", 0, &port, 1);
    struct in_addr peer;
    int listener = listen_in(fx.ns[0], 8080);

    assert_true(reaches(NULL, (struct in_addr){ htonl(INADDR_LOOPBACK) }, 48080, listener, &peer));
    assert_false(reaches(NULL, a.gateway, 48080, listener, &peer));
    close(listener);
}

static void test_detach(void **state)
{
    struct pod_address a = attach("pod-a", 0, NULL, 0), gone;
    char path[160], ip[INET_ADDRSTRLEN];

    inet_ntop(AF_INET, &a.ip, ip, sizeof ip);
    snprintf(path, sizeof path, "%s/%s", fx.state, ip);
    assert_true(file_exists(path));
    assert_int_equal(pod_network_detach(fx.network, STR("pod-a"), NULL), 0);
    assert_false(file_exists(path));
    assert_int_equal(pod_network_address(fx.network, STR("pod-a"), &gone, NULL), -ERR_NOT_FOUND);
    assert_false(ping(fx.ns[0], a.gateway));
    assert_int_equal(pod_network_detach(fx.network, STR("pod-a"), NULL), 0);
    assert_int_equal(pod_network_detach(fx.network, STR("never-there"), NULL), 0);
}

static void test_refusals(void **state)
{
    struct pod_address address;
    struct port_mapping zero = { PORT_TCP, { 0 }, 0, 80 };
    struct pod_network_options options = fx.options;
    struct pod_network *network;
    char line[] = "uid\nend";

    assert_true(pod_network_attach(fx.network, STR("pod-a"), "/nonexistent", NULL, 0, &address, NULL) < 0);
    assert_int_equal(pod_network_attach(fx.network, STR("pod-b"), fx.ns[0], &zero, 1, &address, NULL), -ERR_INVALID);
    assert_int_equal(pod_network_attach(fx.network, str_from(line), fx.ns[0], NULL, 0, &address, NULL), -ERR_INVALID);
    assert_int_equal(pod_network_attach(fx.network, STR(""), fx.ns[0], NULL, 0, &address, NULL), -ERR_INVALID);
    options.instance = "other-instance"; /* our range is in use */
    assert_int_equal(pod_network_new(&options, &network, NULL), -ERR_CONFLICT);
    options.instance = "no/name";
    assert_int_equal(pod_network_new(&options, &network, NULL), -ERR_INVALID);
}

static void test_purge_leaves_nothing(void **state)
{
    AUTO_DEINIT(process_result, result) = { 0 };
    char interface[16], table[64];

    attach("pod-a", 0, &(struct port_mapping){ PORT_TCP, { 0 }, 38081, 80 }, 1);
    snprintf(interface, sizeof interface, "%s", pod_network_interface(fx.network));
    fx.network = pod_network_free(fx.network);
    assert_int_equal(pod_network_purge(&fx.options, NULL), 0);
    assert_int_equal(if_nametoindex(interface), 0);
    assert_false(file_exists(fx.state));
    snprintf(table, sizeof table, "pods-%s", fx.instance);
    assert_int_equal(process_run(&(struct process_options){ .argv = (const char *const[]){ "nft", "list", "tables",
                                                                                           NULL } },
                                 &result, NULL), 0);
    assert_int_equal(str_find(buf_str(&result.out), str_from(table)), -1);
    assert_int_equal(pod_network_purge(&fx.options, NULL), 0);
}

static void test_long_instance_name(void **state)
{
    char state_dir[96], instance[48];

    snprintf(state_dir, sizeof state_dir, "%s/long", fx.dir);
    snprintf(instance, sizeof instance, "a-rather-long-name-%d", (int)getpid());
    struct pod_network_options options = { .instance = instance, .state_dir = state_dir, .pod_cidr = "10.199.7.0/24" };
    struct pod_network *network = NULL;
    int r = pod_network_new(&options, &network, NULL);
    size_t len = r == 0 ? strlen(pod_network_interface(network)) : 0;

    pod_network_free(network);
    assert_int_equal(pod_network_purge(&options, NULL), 0);
    assert_int_equal(r, 0);
    assert_in_range(len, 1, POD_NETWORK_INTERFACE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pods_reach_each_other_and_the_node, setup, teardown),
        cmocka_unit_test_setup_teardown(test_attach_again_repairs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_restart_keeps_addresses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_host_ports, setup, teardown),
        cmocka_unit_test_setup_teardown(test_host_port_of_one_address, setup, teardown),
        cmocka_unit_test_setup_teardown(test_detach, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_purge_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_instance_name, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
