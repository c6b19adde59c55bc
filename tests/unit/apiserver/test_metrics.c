/* What is counted, and how it is told. */
#include "fixture.h"

#include "apiserver/metrics.h"

static const char *scrape(struct fixture *f)
{
    struct answer answer = must(f, 200, "GET", "/metrics", NULL);

    assert_string_equal(answer.content_type, "text/plain; version=0.0.4; charset=utf-8");
    return answer.text;
}

static const struct {
    const struct resource *resource;
    uint32_t verb;
    int status;
    nsec_t took;
} done[] = {
    { &RESOURCE_PODS, VERB_GET, 200, 50 * NSEC_PER_USEC },
    { &RESOURCE_PODS, VERB_GET, 200, 3 * NSEC_PER_MSEC },
    { &RESOURCE_PODS, VERB_GET, 404, 100 * NSEC_PER_SEC },
    { &RESOURCE_APPS_DEPLOYMENTS, VERB_DELETE_COLLECTION, 418, 0 },
    { NULL, 0, 200, NSEC_PER_SEC },
};

static const char *const lines[] = {
    "apiserver_request_total{verb=\"GET\",group=\"\",version=\"v1\",resource=\"pods\",code=\"200\"} 2\n",
    "apiserver_request_total{verb=\"GET\",group=\"\",version=\"v1\",resource=\"pods\",code=\"404\"} 1\n",
    "apiserver_request_total{verb=\"DELETECOLLECTION\",group=\"apps\",version=\"v1\",resource=\"deployments\",code="
    "\"other\"} 1\n",
    "apiserver_request_total{verb=\"GET\",group=\"\",version=\"\",resource=\"\",code=\"200\"} 1\n",
    "apiserver_request_total{verb=\"GET\",group=\"\",version=\"\",resource=\"custom\",code=\"200\"} 1\n",
    "_bucket{verb=\"GET\",group=\"\",version=\"v1\",resource=\"pods\",le=\"0.0001\"} 1\n",
    "_bucket{verb=\"GET\",group=\"\",version=\"v1\",resource=\"pods\",le=\"0.0025\"} 1\n",
    "_bucket{verb=\"GET\",group=\"\",version=\"v1\",resource=\"pods\",le=\"0.005\"} 2\n",
    "_bucket{verb=\"GET\",group=\"\",version=\"v1\",resource=\"pods\",le=\"60\"} 2\n",
    "_bucket{verb=\"GET\",group=\"\",version=\"v1\",resource=\"pods\",le=\"+Inf\"} 3\n",
    "_sum{verb=\"GET\",group=\"\",version=\"v1\",resource=\"pods\"} 100.003050000\n",
    "_count{verb=\"GET\",group=\"\",version=\"v1\",resource=\"pods\"} 3\n",
    "apiserver_longrunning_requests{group=\"\",version=\"v1\",resource=\"pods\"} 1\n",
    "kubernetes_build_info{major=\"1\",minor=\"33\"",
    "\ncaravel_store_keys ",
    "\nprocess_open_fds ",
    "\nprocess_resident_memory_bytes ",
    "\nprocess_cpu_seconds_total ",
};

static void test_counts(void **state)
{
    struct request pods = { .resource = &RESOURCE_PODS };
    static const struct resource widget = { .plural = STR_INIT("widgets") };
    struct request custom = { .resource = &widget, .info = { .is_resource = true, .verb = VERB_GET } };
    struct fixture f;
    const char *text;

    fixture_init(&f);
    virtual_clock_advance(&f.clock, 1000 * NSEC_PER_SEC);
    for (size_t i = 0; i < ARRAY_LEN(done); i++) {
        struct request request = { .server = f.server,
                                   .resource = done[i].resource,
                                   .reply = { .status = done[i].status } };

        request.info.is_resource = done[i].resource != NULL;
        request.info.verb = done[i].verb;
        request.begun = clock_now(&f.clock.clock) - done[i].took;
        metrics_request_done(&request);
    }
    custom.server = pods.server = f.server;
    metrics_request_done(&custom);
    metrics_stream_begun(&pods);
    metrics_stream_begun(&pods);
    metrics_stream_ended(&pods);
    text = scrape(&f);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        if (!strstr(text, lines[i]))
            fail_msg("%s is not in\n%s", lines[i], text);
    metrics_stream_ended(&pods);
    assert_null(strstr(scrape(&f), "apiserver_longrunning_requests{"));
    must(&f, 405, "PUT", "/metrics", "{}");
    assert_int_equal(send_raw(&f, &(struct raw){ .method = "GET", .target = "/metrics", .user = "" }).status, 401);
    fixture_deinit(&f);
}

/* Every line is a comment or "name{labels} number". */
static void test_format(void **state)
{
    struct fixture f;
    struct str rest, line;

    fixture_init(&f);
    rest = str_from(scrape(&f));
    while (str_split(&rest, '\n', &line)) {
        ssize_t blank = str_rchr(line, ' ');
        double value;

        if (str_empty(line) || line.data[0] == '#')
            continue;
        assert_true(blank > 0);
        assert_true(str_to_double(str_skip(line, (size_t)blank + 1), &value));
    }
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_format),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
