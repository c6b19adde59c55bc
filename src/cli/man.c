/* man.c - caravel __man FOLDER: writes caravel.1 and caravel-COMMAND.1 there; the build calls it.
 *
 * Of argp's documentation, what stands before \v says what the command does, and what follows is prose until a line "Examples:"
 * or "Example:"; its indented lines are shown as they are. `Words in backquotes` are bold. */
#include "cli/man.h"

#include <stdio.h>

#include "base/file.h"
#include "cli/options.h"

static const struct {
    enum command_group group;
    const char *title;
} groups[] = {
    { GROUP_CLUSTER, "Running a cluster" },
    { GROUP_OBJECTS, "Working with its objects" },
    { GROUP_PODS, "Looking into pods" },
    { GROUP_OTHER, "More" },
};

/* -- roff -- */

static void add_char(struct buf *buf, char c)
{
    if (c == '\\')
        buf_add_cstr(buf, "\\e");
    else if (c == '-')
        buf_add_cstr(buf, "\\-");
    else if (c == '\'')
        buf_add_cstr(buf, "\\(aq");
    else if (c == '~')
        buf_add_cstr(buf, "\\(ti");
    else if (c == '^')
        buf_add_cstr(buf, "\\(ha");
    else
        buf_add_char(buf, c);
}

/* Text of a line, whose beginning cannot be taken for a request. */
static void add_text(struct buf *buf, struct str text)
{
    bool bold = false;

    if (text.len && (text.data[0] == '.' || text.data[0] == '\''))
        buf_add_cstr(buf, "\\&");
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '`') {
            bold = !bold;
            buf_add_cstr(buf, bold ? "\\fB" : "\\fR");
        } else {
            add_char(buf, text.data[i]);
        }
    }
    if (bold)
        buf_add_cstr(buf, "\\fR");
    buf_add_char(buf, '\n');
}

static void add_verbatim(struct buf *buf, struct str text)
{
    if (text.len && (text.data[0] == '.' || text.data[0] == '\''))
        buf_add_cstr(buf, "\\&");
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '`')
            buf_add_cstr(buf, "\\(ga");
        else
            add_char(buf, text.data[i]);
    }
    buf_add_char(buf, '\n');
}

/* "the form" is "The form." */
static void add_sentence(struct buf *buf, struct str text)
{
    char first[2] = { text.len ? text.data[0] : 0 };
    struct buf sentence = BUF_INIT;

    if (first[0] >= 'a' && first[0] <= 'z')
        first[0] = (char)(first[0] - 'a' + 'A');
    buf_add(&sentence, first, text.len > 0);
    buf_add_str(&sentence, str_skip(text, 1));
    if (!str_has_suffix(text, STR(".")))
        buf_add_char(&sentence, '.');
    add_text(buf, buf_str(&sentence));
    buf_deinit(&sentence);
}

/* -- sections -- */

static void add_head(struct buf *buf, const char *name, const char *summary)
{
    buf_add_cstr(buf, ".TH \"");
    for (const char *c = name; *c; c++)
        add_char(buf, *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c);
    buf_add_cstr(buf, "\" \"1\" \"\" \"caravel " CARAVEL_VERSION "\" \"Caravel\"\n.SH NAME\n");
    for (const char *c = name; *c; c++)
        add_char(buf, *c);
    buf_add_cstr(buf, " \\- ");
    add_text(buf, str_from(summary));
}

static void add_synopsis(struct buf *buf, const struct command *command)
{
    struct str rest = command->argp ? str_from(command->argp->args_doc) : STR_NULL, line;

    if (!rest.data)
        rest = STR("");
    buf_add_cstr(buf, ".SH SYNOPSIS\n.nf\n");
    while (str_split(&rest, '\n', &line)) {
        buf_printf(buf, "\\fBcaravel %s\\fR [\\fIOPTION\\fR...]%s", command->name, line.len ? " " : "");
        for (size_t i = 0; i < line.len; i++)
            add_char(buf, line.data[i]);
        buf_add_char(buf, '\n');
    }
    buf_add_cstr(buf, ".fi\n");
}

static void add_option(void *arg, const struct argp_option *option)
{
    struct buf *buf = arg;
    char letter = option_letter(option);
    const char *open = option->flags & OPTION_ARG_OPTIONAL ? "[" : "", *close = *open ? "]" : "";

    buf_add_cstr(buf, ".TP\n");
    if (letter)
        buf_printf(buf, "\\fB\\-%c\\fR, ", letter);
    buf_add_cstr(buf, "\\fB\\-\\-");
    for (const char *c = option->name; *c; c++)
        add_char(buf, *c);
    buf_add_cstr(buf, "\\fR");
    if (option->arg) {
        buf_printf(buf, "%s=\\fI", open);
        for (const char *c = option->arg; *c; c++)
            add_char(buf, *c);
        buf_printf(buf, "\\fR%s", close);
    }
    buf_add_char(buf, '\n');
    add_sentence(buf, str_from(option->doc));
}

static void count_option(void *arg, const struct argp_option *option)
{
    ++*(size_t *)arg;
}

static bool is_examples(struct str line)
{
    return str_is(line, "Examples:") || str_is(line, "Example:");
}

static struct str before(struct str doc)
{
    ssize_t bar = str_chr(doc, '\v');

    return bar < 0 ? doc : str_first(doc, (size_t)bar);
}

static struct str behind(struct str doc)
{
    ssize_t bar = str_chr(doc, '\v');

    return bar < 0 ? STR_NULL : str_skip(doc, (size_t)bar + 1);
}

/* The prose; *ret_examples: what follows "Examples:". */
static void add_prose(struct buf *buf, struct str text, struct str *ret_examples)
{
    struct str line;
    bool fresh = true;

    *ret_examples = STR_NULL;
    while (str_split(&text, '\n', &line)) {
        if (is_examples(line)) {
            *ret_examples = text;
            return;
        }
        if (!line.len) {
            fresh = true;
            continue;
        }
        if (fresh)
            buf_add_cstr(buf, ".PP\n");
        fresh = false;
        add_text(buf, line);
    }
}

static void add_examples(struct buf *buf, struct str text)
{
    struct str line;

    if (!text.data)
        return;
    buf_add_cstr(buf, ".SH EXAMPLES\n.EX\n");
    while (str_split(&text, '\n', &line))
        add_verbatim(buf, str_has_prefix(line, STR("  ")) ? str_skip(line, 2) : line);
    buf_add_cstr(buf, ".EE\n");
}

static void add_command_page(struct buf *buf, const struct command *command)
{
    struct str doc = command->argp && command->argp->doc ? str_from(command->argp->doc) : STR(""), examples;
    char name[64];
    size_t options = 0;

    snprintf(name, sizeof name, "caravel-%s", command->name);
    add_head(buf, name, command->summary);
    add_synopsis(buf, command);
    buf_add_cstr(buf, ".SH DESCRIPTION\n");
    add_text(buf, before(doc));
    add_prose(buf, behind(doc), &examples);
    options_each(command->argp, count_option, &options);
    if (options) {
        buf_add_cstr(buf, ".SH OPTIONS\n");
        options_each(command->argp, add_option, buf);
    }
    add_examples(buf, examples);
    buf_add_cstr(buf, ".SH EXIT STATUS\n");
    add_text(buf, strcmp(command->name, "exec") == 0
                      ? STR("That of the command; 1 when it could not be run, 2 for a wrong command line.")
                      : STR("0 when all went well, 1 when something failed, 2 for a wrong command line."));
    buf_add_cstr(buf, ".SH SEE ALSO\n.BR caravel (1)\n");
}

static void add_main_page(struct buf *buf)
{
    add_head(buf, "caravel", "a cluster in one binary, with the Kubernetes API");
    buf_add_cstr(buf, ".SH SYNOPSIS\n\\fBcaravel\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR...]\n.SH DESCRIPTION\n");
    add_text(buf, STR("Caravel runs containers on one machine or many, and speaks the Kubernetes API (v1.33)."));
    add_text(buf, STR("One binary is the server, the agent of each node, and the command line."));
    add_text(buf, STR("`caravel up` turns a Linux machine into a cluster; kubectl, or the commands below, work with it."));
    buf_add_cstr(buf, ".SH COMMANDS\n");
    for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
        buf_printf(buf, ".SS %s\n", groups[g].title);
        for (size_t i = 0; i < command_count; i++) {
            if (commands[i].group != groups[g].group)
                continue;
            buf_add_cstr(buf, ".TP\n.BR caravel\\-");
            for (const char *c = commands[i].name; *c; c++)
                add_char(buf, *c);
            buf_add_cstr(buf, " (1)\n");
            add_sentence(buf, str_from(commands[i].summary));
        }
    }
    buf_add_cstr(buf, ".SH ENVIRONMENT\n.TP\n.B KUBECONFIG\n");
    add_text(buf, STR("The kubeconfig files that say where the server is, with colons between; the first that has an entry "
                      "counts. Without it: ~/.kube/config, then /var/lib/caravel/admin.kubeconfig."));
    buf_add_cstr(buf, ".SH FILES\n.TP\n.I /var/lib/NAME\n");
    add_text(buf, STR("All that an instance keeps; NAME is caravel, unless --instance says otherwise."));
    buf_add_cstr(buf, ".TP\n.I /var/lib/NAME/admin.kubeconfig\n");
    add_text(buf, STR("How its administrator reaches it."));
    buf_add_cstr(buf, ".SH EXAMPLES\n.EX\ncaravel up \\-\\-detach\ncaravel apply \\-f examples/\ncaravel get pods \\-A\n"
                      "caravel down\n.EE\n");
}

void man_write(struct buf *buf, const struct command *command)
{
    if (command)
        add_command_page(buf, command);
    else
        add_main_page(buf);
}

/* -- the command -- */

static int write_page(const char *folder, const struct command *command, struct err *err)
{
    AUTO_DEINIT(buf, page) = BUF_INIT;
    AUTO_DEINIT(buf, path) = BUF_INIT;

    buf_printf(&path, "%s/caravel%s%s.1", folder, command ? "-" : "", command ? command->name : "");
    buf_add_char(&path, 0);
    man_write(&page, command);
    if (!buf_ok(&page) || !buf_ok(&path))
        return err_set(err, ERR_NO_MEMORY, "manual page");
    return file_write_atomic(path.data, buf_str(&page), 0644, err);
}

int man_main(int argc, char **argv)
{
    struct err err = { 0 };

    if (argc != 2)
        return cli_usage_error("__man", "say into which folder");
    int code = file_make_dirs(argv[1], 0755, &err);

    if (code == 0)
        code = write_page(argv[1], NULL, &err);
    for (size_t i = 0; code == 0 && i < command_count; i++)
        if (commands[i].group != GROUP_HIDDEN)
            code = write_page(argv[1], &commands[i], &err);
    return code < 0 ? cli_fail(&err) : 0;
}
