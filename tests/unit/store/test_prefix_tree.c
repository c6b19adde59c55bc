#include "store_fixture.h"

#include "store/prefix_tree.h"

struct member {
    struct list list;
    struct prefix_node *node;
    struct str prefix;
    char bytes[12];
};

static size_t count_matches(struct prefix_node *root, struct str key)
{
    size_t count = 0, depth = 0;

    for (struct prefix_node *node = root; node; node = prefix_tree_next(node, key, &depth))
        list_each (&node->members, member, struct member, list) {
            assert_true(str_has_prefix(key, member->prefix));
            count++;
        }
    return count;
}

static const struct {
    const char *key;
    size_t matches;
} cases[] = {
    { "", 1 }, { "/", 2 }, { "/a", 3 }, { "/ab", 4 }, { "/abc", 6 }, { "/abd", 4 }, { "/b", 2 }, { "x", 1 },
};

static void test_matches(void **state)
{
    static const char *const prefixes[] = { "", "/", "/abc", "/a", "/ab", "/abc", "/xyz" };
    struct member members[ARRAY_LEN(prefixes)];
    struct prefix_node root;

    prefix_tree_init(&root);
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        members[i].prefix = str_from(prefixes[i]);
        members[i].node = prefix_tree_insert(&root, members[i].prefix);
        list_append(&members[i].node->members, &members[i].list);
    }
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(count_matches(&root, str_from(cases[i].key)), cases[i].matches);
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        list_remove(&members[i].list);
        prefix_tree_prune(members[i].node);
    }
    prefix_tree_deinit(&root);
}

/* A few letters, so that prefixes share and contain one another; any byte may be among them. */
static void random_bytes(struct rng *rng, char *out, size_t len)
{
    static const char letters[] = { '/', 'a', 'b', 0, (char)0xff };

    for (size_t i = 0; i < len; i++)
        out[i] = letters[rng_below(rng, sizeof letters)];
}

static void test_random(void **state)
{
    static struct member members[300];
    struct seeded_rng seeded;
    struct prefix_node root;

    seeded_rng_init(&seeded, 7);
    prefix_tree_init(&root);
    for (int round = 0; round < 20000; round++) {
        struct member *member = &members[rng_below(&seeded.rng, ARRAY_LEN(members))];
        char key[12];
        size_t want = 0;

        if (member->node) {
            list_remove(&member->list);
            prefix_tree_prune(member->node);
            member->node = NULL;
        } else {
            member->prefix = str_of(member->bytes, rng_below(&seeded.rng, 10));
            random_bytes(&seeded.rng, member->bytes, member->prefix.len);
            member->node = prefix_tree_insert(&root, member->prefix);
            list_append(&member->node->members, &member->list);
        }
        if (round % 16)
            continue;
        random_bytes(&seeded.rng, key, sizeof key);
        for (size_t i = 0; i < ARRAY_LEN(members); i++)
            want += members[i].node && str_has_prefix(str_of(key, sizeof key), members[i].prefix);
        assert_int_equal(count_matches(&root, str_of(key, sizeof key)), want);
    }
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (members[i].node) {
            list_remove(&members[i].list);
            prefix_tree_prune(members[i].node);
        }
    prefix_tree_deinit(&root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
