/* image.c - caravel image import|list|remove: the images of this node, by hand. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/cli.h"
#include "kubelet/image/image_store.h"
#include "schema/time.h"

struct arguments {
    struct instance_options common;
    const char *name;
    const char *words[3];
    int word_count, fd; /* of the archive */
};

static const struct argp_option options[] = {
    { "name", 'n', "REF", 0, "import: call the image so, whatever the archive says", 0 },
    { 0 },
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;

    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &arguments->common; return 0;
    case 'n': arguments->name = value; return 0;
    case ARGP_KEY_ARG:
        if (arguments->word_count >= (int)ARRAY_LEN(arguments->words))
            argp_error(state, "unexpected argument \"%s\"", value);
        else
            arguments->words[arguments->word_count++] = value;
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

const struct argp image_argp = {
    options, parse, "import FILE|-\nlist\nremove REF",
    "Imports docker and OCI archives, lists and removes images of this node.\v"
    "Example:\n  skopeo copy docker://nginx:1.27 docker-archive:nginx.tar:nginx:1.27\n  caravel image import nginx.tar",
    instance_children, NULL, NULL,
};

/* "12.3 MB", as docker counts. */
static const char *size_text(uint64_t bytes, char out[32])
{
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1000 && unit + 1 < ARRAY_LEN(units)) {
        value /= 1000;
        unit++;
    }
    snprintf(out, 32, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return out;
}

static void print_image(const struct image *image)
{
    struct str id = str_first(digest_hex(&image->id), 12);
    char size[32];
    size_t names = MAX(image->repo_tags.count, (size_t)1);

    for (size_t i = 0; i < names; i++) {
        struct str name = image->repo_tags.count      ? image->repo_tags.items[i]
                          : image->repo_digests.count ? image->repo_digests.items[0]
                                                      : STR("<none>");

        printf("%-60.*s %-14.*s %s\n", STR_ARG(name), STR_ARG(id), size_text(image->size, size));
    }
}

static void report(void *ctx, const struct image_event *event)
{
    if (event->phase == IMAGE_LAYER_DONE && isatty(STDERR_FILENO))
        fprintf(stderr, "layer %zu of %zu is unpacked\n", event->layer + 1, event->layer_count);
}

static int import_archive(struct image_store *store, const struct arguments *arguments, struct err *err)
{
    const struct image_import import = { .fd = arguments->fd, .name = str_from(arguments->name),
                                         .progress = { report, NULL } };
    struct image_list images = { 0 };
    int code = image_store_import(store, &import, &images, err);

    if (code < 0)
        return err_wrap(err, code, "importing %s", arguments->words[1]);
    for (size_t i = 0; i < images.count; i++)
        print_image(images.items[i]);
    image_list_deinit(&images);
    return 0;
}

static int list(struct image_store *store, struct err *err)
{
    struct image_list images;
    int code = image_store_list(store, &images, err);

    if (code < 0)
        return code;
    printf("%-60s %-14s %s\n", "IMAGE", "ID", "SIZE");
    for (size_t i = 0; i < images.count; i++)
        print_image(images.items[i]);
    image_list_deinit(&images);
    return 0;
}

static int run(struct image_store *store, const struct arguments *arguments, struct err *err)
{
    const char *verb = arguments->words[0];

    if (strcmp(verb, "import") == 0)
        return import_archive(store, arguments, err);
    if (strcmp(verb, "remove") == 0)
        return image_store_remove(store, str_from(arguments->words[1]), err);
    return list(store, err);
}

/* An instance comes into being only when there is something to put into it. */
static int prepare(const struct instance *instance, struct arguments *arguments, struct err *err)
{
    const char *file = arguments->words[1];

    if (strcmp(arguments->words[0], "import") == 0) {
        arguments->fd = strcmp(file, "-") == 0 ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
        if (arguments->fd < 0)
            return err_errno(err, errno, "opening %s", file);
    } else if (!file_exists(instance->data_dir)) {
        return err_set(err, ERR_NOT_FOUND, "instance %s: nothing in %s", instance->name, instance->data_dir);
    }
    return instance_claim(instance, err);
}

static const char *wrong_words(const struct arguments *arguments)
{
    static const struct {
        const char *verb;
        int words;
        const char *usage;
    } verbs[] = { { "import", 2, "import wants one FILE (or -)" },
                  { "list", 1, "list takes no argument" },
                  { "remove", 2, "remove wants one REF" } };

    for (size_t i = 0; arguments->word_count && i < ARRAY_LEN(verbs); i++)
        if (strcmp(arguments->words[0], verbs[i].verb) == 0)
            return arguments->word_count == verbs[i].words ? NULL : verbs[i].usage;
    return "say import, list or remove";
}

int image_main(int argc, char **argv)
{
    struct arguments arguments = { 0 };
    struct instance instance;
    struct err err = { 0 };
    char path[INSTANCE_PATH_MAX];

    if (cli_parse(&image_argp, argc, argv, &arguments) != 0)
        return 2;
    const char *wrong = wrong_words(&arguments);

    if (wrong)
        return cli_usage_error("image", "%s", wrong);
    int code = instance_resolve(&arguments.common, &instance, &err);

    if (code == 0)
        code = prepare(&instance, &arguments, &err);
    if (code < 0)
        return cli_fail(&err);
    const struct image_store_options store_options = { .dir = instance_path(&instance, "images", path) };
    AUTO(image_store) store = NULL;

    code = image_store_open(&store_options, &store, &err);
    if (code == 0)
        code = run(store, &arguments, &err);
    return code < 0 ? cli_fail(&err) : 0;
}
