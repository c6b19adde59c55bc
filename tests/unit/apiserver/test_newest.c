/* Which requests wait for the newest state where several servers share a store. */
#include "fixture.h"

#include "apiserver/newest.h"

#define PODS "/api/v1/namespaces/default/pods"

static const struct {
    const char *method, *target;
    bool want;
} cases[] = {
    { "GET", PODS "/a", true },
    { "GET", PODS "/a?resourceVersion=0", false },
    { "GET", PODS "/a?resourceVersion=1", false },
    { "GET", PODS "/a?resourceVersion=4000000000", true },
    { "GET", PODS "/a/status", true },
    { "GET", PODS "/a/log", true },
    { "GET", PODS, true },
    { "GET", PODS "?resourceVersion=0", false },
    { "GET", PODS "?resourceVersion=1", false },
    { "GET", PODS "?resourceVersion=1&resourceVersionMatch=Exact", false },
    { "GET", PODS "?resourceVersion=4000000000", true },
    { "GET", PODS "?resourceVersion=x", false },
    { "GET", PODS "?limit=1&continue=abc", true },
    { "GET", PODS "?asOf=1", true },
    { "GET", PODS "?watch=1", true },
    { "GET", PODS "?watch=1&resourceVersion=1", false },
    { "GET", PODS "?watch=1&resourceVersion=0", false },
    { "POST", PODS, true },
    { "PUT", PODS "/a?resourceVersion=0", true },
    { "PATCH", PODS "/a", true },
    { "DELETE", PODS "/a", true },
    { "DELETE", PODS, true },
    { "POST", PODS "/a/exec", true },
    { "POST", "/apis/caravel.io/v1/transactions", true },
    { "POST", "/apis/caravel.io/v1/undo", true },
    { "GET", "/apis/caravel.io/v1/changes", true },
    { "POST", "/apis/caravel.io/v1/nodes/a/heartbeat", false },
    { "GET", "/readyz", false },
    { "GET", "/metrics", false },
    { "GET", "/api/v1", false },
    { "GET", "/version", false },
};

static void walks(void **state)
{
    struct fixture f;

    fixture_init(&f);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        static const struct str masters[] = { STR_INIT("system:masters") };
        struct tls_identity peer = { .common_name = STR("admin"), .organizations = masters, .organization_count = 1 };
        struct str target = str_from(cases[i].target);
        ssize_t mark = str_chr(target, '?');
        struct http_request http = { .method = http_method_from(str_from(cases[i].method)),
                                     .method_name = str_from(cases[i].method),
                                     .target = target,
                                     .major = 1,
                                     .path = mark < 0 ? target : str_first(target, (size_t)mark),
                                     .query = mark < 0 ? STR("") : str_skip(target, (size_t)mark + 1),
                                     .peer = &peer };
        struct request request;
        struct err err = { 0 };

        request_init(&request, f.server, f.arena);
        if (request_route(&request, &http, &err) < 0)
            fail_msg("%s %s: %s", cases[i].method, cases[i].target, err.message);
        if (newest_is_wanted(&request) != cases[i].want)
            fail_msg("%s %s: %d", cases[i].method, cases[i].target, !cases[i].want);
        request_release(&request);
    }
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
