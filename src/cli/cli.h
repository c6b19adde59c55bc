/* cli.h - the subcommands of `caravel`, and what they share. */
#pragma once

#include <argp.h>
#include <stdio.h>

#include "base/err.h"
#include "base/str.h"

/* The one table of commands. Help, completion and man pages are made of it and of the argp tables it names. */
enum command_group { GROUP_CLUSTER, GROUP_OBJECTS, GROUP_PODS, GROUP_OTHER, GROUP_HIDDEN };

/* What the arguments of a command are, for completion. What the value of an option is, its placeholder says: FILE, NAMESPACE,
 * "a|b|c". */
enum operands { OPERANDS_NONE, OPERANDS_FILES, OPERANDS_TYPES, OPERANDS_TYPES_AND_NAMES, OPERANDS_PODS, OPERANDS_WORDS,
                OPERANDS_WORD_AND_TYPE };

struct command {
    const char *name, *summary;
    enum command_group group;
    int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns the exit status */
    const struct argp *argp;           /* its options and help; NULL: it has none */
    enum operands operands;
    const char *words; /* OPERANDS_WORDS, OPERANDS_WORD_AND_TYPE: "a|b|c" */
};
extern const struct command commands[];
extern const size_t command_count;
const struct command *command_find(const char *name); /* or NULL */
/* The overview: commands by purpose. */
void commands_usage(FILE *out);

/* One file each. */
#define COMMAND(name)                                                                                                  \
    int name##_main(int argc, char **argv);                                                                            \
    extern const struct argp name##_argp;
COMMAND(up)
COMMAND(down)
COMMAND(server)
COMMAND(agent)
COMMAND(image)
COMMAND(store)
COMMAND(backup)
COMMAND(restore)
COMMAND(version)
COMMAND(get)
COMMAND(describe)
COMMAND(explain)
COMMAND(why)
COMMAND(diff)
COMMAND(apply)
COMMAND(delete)
COMMAND(undo)
COMMAND(api_resources)
COMMAND(logs)
COMMAND(exec)
COMMAND(completion)
#undef COMMAND
int complete_main(int argc, char **argv);
int man_main(int argc, char **argv);

#define CARAVEL_VERSION "0.1.0"

/* One line on stderr, "caravel: ..."; returns 1. */
int cli_fail(const struct err *err);
int cli_usage_error(const char *command, const char *fmt, ...) PRINTF(2, 3); /* returns 2 */

/* Where an instance lives. Checked and filled by instance_resolve(). */
struct instance {
    char name[41];
    char data_dir[256], run_dir[128];
};
/* Unset: "caravel"; /var/lib/<name>. ERR_BAD_REQUEST for names that could not name links and folders. */
struct instance_options;
int instance_resolve(const struct instance_options *options, struct instance *ret_instance, struct err *err);
/* Makes the data directory and marks it as this instance's; ERR_CONFLICT when it is another's. */
int instance_claim(const struct instance *instance, struct err *err);

/* --instance and --data-dir (and --verbose), which every subcommand takes: a child parser for argp. Its input is a struct
 * instance_options, set by the parent at ARGP_KEY_INIT: state->child_inputs[0] = &arguments->common. */
struct instance_options {
    const char *instance, *data_dir;
    bool verbose; /* log_set_level() was called already */
};
extern const struct argp instance_argp;
extern const struct argp_child instance_children[];
/* Parses a command line. 0, or the exit status after a message. */
int cli_parse(const struct argp *argp, int argc, char **argv, void *arguments);
/* The same for commands to which it matters what stands before "--" and what behind. */
int cli_parse_in_order(const struct argp *argp, int argc, char **argv, void *arguments);

/* <data_dir>/<name>, in a static-size buffer of the caller. */
#define INSTANCE_PATH_MAX 512
const char *instance_path(const struct instance *instance, const char *name, char out[INSTANCE_PATH_MAX]);

/* "127.0.0.1:6443", ":6443", "0.0.0.0:6443". */
struct listen_address {
    char host[64];
    int port;
};
int listen_parse(const char *text, struct listen_address *ret_address, struct err *err);

/* The number of an option, between min and max; anything else ends the program with argp's usage error. */
int option_number(const struct argp_state *state, const char *option, const char *value, int min, int max);

/* Blocks SIGTERM and SIGINT in this thread and those it starts; then waits for one of them. */
void signals_block(void);
int signals_wait(void);

/* Tells who started us that we serve: writes a line to that descriptor and closes it. -1: nobody asked. */
void ready_notify(int fd, const char *line);
