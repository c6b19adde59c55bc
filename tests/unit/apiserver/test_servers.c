/* The endpoints of the service kubernetes: the servers of the cluster. */
#include "fixture.h"

#include "apiserver/servers.h"

#define SLICES "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"

static const char *subsets(struct fixture *f)
{
    struct answer answer = must(f, 200, "GET", "/api/v1/namespaces/default/endpoints/kubernetes", NULL);

    return arena_cstr(f->arena, json_text(f->arena, json_member(answer.json, "subsets")));
}

/* "name=address,address name=..." */
static const char *slices(struct fixture *f)
{
    struct answer answer = must(f, 200, "GET", SLICES, NULL);
    const struct json *items = json_member(answer.json, "items");
    struct buf text = BUF_INIT;

    for (uint32_t i = 0; i < items->count; i++) {
        const struct json *endpoints = json_at(&items->items[i], "endpoints");

        buf_printf(&text, "%s" STR_FMT "=", i ? " " : "", STR_ARG(json_str_at(&items->items[i], "metadata.name")));
        for (uint32_t k = 0; k < endpoints->count; k++)
            buf_printf(&text, "%s" STR_FMT, k ? "," : "",
                       STR_ARG(json_str(&json_member(&endpoints->items[k], "addresses")->items[0])));
    }
    const char *copy = arena_cstr(f->arena, buf_str(&text));

    buf_deinit(&text);
    return copy;
}

static void written(void **state)
{
    static const struct {
        const char *addresses[5];
        const char *slices, *subsets;
    } cases[] = {
        { { "10.0.0.1:6443" },
          "kubernetes=10.0.0.1",
          "[{'addresses':[{'ip':'10.0.0.1'}],'ports':[{'name':'https','port':6443,'protocol':'TCP'}]}]" },
        { { "10.0.0.2:6443", "host:6443", "10.0.0.1:6443", "10.0.0.1" },
          "kubernetes=10.0.0.1,10.0.0.2",
          "[{'addresses':[{'ip':'10.0.0.1'},{'ip':'10.0.0.2'}],'ports':[{'name':'https','port':6443,'protocol':'TCP'}]}]" },
        { { "10.0.0.1:7000", "10.0.0.2:6443", "[fd00::1]:6443" },
          "kubernetes=10.0.0.2 kubernetes-4-7000=10.0.0.1 kubernetes-6-6443=fd00::1", NULL },
        { { "host:6443", ":1", "10.0.0.1:0", "10.0.0.1:65536" }, /* nothing good: all stays */
          "kubernetes=10.0.0.2 kubernetes-4-7000=10.0.0.1 kubernetes-6-6443=fd00::1", NULL },
        { { "[fd00::1]:6443" }, "kubernetes=fd00::1", NULL },
        { { "10.0.0.3:6443" },
          "kubernetes=10.0.0.3",
          "[{'addresses':[{'ip':'10.0.0.3'}],'ports':[{'name':'https','port':6443,'protocol':'TCP'}]}]" },
    };
    struct fixture f;

    fixture_init(&f);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str addresses[5];
        struct err err = { 0 };
        size_t count = 0;

        while (count < 5 && cases[i].addresses[count]) {
            addresses[count] = str_from(cases[i].addresses[count]);
            count++;
        }
        if (servers_write(f.client, addresses, count, &err) < 0)
            fail_msg("case %zu: %s", i, err.message);
        assert_string_equal(slices(&f), cases[i].slices);
        if (cases[i].subsets)
            assert_string_equal(subsets(&f), quoted(f.arena, cases[i].subsets).data);
    }
    fixture_deinit(&f);
}

static void heard(void **state)
{
    struct peers peers = { 0 };
    char address[32], longest[SERVER_ADDRESS_MAX + 1];

    mutex_init(&peers.lock);
    memset(longest, 'x', sizeof longest);
    peers_heard(&peers, STR(""), 1);
    peers_heard(&peers, str_of(longest, SERVER_ADDRESS_MAX), 1);
    assert_int_equal(peers.count, 0);
    for (int i = 0; i < SERVERS_MAX; i++) {
        snprintf(address, sizeof address, "10.0.0.%d:6443", i);
        peers_heard(&peers, str_from(address), 10 + i);
    }
    peers_heard(&peers, STR("10.0.0.0:6443"), 100);
    assert_int_equal(peers.count, SERVERS_MAX);
    peers_heard(&peers, STR("new:1"), 101); /* in place of the one that was silent longest */
    assert_int_equal(peers.count, SERVERS_MAX);
    assert_string_equal(peers.items[0].address, "10.0.0.0:6443");
    assert_string_equal(peers.items[1].address, "new:1");
    mutex_deinit(&peers.lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written),
        cmocka_unit_test(heard),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
