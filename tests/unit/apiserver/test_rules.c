/* Rules that look beyond the object itself; what one object must be like: tests/cases/validation. */
#include "fixture.h"

#define CLASSES "/apis/scheduling.k8s.io/v1/priorityclasses"
#define CLASS(name, is_default) "{'metadata':{'name':'" name "'},'value':1,'globalDefault':" is_default "}"

static void test_default_class(void **state)
{
    struct fixture f;
    struct answer answer;

    (void)state;
    fixture_init(&f);
    must(&f, 201, "POST", CLASSES, CLASS("a", "true"));
    must(&f, 201, "POST", CLASSES, CLASS("b", "false"));
    answer = must(&f, 403, "POST", CLASSES, CLASS("c", "true"));
    assert_non_null(strstr(answer.text, "PriorityClass a is already marked as default. Only one default can exist"));
    must(&f, 403, "PUT", CLASSES "/b", CLASS("b", "true"));
    must(&f, 200, "PUT", CLASSES "/a", CLASS("a", "true"));
    must(&f, 200, "PUT", CLASSES "/a", CLASS("a", "false"));
    must(&f, 200, "PUT", CLASSES "/b", CLASS("b", "true"));
    must(&f, 200, "DELETE", CLASSES "/b", NULL);
    must(&f, 201, "POST", CLASSES, CLASS("c", "true"));
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default_class),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
