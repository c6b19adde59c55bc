/* Addresses and networks: what is read, how it is written, what lies in what. */
#include "base/ip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const struct {
    const char *text, *want; /* NULL: it is none */
} addresses[] = {
    { "10.1.2.3", "10.1.2.3" },
    { "010.001.2.3", "10.1.2.3" },
    { "255.255.255.255", "255.255.255.255" },
    { "256.1.1.1", NULL },
    { "1.2.3", NULL },
    { "1.2.3.4.5", NULL },
    { "1..2.3", NULL },
    { "1.2.3.4 ", NULL },
    { "00000000000000000001.2.3.4", NULL },
    { "", NULL },
    { "::", "::" },
    { "2001:DB8:0:0::1", "2001:db8::1" },
    { "::ffff:1.2.3.4", "::ffff:1.2.3.4" },
    { "2001:db8::1::2", NULL },
    { "fe80::1%eth0", NULL },
};

static void test_addresses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        char text[IP_TEXT_MAX];
        struct ip ip;
        bool parsed = ip_parse(str_from(addresses[i].text), &ip);

        if (parsed != (addresses[i].want != NULL))
            fail_msg("%s", addresses[i].text);
        if (parsed)
            assert_string_equal(ip_text(&ip, text).data, addresses[i].want);
    }
    struct ip ip;
    assert_false(ip_parse(str_of("1.2.3.4\0", 8), &ip));
    assert_false(ip_parse(str_of("::1\0", 4), &ip));
}

static const struct {
    const char *text, *masked; /* NULL: it is none */
} nets[] = {
    { "10.1.2.3/8", "10.0.0.0/8" },
    { "10.1.2.3/32", "10.1.2.3/32" },
    { "10.1.2.3/0", "0.0.0.0/0" },
    { "10.1.2.3/12", "10.0.0.0/12" },
    { "10.1.2.3/33", NULL },
    { "10.1.2.3/", NULL },
    { "10.1.2.3", NULL },
    { "10.1.2.3/-1", NULL },
    { "10.1.2.3/0008", NULL },
    { "2001:db8:ffff::/33", "2001:db8:8000::/33" },
    { "::/129", NULL },
};

static void test_nets(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(nets); i++) {
        char text[IP_TEXT_MAX];
        struct ip_net net, masked;
        bool parsed = ip_net_parse(str_from(nets[i].text), &net);

        if (parsed != (nets[i].masked != NULL))
            fail_msg("%s", nets[i].text);
        if (!parsed)
            continue;
        masked = ip_net_masked(&net);
        assert_string_equal(ip_net_text(&masked, text).data, nets[i].masked);
    }
}

static void test_contains(void **state)
{
    static const struct {
        const char *net, *ip;
        bool want;
    } cases[] = {
        { "10.0.0.0/8", "10.200.0.1", true },     { "10.0.0.0/8", "11.0.0.1", false },
        { "0.0.0.0/0", "11.0.0.1", true },        { "0.0.0.0/0", "::1", false },
        { "2001:db8::/32", "2001:db8::1", true }, { "2001:db8::/32", "2001:db9::1", false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ip_net net;
        struct ip ip;

        assert_true(ip_net_parse(str_from(cases[i].net), &net));
        assert_true(ip_parse(str_from(cases[i].ip), &ip));
        assert_int_equal(ip_net_contains(&net, &ip), cases[i].want);
    }
}

static void test_kinds(void **state)
{
    static const struct {
        const char *ip;
        bool unspecified, loopback, link_local, multicast, mapped;
    } cases[] = {
        { "0.0.0.0", true, false, false, false, false },     { "::", true, false, false, false, false },
        { "127.9.9.9", false, true, false, false, false },   { "::1", false, true, false, false, false },
        { "169.254.0.1", false, false, true, false, false }, { "fe80::1", false, false, true, false, false },
        { "224.0.0.5", false, false, false, true, false },   { "ff02::1", false, false, false, true, false },
        { "224.0.1.5", false, false, false, false, false },  { "::ffff:10.0.0.1", false, false, false, false, true },
        { "10.0.0.1", false, false, false, false, false },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ip ip;

        assert_true(ip_parse(str_from(cases[i].ip), &ip));
        assert_int_equal(ip_is_unspecified(&ip), cases[i].unspecified);
        assert_int_equal(ip_is_loopback(&ip), cases[i].loopback);
        assert_int_equal(ip_is_link_local(&ip), cases[i].link_local);
        assert_int_equal(ip_is_link_local_multicast(&ip), cases[i].multicast);
        assert_int_equal(ip_is_mapped(&ip), cases[i].mapped);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_nets),
        cmocka_unit_test(test_contains),
        cmocka_unit_test(test_kinds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
