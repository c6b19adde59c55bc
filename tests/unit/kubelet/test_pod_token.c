/* Tokens for volumes: what is asked for, how long one is kept, and what happens when there is no new one. */
#include "kubelet/pod_token.h"

#include "schema/time.h"
#include "sync.h"

/* An API that gives out numbered tokens. */
struct giver {
    struct client client;
    struct clock *clock;
    int asked;
    nsec_t lasts;
    bool fails;
    char body[1024];
};

static int call(struct client *client, const struct client_call *call, client_item_fn *item, void *item_arg,
                uint64_t *ret_revision, struct blob **ret_body, struct err *err)
{
    struct giver *giver = (struct giver *)client;
    char text[256], time[API_TIME_LEN];

    giver->asked++;
    if (giver->fails)
        return err_set(err, ERR_UNAVAILABLE, "no server");
    assert_int_equal(call->verb, CLIENT_CREATE);
    assert_true(str_is(call->subresource, "token") && str_is(call->ns, "ns") && str_is(call->name, "cook"));
    snprintf(giver->body, sizeof giver->body, STR_FMT, STR_ARG(call->body));
    api_time_text(clock_wall(giver->clock) + giver->lasts, time);
    snprintf(text, sizeof text, "{\"status\":{\"token\":\"t%d\",\"expirationTimestamp\":\"%s\"}}", giver->asked, time);
    *ret_body = blob_copy(str_from(text));
    return *ret_body ? 0 : err_set(err, ERR_NO_MEMORY, "token");
}

static const struct client_ops ops = { .call = call };

static void set_up(struct test_sync *test, struct giver *giver)
{
    test_sync_init(test, "'spec':{'serviceAccountName':'cook'}");
    *giver = (struct giver){ .client = { &ops }, .clock = &test->clock.clock, .lasts = 1000 * NSEC_PER_SEC };
    test->kubelet.options.client = &giver->client;
}

static void must_be(struct test_sync *test, const struct service_account_token_projection *wanted, const char *text)
{
    struct str token;
    struct err err = { 0 };

    assert_int_equal(pod_token_get(&test->sync, wanted, &token, &err), 0);
    assert_string_equal(token.data, text);
}

static void test_kept(void **state)
{
    const struct service_account_token_projection own = { 0 }, other = { .audience = STR("other") };
    struct test_sync test;
    struct giver giver;

    (void)state;
    set_up(&test, &giver);
    must_be(&test, &own, "t1");
    assert_string_equal(giver.body, "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenRequest\",\"spec\":{"
                                    "\"audiences\":[],\"expirationSeconds\":3600,\"boundObjectRef\":{\"kind\":\"Pod\","
                                    "\"apiVersion\":\"v1\",\"name\":\"web\",\"uid\":\"u-1\"}}}");
    must_be(&test, &own, "t1");
    must_be(&test, &other, "t2");
    assert_non_null(strstr(giver.body, "[\"other\"]"));
    test.clock.now += 799 * NSEC_PER_SEC;
    must_be(&test, &own, "t1");
    test.clock.now += NSEC_PER_SEC;
    must_be(&test, &own, "t3");
    test_sync_deinit(&test);
}

static void test_not_renewed(void **state)
{
    const struct service_account_token_projection own = { 0 };
    struct test_sync test;
    struct giver giver;
    struct str token;
    struct err err = { 0 };

    (void)state;
    set_up(&test, &giver);
    giver.fails = true;
    assert_int_equal(pod_token_get(&test.sync, &own, &token, &err), -ERR_UNAVAILABLE);
    giver.fails = false;
    must_be(&test, &own, "t2");
    giver.fails = true;
    test.clock.now += 999 * NSEC_PER_SEC;
    must_be(&test, &own, "t2"); /* old, and good */
    test.clock.now += NSEC_PER_SEC;
    assert_int_equal(pod_token_get(&test.sync, &own, &token, &err), -ERR_UNAVAILABLE);
    giver.fails = false;
    giver.lasts = 365 * 24 * 3600 * NSEC_PER_SEC; /* longer than a day is no reason to wait longer */
    must_be(&test, &own, "t5");
    test.clock.now += 24 * 3600 * NSEC_PER_SEC;
    must_be(&test, &own, "t6");
    test_sync_deinit(&test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept),
        cmocka_unit_test(test_not_renewed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
