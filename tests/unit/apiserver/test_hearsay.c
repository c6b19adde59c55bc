/* What other servers say about nodes. */
#include "fixture.h"

#define PATH "/apis/caravel.io/v1/heartbeats"

static void noted_by_age(void **state)
{
    struct fixture f;
    struct node_session session;

    fixture_init(&f);
    must(&f, 201, "POST", "/api/v1/nodes", "{'kind':'Node','apiVersion':'v1','metadata':{'name':'a'}}");
    nsec_t now = clock_now(&f.clock.clock);
    struct answer answer = must(&f, 200, "POST", PATH, "{'nodes':[['a',1500,7],['gone',0,0]]}");

    assert_string_equal(answer.text, "{\"unknown\":[\"gone\"]}");
    assert_true(node_sessions_get(f.sessions, STR("a"), &session));
    assert_int_equal(session.seen, now - 1500 * NSEC_PER_MSEC);
    assert_int_equal(session.applied, 7);
    assert_false(node_sessions_get(f.sessions, STR("gone"), &session));

    /* What was heard later stays, in whatever order it is told. */
    must(&f, 200, "POST", PATH, "{'nodes':[['a',100,9]]}");
    must(&f, 200, "POST", PATH, "{'nodes':[['a',60000,8]]}");
    assert_true(node_sessions_get(f.sessions, STR("a"), &session));
    assert_int_equal(session.seen, now - 100 * NSEC_PER_MSEC);
    assert_int_equal(session.applied, 9);
    must(&f, 200, "POST", PATH, "{'nodes':[]}");
    fixture_deinit(&f);
}

static void refused(void **state)
{
    static const struct {
        const char *body, *user;
        int status;
    } cases[] = {
        { "{'nodes':[]}", "somebody", 403 },
        { "{'nodes':[]}", "system:node:a", 403 },
        { "{'nodes':[]}", "", 401 },
        { "", NULL, 400 },
        { "[]", NULL, 400 },
        { "{}", NULL, 400 },
        { "{'nodes':{}}", NULL, 400 },
        { "{'nodes':[1]}", NULL, 400 },
        { "{'nodes':[[]]}", NULL, 400 },
        { "{'nodes':[['a']]}", NULL, 400 },
        { "{'nodes':[['a',-1,0]]}", NULL, 400 },
        { "{'nodes':[['a','1',0]]}", NULL, 400 },
        { "{'nodes':[[1,1,0]]}", NULL, 400 },
        { "{'nodes':[['a',9223372036854775807,0]]}", NULL, 200 }, /* unknown */
    };
    struct fixture f;

    fixture_init(&f);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct answer answer =
            send_raw(&f, &(struct raw){ .method = "POST", .target = PATH, .body = cases[i].body, .user = cases[i].user });

        if (answer.status != cases[i].status)
            fail_msg("case %zu: %d: %s", i, answer.status, answer.text);
    }
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(noted_by_age),
        cmocka_unit_test(refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
