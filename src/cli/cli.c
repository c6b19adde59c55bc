#include "cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"

int cli_fail(const struct err *err)
{
    fprintf(stderr, "caravel: %s\n", err->message);
    return 1;
}

int cli_usage_error(const char *command, const char *fmt, ...)
{
    va_list args;

    fprintf(stderr, "caravel %s: ", command);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fprintf(stderr, "; see caravel %s --help\n", command);
    return 2;
}

static bool name_is_good(const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || len > 40 || name[0] == '-' || name[len - 1] == '-')
        return false;
    for (const char *p = name; *p; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '-'))
            return false;
    return true;
}

static const struct argp_option instance_argp_options[] = {
    { "instance", 'i', "NAME", 0, "name of the cluster on this machine (caravel)", 1 },
    { "data-dir", 'd', "DIR", 0, "where everything is kept (/var/lib/NAME)", 1 },
    { "verbose", 'v', NULL, 0, "log debug messages", 1 },
    { 0 },
};

static error_t parse_instance(int key, char *value, struct argp_state *state)
{
    struct instance_options *options = state->input;

    switch (key) {
    case 'i': options->instance = value; return 0;
    case 'd': options->data_dir = value; return 0;
    case 'v':
        options->verbose = true;
        log_set_level(LOG_DEBUG);
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

const struct argp instance_argp = { instance_argp_options, parse_instance, NULL, NULL, NULL, NULL, NULL };
const struct argp_child instance_children[] = { { &instance_argp, 0, NULL, 0 }, { 0 } };

static int parse(const struct argp *argp, int argc, char **argv, unsigned flags, void *arguments)
{
    char name[64];

    /* argp names the program in its messages: "caravel up: ..." */
    snprintf(name, sizeof name, "caravel %s", argv[0]);
    argv[0] = name;
    return argp_parse(argp, argc, argv, flags, NULL, arguments) == 0 ? 0 : 2;
}

int cli_parse(const struct argp *argp, int argc, char **argv, void *arguments)
{
    return parse(argp, argc, argv, 0, arguments);
}

int cli_parse_in_order(const struct argp *argp, int argc, char **argv, void *arguments)
{
    return parse(argp, argc, argv, ARGP_IN_ORDER, arguments);
}

int instance_resolve(const struct instance_options *options, struct instance *ret_instance, struct err *err)
{
    const char *name = options->instance ? options->instance : "caravel", *data_dir = options->data_dir;
    struct instance instance = { 0 };

    if (!name_is_good(name))
        return err_set(err, ERR_BAD_REQUEST,
                       "--instance %s: a name is 1 to 40 of a-z, 0-9 and '-', not beginning or ending with '-'", name);
    snprintf(instance.name, sizeof instance.name, "%s", name);
    snprintf(instance.run_dir, sizeof instance.run_dir, "/run/%s", name);
    int len = data_dir ? snprintf(instance.data_dir, sizeof instance.data_dir, "%s", data_dir)
                       : snprintf(instance.data_dir, sizeof instance.data_dir, "/var/lib/%s", name);

    if (len >= (int)sizeof instance.data_dir - 100)
        return err_set(err, ERR_BAD_REQUEST, "--data-dir: longer than %zu characters", sizeof instance.data_dir - 100);
    if (instance.data_dir[0] != '/' || strpbrk(instance.data_dir, ":,\\ "))
        return err_set(err, ERR_BAD_REQUEST, "--data-dir %s: must be absolute and without ':', ',', '\\' and blanks",
                       instance.data_dir);
    while (len > 1 && instance.data_dir[len - 1] == '/')
        instance.data_dir[--len] = 0;
    *ret_instance = instance;
    return 0;
}

const char *instance_path(const struct instance *instance, const char *name, char out[INSTANCE_PATH_MAX])
{
    snprintf(out, INSTANCE_PATH_MAX, "%s/%s", instance->data_dir, name);
    return out;
}

int instance_claim(const struct instance *instance, struct err *err)
{
    char path[INSTANCE_PATH_MAX];
    struct buf owner = BUF_INIT;
    int code = file_make_dirs(instance->data_dir, 0711, err);

    if (code < 0)
        return err_wrap(err, code, "--data-dir");
    code = file_read(instance_path(instance, "instance", path), 100, &owner, err);
    if (code == -ERR_NOT_FOUND)
        code = file_write_atomic(path, str_from(instance->name), 0644, err);
    else if (code == 0 && !str_is(str_trim(buf_str(&owner)), instance->name))
        code = err_set(err, ERR_CONFLICT, "%s belongs to instance \"" STR_FMT "\"; say --instance " STR_FMT
                       " or choose another --data-dir", instance->data_dir, STR_ARG(str_trim(buf_str(&owner))),
                       STR_ARG(str_trim(buf_str(&owner))));
    buf_deinit(&owner);
    return code;
}

int listen_parse(const char *text, struct listen_address *ret_address, struct err *err)
{
    struct str s = str_from(text);
    ssize_t colon = str_rchr(s, ':');
    int64_t port;

    if (colon < 0 || !str_to_i64(str_skip(s, (size_t)colon + 1), &port) || port < 1 || port > 65535 ||
        colon >= (ssize_t)sizeof ret_address->host)
        return err_set(err, ERR_BAD_REQUEST, "--listen %s: expected ADDRESS:PORT, for example 127.0.0.1:6443", text);
    snprintf(ret_address->host, sizeof ret_address->host, "%.*s", (int)colon, text);
    if (!ret_address->host[0])
        snprintf(ret_address->host, sizeof ret_address->host, "0.0.0.0");
    ret_address->port = (int)port;
    return 0;
}

int option_number(const struct argp_state *state, const char *option, const char *value, int min, int max)
{
    int64_t number;

    if (!str_to_i64(str_from(value), &number) || number < min || number > max) {
        argp_error(state, "%s %s: expected a number from %d to %d", option, value, min, max);
        return min;
    }
    return (int)number;
}

static void stop_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
}

void signals_block(void)
{
    sigset_t set;

    stop_signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

int signals_wait(void)
{
    sigset_t set;
    int number = SIGTERM;

    stop_signals(&set);
    sigwait(&set, &number);
    return number;
}

void ready_notify(int fd, const char *line)
{
    if (fd < 0)
        return;
    dprintf(fd, "%s\n", line);
    close(fd);
}
