#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <unistd.h>

#include "base/process.h"

#define ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void test_cases(void **state)
{
    static const struct {
        const char *name, *script;
        struct str input;
        const char *out, *errors;
        int code;
    } cases[] = {
        { "output and code", "echo hello; echo oops >&2; exit 3", STR_NULL, "hello\n", "oops\n", 3 },
        { "no input is an empty one", "cat; echo end", STR_NULL, "end\n", "", 0 },
        { "input", "cat", STR_INIT("one\ntwo\n"), "one\ntwo\n", "", 0 },
        { "input nobody reads", "echo x", STR_INIT("ignored"), "x\n", "", 0 },
        { "killed by a signal", "kill -TERM $$", STR_NULL, "", "", 128 + SIGTERM },
        { "default SIGPIPE", "kill -PIPE $$; echo survived", STR_NULL, "", "", 128 + SIGPIPE },
        { "group of its own", "test \"$(ps -o pgid= -p $$ | tr -d ' ')\" = $$ || exit 9", STR_NULL, "", "", 0 },
    };

    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct process_options options = { .argv = ARGV("sh", "-c", cases[i].script), .input = cases[i].input };
        AUTO_DEINIT(process_result, result) = { 0 };
        struct err err = { 0 };

        if (process_run(&options, &result, &err) < 0)
            fail_msg("%s: %s", cases[i].name, err.message);
        if (!str_is(buf_str(&result.out), cases[i].out) || !str_is(buf_str(&result.err), cases[i].errors) ||
            result.exit_code != cases[i].code || result.timed_out)
            fail_msg("%s: code %d, out '" STR_FMT "', err '" STR_FMT "'", cases[i].name, result.exit_code,
                     STR_ARG(buf_str(&result.out)), STR_ARG(buf_str(&result.err)));
    }
}

static void test_environment_and_folder(void **state)
{
    struct process_options options = { .argv = ARGV("/bin/sh", "-c", "echo $GREETING; pwd"),
                                       .env = ARGV("GREETING=hi"),
                                       .cwd = "/usr" };
    AUTO_DEINIT(process_result, result) = { 0 };

    assert_int_equal(process_run(&options, &result, NULL), 0);
    assert_true(str_is(buf_str(&result.out), "hi\n/usr\n"));
}

static void test_not_startable(void **state)
{
    struct process_options options = { .argv = ARGV("/nonexistent/program") };
    struct process_result result = { .exit_code = 77 };
    struct err err = { 0 };

    assert_int_equal(process_run(&options, &result, &err), -ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "/nonexistent/program"));
    assert_int_equal(result.exit_code, 77);

    options = (struct process_options){ .argv = ARGV("true"), .cwd = "/nonexistent" };
    assert_true(process_run(&options, &result, &err) < 0);
}

static void test_output_is_capped(void **state)
{
    struct process_options options = { .argv = ARGV("sh", "-c", "head -c 300000 /dev/zero; echo done >&2"),
                                       .max_output = 1000 };
    AUTO_DEINIT(process_result, result) = { 0 };

    assert_int_equal(process_run(&options, &result, NULL), 0);
    assert_int_equal(result.out.len, 1000);
    assert_true(str_is(buf_str(&result.err), "done\n"));
    assert_int_equal(result.exit_code, 0);
}

/* The whole group dies, the shell's child too: its end of the pipe is closed when we come back. */
static void test_timeout(void **state)
{
    struct process_options options = { .argv = ARGV("sh", "-c", "echo begun; sleep 1000 & sleep 1000"),
                                       .timeout = 100 * NSEC_PER_MSEC };
    AUTO_DEINIT(process_result, result) = { 0 };

    assert_int_equal(process_run(&options, &result, NULL), 0);
    assert_true(result.timed_out);
    assert_int_equal(result.exit_code, 128 + SIGKILL);
}

/* A grandchild that keeps the pipes open does not keep us. */
static void test_daemon_does_not_hold(void **state)
{
    struct process_options options = { .argv = ARGV("sh", "-c", "setsid sleep 1000 & echo $!") };
    AUTO_DEINIT(process_result, result) = { 0 };
    int64_t pid = 0;

    assert_int_equal(process_run(&options, &result, NULL), 0);
    assert_true(str_to_i64(str_trim(buf_str(&result.out)), &pid));
    assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
}

/* Nothing of ours but the three descriptors. */
static void test_no_descriptors_leak(void **state)
{
    const char *script = "for i in 0 1 2 3 4 5 6 7 8 9; do test -e /proc/$$/fd/$i && echo $i; done; true";
    struct process_options options = { .argv = ARGV("sh", "-c", script) };
    int fds[2];
    AUTO_DEINIT(process_result, result) = { 0 };

    assert_int_equal(pipe(fds), 0);
    assert_int_equal(process_run(&options, &result, NULL), 0);
    close(fds[0]);
    close(fds[1]);
    assert_true(str_is(buf_str(&result.out), "0\n1\n2\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_environment_and_folder),
        cmocka_unit_test(test_not_startable),
        cmocka_unit_test(test_output_is_capped),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_daemon_does_not_hold),
        cmocka_unit_test(test_no_descriptors_leak),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
