/* test_env.c - $(NAME), and environments out of images, ConfigMaps, Secrets and the pod itself. */
#include "sync.h"

#include "kubelet/env.h"
#include "kubelet/source.h"

static const struct {
    const char *text, *want;
} expansions[] = {
    { "plain", "plain" },
    { "$(A)", "1" },
    { "x$(A)y$(B)z", "x1ytwoz" },
    { "$$(A)", "$(A)" },
    { "$$$(A)", "$1" },
    { "$$$$(A)", "$$(A)" },
    { "$(NONE)", "$(NONE)" },
    { "$(A", "$(A" },
    { "$", "$" },
    { "$$", "$" },
    { "$A ${A}", "$A ${A}" },
    { "$()", "$()" },
    { "$(X$(A)", "$(X$(A)" },
    { "$(A)$(A)", "11" },
    { "", "" },
    { "$(EMPTY)|", "|" },
    { "end$", "end$" },
};

static void test_expand(void **state)
{
    AUTO(arena) arena = arena_new(0);
    struct env env = { 0 };

    vec_push(&env.vars, ((struct oci_pair){ STR("A"), STR("1") }));
    vec_push(&env.vars, ((struct oci_pair){ STR("B"), STR("two") }));
    vec_push(&env.vars, ((struct oci_pair){ STR("EMPTY"), STR("") }));
    for (size_t i = 0; i < ARRAY_LEN(expansions); i++) {
        struct str got = env_expand(arena, str_from(expansions[i].text), &env);

        if (!str_is(got, expansions[i].want))
            fail_msg("%s: " STR_FMT ", not %s", expansions[i].text, STR_ARG(got), expansions[i].want);
    }
    env_deinit(&env);
}

/* An API with one ConfigMap and one Secret, which counts what it is asked. */
static int calls;

static int fake_call(struct client *client, const struct client_call *call, client_item_fn *item, void *item_arg,
                     uint64_t *ret_revision, struct blob **ret_body, struct err *err)
{
    static const char map[] =
        "{\"metadata\":{\"name\":\"cm\",\"namespace\":\"ns\"},\"data\":{\"a\":\"1\",\"b\":\"2\"}}";
    static const char secret[] =
        "{\"metadata\":{\"name\":\"sec\",\"namespace\":\"ns\"},\"data\":{\"pw\":\"aHVzaA==\"}}";

    calls++;
    assert_true(str_is(call->ns, "ns"));
    if (call->resource == &RESOURCE_CONFIGMAPS && str_is(call->name, "cm"))
        return (*ret_body = blob_copy(str_from(map))) ? 0 : -ERR_NO_MEMORY;
    if (call->resource == &RESOURCE_SECRETS && str_is(call->name, "sec"))
        return (*ret_body = blob_copy(str_from(secret))) ? 0 : -ERR_NO_MEMORY;
    return err_set(err, ERR_NOT_FOUND, "not found");
}

static const struct client_ops fake_ops = { .call = fake_call };
static struct client fake_client = { &fake_ops };

static const struct {
    const char *env;  /* of the container: "'env':[..],'envFrom':[..]" */
    const char *want; /* "NAME=value|..." or what the error says */
    bool fails;
} cases[] = {
    { "'env':[]", "PATH=/image|HOME=/h" },
    { "'env':[{'name':'HOME','value':'/own'}]", "PATH=/image|HOME=/own" },
    { "'env':[{'name':'A','value':'1'},{'name':'B','value':'$(A)$(HOME)$(LATER)'},{'name':'LATER','value':'x'}]",
      "PATH=/image|HOME=/h|A=1|B=1$(HOME)$(LATER)|LATER=x" },
    { "'env':[{'name':'A','value':'1'},{'name':'A','value':'$(A)2'}]", "PATH=/image|HOME=/h|A=12" },
    { "'env':[{'name':'E'}]", "PATH=/image|HOME=/h|E=" },
    { "'envFrom':[{'configMapRef':{'name':'cm'}}],'env':[{'name':'b','value':'$(a)!'}]",
      "PATH=/image|HOME=/h|a=1|b=1!" },
    { "'envFrom':[{'prefix':'P_','configMapRef':{'name':'cm'}},{'secretRef':{'name':'sec'}}]",
      "PATH=/image|HOME=/h|P_a=1|P_b=2|pw=hush" },
    { "'envFrom':[{'configMapRef':{'name':'none','optional':true}}]", "PATH=/image|HOME=/h" },
    { "'envFrom':[{'configMapRef':{'name':'none'}}]", "configmap \"none\" not found", true },
    { "'envFrom':[{'secretRef':{'name':'none'}}]", "secret \"none\" not found", true },
    { "'env':[{'name':'A','valueFrom':{'configMapKeyRef':{'name':'cm','key':'a'}}}]", "PATH=/image|HOME=/h|A=1" },
    { "'env':[{'name':'A','valueFrom':{'configMapKeyRef':{'name':'cm','key':'z','optional':true}}}]",
      "PATH=/image|HOME=/h" },
    { "'env':[{'name':'A','valueFrom':{'configMapKeyRef':{'name':'cm','key':'z'}}}]",
      "couldn't find key z in ConfigMap ns/cm", true },
    { "'env':[{'name':'A','valueFrom':{'secretKeyRef':{'name':'sec','key':'z'}}}]",
      "couldn't find key z in Secret ns/sec", true },
    { "'env':[{'name':'A','valueFrom':{'fieldRef':{'fieldPath':'metadata.name'}}}]", "PATH=/image|HOME=/h|A=web" },
    { "'env':[{'name':'A','valueFrom':{'resourceFieldRef':{'resource':'requests.cpu'}}}]", "PATH=/image|HOME=/h|A=0" },
};

static void render(const struct env *env, struct buf *text)
{
    vec_each (&env->all, var)
        buf_printf(text, "%s" STR_FMT "=" STR_FMT, text->len ? "|" : "", STR_ARG(var->name), STR_ARG(var->value));
    buf_add_char(text, 0);
}

static struct str image_env[] = { STR_INIT("PATH=/image"), STR_INIT("HOME=/h"), STR_INIT("=odd"), STR_INIT("odd") };

static void fill_image(struct image *image)
{
    image->config.env.items = image_env;
    image->config.env.count = ARRAY_LEN(image_env);
}

static void test_build(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct test_sync test;
        struct image image = { 0 };
        struct env env = { 0 };
        struct buf text = BUF_INIT;
        struct err err = { 0 };
        char rest[1024];

        snprintf(rest, sizeof rest, "'spec':{'containers':[{'name':'a',%s}]}", cases[i].env);
        test_sync_init(&test, rest);
        test.kubelet.options.client = &fake_client;
        fill_image(&image);
        int code = env_build(&test.sync, &test.sync.pod->spec.containers.items[0], &image, &env, &err);

        render(&env, &text);
        if ((code < 0) != cases[i].fails || strcmp(code < 0 ? err.message : text.data, cases[i].want) != 0)
            fail_msg("%s: %s", cases[i].env, code < 0 ? err.message : text.data);
        buf_deinit(&text);
        env_deinit(&env);
        sources_release(&test.sync);
        test_sync_deinit(&test);
    }
}

/* However many keys are taken from it, a ConfigMap is read once in a look; one that is absent too. */
static void test_read_once(void **state)
{
    struct test_sync test;
    const struct object *object;
    struct err err;

    test_sync_init(&test, "'spec':{'containers':[{'name':'a'}]}");
    test.kubelet.options.client = &fake_client;
    calls = 0;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(source_get(&test.sync, SOURCE_CONFIG_MAP, STR("cm"), false, &object, &err), 0);
        assert_int_equal(source_data(object)->count, 2);
        assert_int_equal(source_get(&test.sync, SOURCE_SECRET, STR("cm"), true, &object, &err), 0);
        assert_null(object);
        assert_int_equal(source_get(&test.sync, SOURCE_SECRET, STR("cm"), false, &object, &err), -ERR_NOT_FOUND);
    }
    assert_int_equal(calls, 2);
    sources_release(&test.sync);
    test_sync_deinit(&test);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_expand), cmocka_unit_test(test_build),
                                        cmocka_unit_test(test_read_once) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
