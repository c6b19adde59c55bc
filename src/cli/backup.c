/* backup.c - caravel backup: all that a cluster knows, or what has changed since, into a file. Also while it runs. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/backup_file.h"
#include "cli/cluster_files.h"
#include "cli/passphrase.h"
#include "cli/store_options.h"

struct arguments {
    struct instance_options common;
    const char *file, *since, *passphrase_file;
    bool encrypt;
};

enum { OPT_SINCE = 256, OPT_PASSPHRASE_FILE };

static const struct argp_option options[] = {
    { "since", OPT_SINCE, "FILE", 0, "an increment: only what has changed since that backup, or after that revision", 0 },
    { "encrypt", 'e', NULL, 0, "encrypt with a passphrase (AES-256-GCM, scrypt)", 0 },
    { "passphrase-file", OPT_PASSPHRASE_FILE, "FILE", 0, "its first line is the passphrase", 0 },
    { 0 },
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;

    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &arguments->common; return 0;
    case OPT_SINCE: arguments->since = value; return 0;
    case 'e': arguments->encrypt = true; return 0;
    case OPT_PASSPHRASE_FILE: arguments->passphrase_file = value; return 0;
    case ARGP_KEY_ARG:
        if (arguments->file)
            argp_error(state, "unexpected argument \"%s\"", value);
        arguments->file = value;
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

const struct argp backup_argp = {
    options, parse, "FILE|-",
    "Writes all that a cluster knows into a file: objects, their history, certificates and keys.\v"
    "The server may be running. What is written is one state of the cluster, and the file has its name only when it is "
    "whole. Images and the data of volumes are not in it. Without --encrypt it holds the cluster's keys readable: keep "
    "it safe. The passphrase comes from --passphrase-file, else from $CARAVEL_PASSPHRASE, else from the terminal.\n\n"
    "An increment needs that the changes since are still in the store's history (see --history of `caravel up`).\n\n"
    "Examples:\n  caravel backup monday.backup\n  caravel backup tuesday.increment --since monday.backup\n"
    "  caravel backup --encrypt - | ssh vault 'cat > cluster.backup'",
    instance_children, NULL, NULL,
};

static void print_progress(void *ctx, uint64_t done, uint64_t total)
{
    fprintf(stderr, "\r%3.0f %% of %llu records", total ? 100.0 * (double)MIN(done, total) / (double)total : 100.0,
            (unsigned long long)total);
}

/* --since: a revision, or the backup that went up to it. */
static int find_since(struct arena *arena, const struct arguments *arguments, struct backup_options *backup,
                      struct err *err)
{
    AUTO(stream_reader) reader = NULL;
    struct backup_header header;
    struct str passphrase = STR_NULL;
    AUTO_CLOSE int fd = -1;

    if (str_to_u64(str_from(arguments->since), &backup->since))
        return backup->since ? 0 : err_set(err, ERR_INVALID, "--since 0: leave it out for a full backup");
    int code = backup_file_open(arguments->since, &fd, err);
    if (code == 0 && backup_file_is_encrypted(arguments->since))
        code = backup->passphrase.data
                   ? (passphrase = backup->passphrase, 0)
                   : passphrase_get(arena, arguments->passphrase_file, false, &passphrase, err);
    if (code < 0)
        return code;
    const struct stream_source source = backup_file_source(&fd);
    code = stream_reader_new(&source, passphrase, &reader, err);
    if (code == 0)
        code = backup_header_read(reader, &header, err);
    if (code < 0)
        return err_wrap(err, code, "--since %s", arguments->since);
    backup->since = header.to;
    backup->mark = header.last;
    return header.to ? 0 : err_set(err, ERR_INVALID, "--since %s: there was nothing in it: make a full backup",
                                   arguments->since);
}

static void tell(const char *file, const struct backup_summary *summary)
{
    const struct backup_header *header = &summary->header;

    fprintf(stderr, "%s: %s of instance %s, revision", file, header->from ? "an increment" : "a backup",
            header->instance);
    if (header->from)
        fprintf(stderr, "s %llu to", (unsigned long long)header->from + 1);
    fprintf(stderr, " %llu: %llu records, %.1f MB; the store was held for %.1f s\n", (unsigned long long)header->to,
            (unsigned long long)summary->records, (double)summary->bytes / 1e6, (double)summary->held / NSEC_PER_SEC);
}

static int write_backup(const struct instance *instance, const struct arguments *arguments,
                        const struct backup_options *backup, struct err *err)
{
    char path[INSTANCE_PATH_MAX];
    struct backup_file_out out;
    struct backup_summary summary;
    int code = backup_file_create(arguments->file, &out, err);

    if (code < 0)
        return code;
    const struct stream_sink sink = backup_file_sink(&out);
    code = backup_write(store_folder(instance, path), backup, &sink, &summary, err);
    if (code == 0)
        code = backup_file_finish(&out, err);
    backup_file_abort(&out);
    if (backup->progress)
        fprintf(stderr, "\r%40s\r", "");
    if (code == 0)
        tell(arguments->file, &summary);
    return code;
}

static int run(struct arena *arena, const struct instance *instance, const struct arguments *arguments, struct err *err)
{
    AUTO_FREE struct cluster_files *files = calloc(1, sizeof *files);
    struct backup_options backup = { .instance = instance->name, .clock = clock_real(), .rng = rng_system(),
                                     .progress = isatty(STDERR_FILENO) ? print_progress : NULL };
    int code = files ? 0 : err_set(err, ERR_NO_MEMORY, "backup");

    if (code == 0 && arguments->encrypt)
        code = passphrase_get(arena, arguments->passphrase_file, true, &backup.passphrase, err);
    if (code == 0 && arguments->since)
        code = find_since(arena, arguments, &backup, err);
    if (code == 0)
        code = cluster_files_load(arena, instance, files, err);
    if (code < 0)
        return code;
    backup.files = files->files;
    backup.file_count = files->count;
    return write_backup(instance, arguments, &backup, err);
}

int backup_main(int argc, char **argv)
{
    AUTO(arena) arena = arena_new(0);
    struct arguments arguments = { 0 };
    struct instance instance;
    struct err err = { 0 };

    if (cli_parse(&backup_argp, argc, argv, &arguments) != 0)
        return 2;
    if (!arguments.file)
        return cli_usage_error("backup", "say where to: FILE, or - for standard output");
    if (strcmp(arguments.file, "-") == 0 && isatty(STDOUT_FILENO))
        return cli_usage_error("backup", "a backup is nothing for a terminal");
    signal(SIGPIPE, SIG_IGN);
    int code = arena ? instance_resolve(&arguments.common, &instance, &err) : err_set(&err, ERR_NO_MEMORY, "backup");
    if (code < 0) {
        cli_fail(&err);
        return 2;
    }
    code = run(arena, &instance, &arguments, &err);
    return code < 0 ? cli_fail(&err) : 0;
}
