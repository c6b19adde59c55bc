/* complete.c - caravel __complete WORD...: what the last word may become, one candidate on a line, its explanation after a tab.
 * The scripts that `caravel completion` prints call it.
 *
 * Options come from the argp tables. What a value is, its placeholder says: NAMESPACE, CONTEXT, "a|b". A line ":files" asks the
 * shell for files. The server has SECONDS to answer; errors give no candidates, and no words. */
#include <glob.h>
#include <signal.h>
#include <unistd.h>

#include "cli/options.h"
#include "cli/pods.h"

#define SECONDS 3
#define WORDS_MAX 256
#define INSTANCES "/var/lib/*/admin.kubeconfig"

struct completion {
    struct str words[WORDS_MAX]; /* behind "caravel" */
    size_t count;
    struct str partial, prefix; /* prefix: what stands before each candidate */
    const struct command *command;
    struct str operands[WORDS_MAX]; /* complete ones */
    size_t operand_count;
    struct session_options session_options;

    struct session session;
    struct resources resources;
    bool open;
};

static void offer(const struct completion *c, struct str candidate, const char *doc)
{
    if (!candidate.len || !str_has_prefix(candidate, c->partial))
        return;
    printf(STR_FMT STR_FMT "%s%s\n", STR_ARG(c->prefix), STR_ARG(candidate), doc ? "\t" : "", doc ? doc : "");
}

static bool open_session(struct completion *c)
{
    if (!c->open) {
        c->open = session_open(&c->session, &c->session_options, NULL) == 0;
        resources_init(&c->resources, &c->session);
    }
    return c->open;
}

/* -- candidates that the server knows -- */

static void offer_names(struct completion *c, struct str type)
{
    const struct resource *resource;
    AUTO_DEINIT(buf, path) = BUF_INIT;
    struct json *list;

    if (!open_session(c) || resources_find(&c->resources, type, &resource, NULL) < 0)
        return;
    rest_path(&path, resource, c->session.ns, STR_NULL, STR_NULL);
    const struct session_request request = { .path = buf_str(&path), .accept = ACCEPT_PARTIAL_LIST };

    if (!buf_ok(&path) || session_json(&c->session, &request, &c->session.arena, NULL, &list, NULL) < 0)
        return;
    const struct json *items = json_member(list, "items");

    for (uint32_t i = 0; json_is(items, JSON_ARRAY) && i < items->count; i++)
        offer(c, json_str_at(&items->items[i], "metadata.name"), NULL);
}

static void offer_type(const struct completion *c, struct arena *arena, const struct resource *resource)
{
    if (!(resource->verbs & (VERB_LIST | VERB_GET)))
        return;
    offer(c, resource->plural, arena_cstr(arena, resource->kind));
    if (c->partial.len && !str_has_prefix(resource->plural, c->partial))
        for (size_t i = 0; i < resource->short_name_count; i++)
            offer(c, resource->short_names[i], arena_cstr(arena, resource->kind));
}

/* "pods,serv": the part before the last comma stays. */
static void offer_types(struct completion *c)
{
    ssize_t comma = str_rchr(c->partial, ',');

    if (comma >= 0) {
        c->prefix = str_first(c->partial, (size_t)comma + 1);
        c->partial = str_skip(c->partial, (size_t)comma + 1);
    }
    if (!open_session(c) || resources_discover(&c->resources, NULL) < 0)
        return;
    for (size_t i = 0; i < c->resources.known.count; i++) {
        const struct resource *resource = c->resources.known.items[i];
        bool again = false;

        for (size_t j = 0; j < i && !again; j++)
            again = str_eq(c->resources.known.items[j]->plural, resource->plural);
        if (!again)
            offer_type(c, &c->session.arena, resource);
    }
    offer(c, STR("all"), "what workloads consist of");
}

static int offer_container(void *arg, struct str name)
{
    offer(arg, name, NULL);
    return 0;
}

static void offer_containers(struct completion *c)
{
    const struct json *pod;
    char *word = c->operand_count && open_session(c) ? arena_cstr(&c->session.arena, c->operands[0]) : NULL;

    if (word && pods_find(&c->resources, word, &pod, NULL) == 0)
        pod_each_container(pod, offer_container, c);
}

static void offer_contexts(struct completion *c)
{
    struct str_array names;
    AUTO(arena) arena = arena_new(0);

    open_session(c); /* also a kubeconfig without a good current context has some */
    if (arena && session_contexts(&c->session, &c->session_options, &names, NULL) == 0)
        for (size_t i = 0; i < names.count; i++)
            offer(c, names.items[i], NULL);
}

static void offer_instances(struct completion *c)
{
    glob_t found = { 0 };

    if (glob(INSTANCES, 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++) {
            struct str path = str_skip(str_from(found.gl_pathv[i]), strlen("/var/lib/"));

            offer(c, str_first(path, (size_t)str_chr(path, '/')), NULL);
        }
    globfree(&found);
}

/* -- candidates of the tables -- */

static void offer_alternatives(const struct completion *c, struct str alternatives)
{
    struct str one;

    while (str_split(&alternatives, '|', &one)) {
        ssize_t equals = str_chr(one, '=');

        offer(c, equals < 0 ? one : str_first(one, (size_t)equals + 1), NULL);
    }
}

static void offer_value(struct completion *c, const struct argp_option *option)
{
    static const struct {
        const char *placeholder;
        void (*fn)(struct completion *c);
    } rows[] = { { "CONTEXT", offer_contexts }, { "INSTANCE", offer_instances }, { "CONTAINER", offer_containers } };
    struct str arg = str_from(option->arg);

    if (str_is(arg, "FILE") || str_is(arg, "DIR"))
        puts(":files");
    else if (str_is(arg, "NAMESPACE"))
        offer_names(c, STR("namespaces"));
    else if (str_chr(arg, '|') >= 0 || (arg.data[0] >= 'a' && arg.data[0] <= 'z'))
        offer_alternatives(c, arg);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (str_is(arg, rows[i].placeholder))
            rows[i].fn(c);
}

static void offer_option(void *arg, const struct argp_option *option)
{
    const struct completion *c = arg;
    char word[64];

    snprintf(word, sizeof word, "--%s%s", option->name, option_takes_word(option) ? "=" : "");
    offer(c, str_from(word), option->doc);
    if (c->partial.len < 2 && option_letter(option)) {
        snprintf(word, sizeof word, "-%c", option_letter(option));
        offer(c, str_from(word), option->doc);
    }
}

static void offer_commands(const struct completion *c)
{
    for (size_t i = 0; i < command_count; i++)
        if (commands[i].group != GROUP_HIDDEN)
            offer(c, str_from(commands[i].name), commands[i].summary);
    offer(c, STR("help"), "the overview, or the help of a command");
}

/* "type/na" */
static bool offer_pair(struct completion *c)
{
    ssize_t slash = str_chr(c->partial, '/');
    struct str type = slash > 0 ? str_first(c->partial, (size_t)slash) : STR_NULL;

    if (!type.len)
        return false;
    c->prefix = str_first(c->partial, (size_t)slash + 1);
    c->partial = str_skip(c->partial, (size_t)slash + 1);
    offer_names(c, type);
    return true;
}

static void offer_operand(struct completion *c)
{
    switch (c->command->operands) {
    case OPERANDS_NONE: break;
    case OPERANDS_FILES: puts(":files"); break;
    case OPERANDS_WORDS:
        if (c->operand_count == 0)
            offer_alternatives(c, str_from(c->command->words));
        else
            puts(":files");
        break;
    case OPERANDS_WORD_AND_TYPE:
        if (c->operand_count == 0)
            offer_alternatives(c, str_from(c->command->words));
        else if (c->operand_count == 1)
            offer_types(c);
        break;
    case OPERANDS_TYPES: offer_types(c); break;
    case OPERANDS_TYPES_AND_NAMES:
        if (!offer_pair(c) && c->operand_count == 0)
            offer_types(c);
        else if (!c->prefix.len && c->operand_count)
            offer_names(c, c->operands[0]);
        break;
    case OPERANDS_PODS:
        if (!offer_pair(c) && c->operand_count == 0)
            offer_names(c, STR("pods"));
        else if (!c->prefix.len && c->operand_count == 1)
            offer_containers(c);
        break;
    }
}

/* -- the words so far -- */

/* Options that say where the server is count for what is asked there. */
static void note_option(struct completion *c, const struct argp_option *option, struct str value)
{
    char *copy = option->name && value.data ? str_dup(value) : NULL;
    const struct {
        const char *name;
        const char **place;
    } rows[] = { { "namespace", &c->session_options.ns },
                 { "kubeconfig", &c->session_options.kubeconfig },
                 { "context", &c->session_options.context },
                 { "instance", &c->session_options.instance } };

    for (size_t i = 0; copy && i < ARRAY_LEN(rows); i++)
        if (strcmp(option->name, rows[i].name) == 0) {
            free((void *)*rows[i].place);
            *rows[i].place = TAKE(copy);
        }
    free(copy);
}

/* The option whose value is being written; NULL: it is something else. */
static const struct argp_option *read_words(struct completion *c)
{
    const struct argp_option *pending = NULL;

    for (size_t i = 1; i + 1 < c->count; i++) {
        struct str word = c->words[i];
        ssize_t equals = str_chr(word, '=');

        if (pending && str_is(word, "="))
            continue; /* bash takes "--output=yaml" apart */
        if (pending) {
            note_option(c, pending, word);
            pending = NULL;
        } else if (str_is(word, "--")) {
            return NULL;
        } else if (str_has_prefix(word, STR("-")) && word.len > 1) {
            pending = option_find(c->command->argp, word);
            if (pending && str_has_prefix(word, STR("--")) && equals >= 0) {
                note_option(c, pending, str_skip(word, (size_t)equals + 1));
                pending = NULL;
            }
            if (pending && !option_takes_word(pending))
                pending = NULL;
        } else {
            c->operands[c->operand_count++] = word;
        }
    }
    return pending;
}

static void complete(struct completion *c)
{
    const struct argp_option *pending;
    ssize_t equals = str_chr(c->partial, '=');

    if (c->count <= 1) {
        offer_commands(c);
        return;
    }
    char *name = str_dup(c->words[0]);

    c->command = name ? command_find(name) : NULL;
    free(name);
    if (!c->command && str_is(c->words[0], "help"))
        offer_commands(c);
    if (!c->command)
        return;
    pending = read_words(c);
    if (pending) {
        if (str_is(c->partial, "="))
            c->partial = STR("");
        offer_value(c, pending);
    } else if (str_has_prefix(c->partial, STR("--")) && equals >= 0) {
        pending = option_find(c->command->argp, c->partial);
        c->prefix = str_first(c->partial, (size_t)equals + 1);
        c->partial = str_skip(c->partial, (size_t)equals + 1);
        if (pending && pending->arg)
            offer_value(c, pending);
    } else if (str_has_prefix(c->partial, STR("-"))) {
        options_each(c->command->argp, offer_option, c);
        offer(c, STR("--help"), "the help of this command");
    } else {
        offer_operand(c);
    }
}

static void out_of_time(int number)
{
    _exit(0);
}

int complete_main(int argc, char **argv)
{
    struct completion c = { 0 };

    signal(SIGALRM, out_of_time);
    alarm(SECONDS);
    for (int i = 1; i < argc && c.count < WORDS_MAX; i++)
        c.words[c.count++] = str_from(argv[i]);
    c.partial = c.count ? c.words[c.count - 1] : STR("");
    complete(&c);
    if (c.open)
        resources_deinit(&c.resources);
    session_close(&c.session);
    free((void *)c.session_options.ns);
    free((void *)c.session_options.kubeconfig);
    free((void *)c.session_options.context);
    free((void *)c.session_options.instance);
    return 0;
}
