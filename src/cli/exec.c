/* exec.c - caravel exec: a command in a container. */
#include <stdio.h>
#include <unistd.h>

#include "cli/pods.h"
#include "cli/remote.h"

struct exec {
    struct session_options session_options;
    struct str container;
    const char *pod;
    char **command;
    size_t command_count;
    bool use_stdin, tty;
};

static const struct argp_option options[] = {
    { "stdin", 'i', NULL, 0, "hand our standard input to the command", 0 },
    { "tty", 't', NULL, 0, "give the command a terminal", 0 },
    { "container", 'c', "CONTAINER", 0, "in this container (the first, or as the pod's annotation says)", 0 },
    { 0 },
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct exec *exec = state->input;

    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &exec->session_options; return 0;
    case 'i': exec->use_stdin = true; return 0;
    case 't': exec->tty = true; return 0;
    case 'c': exec->container = str_from(value); return 0;
    case ARGP_KEY_ARG:
        if (state->quoted && state->next > state->quoted) {
            exec->command = state->argv + state->next - 1;
            exec->command_count = (size_t)(state->argc - state->next + 1);
            state->next = state->argc;
        } else if (exec->pod) {
            argp_error(state, "unexpected argument \"%s\"; the command stands after --", value);
        } else {
            exec->pod = value;
        }
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = { { &session_argp, 0, NULL, 0 }, { 0 } };
const struct argp exec_argp = {
    options, parse, "POD -- COMMAND [ARGUMENT...]\nTYPE/NAME -- COMMAND [ARGUMENT...]",
    "Runs a command in a container and ends as it ends, with its exit status.\v"
    "Of a deployment, service or other thing that has pods, one of its pods is taken.\n\n"
    "Examples:\n"
    "  caravel exec web -- hostname\n"
    "  caravel exec -it deployment/web -- sh\n"
    "  tar c . | caravel exec -i web -- tar x -C /tmp",
    children, NULL, NULL,
};

static int make_path(const struct session *session, const struct exec *exec, struct str pod, struct str container,
                     struct buf *path, struct err *err)
{
    char separator = '?';

    buf_add_cstr(path, "/api/v1/namespaces/");
    http_escape(path, session->ns);
    buf_add_cstr(path, "/pods/");
    http_escape(path, pod);
    buf_add_cstr(path, "/exec");
    for (size_t i = 0; i < exec->command_count; i++) {
        buf_printf(path, "%ccommand=", separator); /* an empty argument is one, too */
        http_escape(path, str_from(exec->command[i]));
        separator = '&';
    }
    rest_param(path, &separator, "container", container);
    rest_param(path, &separator, "stdin", exec->use_stdin ? STR("true") : STR_NULL);
    rest_param(path, &separator, "stdout", STR("true"));
    rest_param(path, &separator, "stderr", exec->tty ? STR_NULL : STR("true"));
    rest_param(path, &separator, "tty", exec->tty ? STR("true") : STR_NULL);
    return buf_ok(path) ? 0 : err_set(err, ERR_NO_MEMORY, "request");
}

static int run(struct session *session, struct resources *resources, const struct exec *exec, int *ret_status, struct err *err)
{
    AUTO_DEINIT(buf, path) = BUF_INIT;
    const struct json *pod;
    struct str container;
    int code = pods_find(resources, exec->pod, &pod, err);

    if (code == 0)
        code = pod_container(pod, exec->container, &container, err);
    if (code == 0)
        code = make_path(session, exec, json_str_at(pod, "metadata.name"), container, &path, err);
    const struct remote_options remote = { .path = buf_str(&path), .stdin_wanted = exec->use_stdin, .tty = exec->tty };

    return code == 0 ? remote_run(session, &remote, ret_status, err) : code;
}

int exec_main(int argc, char **argv)
{
    struct exec exec = { 0 };
    struct resources resources;
    struct session session;
    struct err err = { 0 };
    int status = 0;

    if (cli_parse_in_order(&exec_argp, argc, argv, &exec) != 0)
        return 2;
    if (!exec.pod || !exec.command_count)
        return cli_usage_error("exec", "say in which pod to run what: POD -- COMMAND");
    if (exec.tty && exec.use_stdin && !isatty(STDIN_FILENO)) {
        fprintf(stderr, "caravel: standard input is no terminal; -t is left out\n");
        exec.tty = false;
    }
    int code = session_open(&session, &exec.session_options, &err);

    resources_init(&resources, &session);
    if (code == 0)
        code = run(&session, &resources, &exec, &status, &err);
    resources_deinit(&resources);
    session_close(&session);
    return code < 0 ? cli_fail(&err) : status;
}
