/* Signing keys: what they sign they verify, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/signer.h"
#include "net/tls.h"

static struct signer *new_signer(struct arena *arena)
{
    struct signer *signer = NULL;
    struct err err = { 0 };
    struct str pem;

    assert_int_equal(signer_make_key(arena, &pem, &err), 0);
    assert_int_equal(signer_new(pem, &signer, &err), 0);
    return signer;
}

static void test_round_trip(void **state)
{
    AUTO(arena) arena = arena_new(0);
    AUTO(signer) signer = new_signer(arena);
    AUTO(signer) other = new_signer(arena);
    unsigned char signature[SIGNER_SIGNATURE];
    struct str bytes = str_of(signature, sizeof signature);
    struct err err = { 0 };

    (void)state;
    for (int i = 0; i < 20; i++) { /* numbers with zeros in front come by chance */
        struct str text = arena_printf(arena, "text %d", i);

        assert_int_equal(signer_sign(signer, text, signature, &err), 0);
        assert_true(signer_verify(signer, text, bytes));
        assert_false(signer_verify(other, text, bytes));
        assert_false(signer_verify(signer, str_chop(text, 1), bytes));
        assert_false(signer_verify(signer, text, str_chop(bytes, 1)));
        signature[i] ^= 1;
        assert_false(signer_verify(signer, text, bytes));
    }
    memset(signature, 0, sizeof signature);
    assert_false(signer_verify(signer, STR(""), bytes));
    memset(signature, 255, sizeof signature);
    assert_false(signer_verify(signer, STR(""), bytes));
}

static void test_public_half(void **state)
{
    AUTO(arena) arena = arena_new(0);
    struct str pem;
    AUTO(signer) one = NULL;
    AUTO(signer) same = NULL;
    AUTO(signer) other = new_signer(arena);
    unsigned char id[3][SIGNER_ID], x[2][SIGNER_COORDINATE], y[2][SIGNER_COORDINATE];
    struct err err = { 0 };

    (void)state;
    assert_int_equal(signer_make_key(arena, &pem, &err), 0);
    assert_int_equal(signer_new(pem, &one, &err), 0);
    assert_int_equal(signer_new(pem, &same, &err), 0);
    signer_id(one, id[0]);
    signer_id(same, id[1]);
    signer_id(other, id[2]);
    assert_memory_equal(id[0], id[1], SIGNER_ID);
    assert_memory_not_equal(id[0], id[2], SIGNER_ID);
    signer_point(one, x[0], y[0]);
    signer_point(same, x[1], y[1]);
    assert_memory_equal(x[0], x[1], SIGNER_COORDINATE);
    assert_memory_equal(y[0], y[1], SIGNER_COORDINATE);
}

static void test_other_keys(void **state)
{
    static const char rsa_like[] = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    AUTO(arena) arena = arena_new(0);
    struct tls_pair pair;
    struct signer *signer = NULL;
    struct err err = { 0 };

    (void)state;
    assert_int_equal(tls_make_ca(arena, STR("ca"), 1, &pair, &err), 0);
    const struct str bad[] = { STR(""), STR("nonsense"), pair.cert_pem, str_from(rsa_like) };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(signer_new(bad[i], &signer, &err), -ERR_INVALID);
    assert_null(signer);
    assert_null(signer_free(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_public_half),
        cmocka_unit_test(test_other_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
