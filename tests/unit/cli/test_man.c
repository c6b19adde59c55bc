/* Every command has a page with its options; the table has no holes. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "cli/man.h"
#include "cli/options.h"

struct seen {
    const struct buf *page;
    const struct command *command;
    bool letters[128];
};

static void check_option(void *arg, const struct argp_option *option)
{
    struct seen *seen = arg;
    char letter = option_letter(option);

    if (!option->name || !option->doc)
        fail_msg("caravel %s: an option without name or explanation", seen->command->name);
    if (letter && seen->letters[(int)letter])
        fail_msg("caravel %s: -%c has two meanings", seen->command->name, letter);
    seen->letters[(int)letter] = letter != 0;
    AUTO_DEINIT(buf, line) = BUF_INIT;

    buf_add_cstr(&line, "\\fB\\-\\-");
    for (const char *c = option->name; *c; c++)
        buf_printf(&line, *c == '-' ? "\\-" : "%c", *c);
    if (str_find(buf_str(seen->page), buf_str(&line)) < 0)
        fail_msg("caravel %s: --%s is not in its page", seen->command->name, option->name);
}

static void test_pages(void **state)
{
    for (size_t i = 0; i < command_count; i++) {
        AUTO_DEINIT(buf, page) = BUF_INIT;
        struct seen seen = { .page = &page, .command = &commands[i] };

        if (commands[i].group == GROUP_HIDDEN)
            continue;
        assert_non_null(commands[i].argp);
        assert_non_null(commands[i].argp->doc);
        man_write(&page, &commands[i]);
        assert_true(buf_ok(&page));
        options_each(commands[i].argp, check_option, &seen);
        assert_true(str_find(buf_str(&page), STR(".SH SYNOPSIS")) > 0);
        assert_ptr_equal(command_find(commands[i].name), &commands[i]);
    }
}

static void test_main_page_names_all(void **state)
{
    AUTO_DEINIT(buf, page) = BUF_INIT;

    man_write(&page, NULL);
    for (size_t i = 0; i < command_count; i++)
        if (commands[i].group != GROUP_HIDDEN && !strchr(commands[i].name, '-') &&
            str_find(buf_str(&page), str_from(commands[i].name)) < 0)
            fail_msg("%s is not in caravel(1)", commands[i].name);
}

static void test_option_find(void **state)
{
    const struct argp *argp = command_find("get")->argp;

    assert_string_equal(option_find(argp, STR("--output"))->name, "output");
    assert_string_equal(option_find(argp, STR("--output=yaml"))->name, "output");
    assert_string_equal(option_find(argp, STR("-o"))->name, "output");
    assert_string_equal(option_find(argp, STR("-An"))->name, "namespace");
    assert_null(option_find(argp, STR("--nope")));
    assert_null(option_find(argp, STR("-")));
    assert_null(option_find(argp, STR("--")));
    assert_null(option_find(NULL, STR("-o")));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_pages),
    cmocka_unit_test(test_main_page_names_all),
    cmocka_unit_test(test_option_find),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
