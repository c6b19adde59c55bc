#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <unistd.h>

#include "base/file.h"
#include "network/address_pool.h"

static char dir[64];

static int setup(void **state)
{
    snprintf(dir, sizeof dir, "/tmp/address-pool-%d", (int)getpid());
    return file_make_dirs(dir, 0700, NULL);
}

static int teardown(void **state)
{
    return file_remove_tree(dir, NULL);
}

static void put_file(const char *name, const char *text)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(file_write_atomic(path, str_from(text), 0600, NULL), 0);
}

static bool has_file(const char *name)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    return file_exists(path);
}

static void open_pool(struct address_pool *pool)
{
    assert_int_equal(address_pool_init(pool, dir, 0x0a2a0000, 29, NULL), 0);
}

static struct address_lease *take(struct address_pool *pool, const char *uid)
{
    struct address_lease *lease = NULL;

    assert_int_equal(address_pool_take(pool, str_from(uid), NULL, 0, &lease, NULL), 0);
    return lease;
}

static const char *text_of(const struct address_lease *lease)
{
    return inet_ntoa(lease->ip);
}

static void test_cidr(void **state)
{
    static const struct {
        const char *text;
        int result;
        uint32_t network;
        unsigned prefix_len;
    } cases[] = {
        { "10.42.0.0/24", 0, 0x0a2a0000, 24 },
        { "10.0.0.0/8", 0, 0x0a000000, 8 },
        { "192.168.7.4/30", 0, 0xc0a80704, 30 },
        { "10.42.0.1/24", -ERR_INVALID, 0, 0 },
        { "10.42.0.0", -ERR_INVALID, 0, 0 },
        { "10.42.0.0/", -ERR_INVALID, 0, 0 },
        { "10.42.0.0/31", -ERR_INVALID, 0, 0 },
        { "10.42.0.0/7", -ERR_INVALID, 0, 0 },
        { "10.42.0/24", -ERR_INVALID, 0, 0 },
        { "fd00::/64", -ERR_INVALID, 0, 0 },
        { "", -ERR_INVALID, 0, 0 },
        { NULL, -ERR_INVALID, 0, 0 },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint32_t network = 0;
        unsigned prefix_len = 0;

        if (cidr_parse(cases[i].text, &network, &prefix_len, NULL) != cases[i].result ||
            network != cases[i].network || prefix_len != cases[i].prefix_len)
            fail_msg("%s: %x/%u", cases[i].text, network, prefix_len);
    }
}

static void test_takes_in_turn(void **state)
{
    struct address_pool pool;
    struct address_lease *lease;

    open_pool(&pool);
    assert_string_equal(inet_ntoa(address_pool_gateway(&pool)), "10.42.0.1");
    assert_string_equal(text_of(take(&pool, "a")), "10.42.0.2");
    assert_string_equal(text_of(take(&pool, "b")), "10.42.0.3");
    assert_string_equal(text_of(take(&pool, "a")), "10.42.0.2");
    assert_int_equal(address_pool_give(&pool, address_pool_find(&pool, STR("a")), NULL), 0);
    assert_string_equal(text_of(take(&pool, "c")), "10.42.0.4"); /* what was given back rests */
    take(&pool, "d");
    take(&pool, "e");
    assert_string_equal(text_of(take(&pool, "f")), "10.42.0.2");
    assert_int_equal(address_pool_take(&pool, STR("g"), NULL, 0, &lease, NULL), -ERR_NO_SPACE);
    assert_null(address_pool_find(&pool, STR("g")));
    address_pool_deinit(&pool);
}

static void test_comes_back(void **state)
{
    const struct port_mapping ports[] = { { PORT_TCP, { 0 }, 80, 8080 },
                                          { PORT_UDP, { htonl(0x7f000001) }, 53, 5353 } };
    struct address_pool pool;
    struct address_lease *lease;

    open_pool(&pool);
    take(&pool, "a");
    assert_int_equal(address_pool_take(&pool, STR("b"), ports, 2, &lease, NULL), 0);
    address_pool_deinit(&pool);
    open_pool(&pool);
    assert_string_equal(text_of(address_pool_find(&pool, STR("a"))), "10.42.0.2");
    lease = address_pool_find(&pool, STR("b"));
    assert_string_equal(text_of(lease), "10.42.0.3");
    assert_int_equal(lease->port_count, 2);
    assert_memory_equal(lease->ports, ports, sizeof ports);
    assert_string_equal(text_of(take(&pool, "c")), "10.42.0.4");
    address_pool_deinit(&pool);
}

/* What a crash, a power cut or a stranger left. */
static void test_odd_files(void **state)
{
    struct address_pool pool;

    put_file("10.42.0.2", "");
    put_file("10.42.0.3", "pod torn\ntcp 0.0.0.0 80");
    put_file("10.42.0.4", "pod whole\nend\n");
    put_file("10.42.0.5", "pod whole\nend\n"); /* twice the same pod */
    put_file("10.43.0.2", "pod elsewhere\nend\n");
    put_file("10.42.0.6", "pod odd\ntcp 0.0.0.0 80 70000\nend\n");
    put_file("notes.txt", "not ours");
    open_pool(&pool);
    assert_int_equal(pool.by_pod.count, 1);
    assert_non_null(address_pool_find(&pool, STR("whole")));
    assert_true(has_file("10.42.0.4") != has_file("10.42.0.5"));
    assert_false(has_file("10.42.0.2") || has_file("10.42.0.3") || has_file("10.43.0.2") || has_file("10.42.0.6"));
    assert_true(has_file("notes.txt"));
    put_file("10.42.0.2", "pod somebody-else\nend\n"); /* while we run */
    assert_string_not_equal(text_of(take(&pool, "new")), "10.42.0.2");
    address_pool_deinit(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cidr),
        cmocka_unit_test_setup_teardown(test_takes_in_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_odd_files, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
