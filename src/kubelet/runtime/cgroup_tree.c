/* cgroup_tree.c - what hierarchies there are, read from mountinfo.
 *
 * A line ends in "- <type> <source> <super options>"; the super options of a v1 mount name its controllers. With any
 * controller in v1 the machine counts as v1 (or hybrid, when a v2 tree is mounted too): a controller can only be in
 * one of both, and then the ones that limit containers are found in v1. */
#include "kubelet/runtime/cgroup_internal.h"

#include <stdio.h>

#include "base/file.h"

#define MOUNTINFO_MAX ((size_t)64 << 20)

static bool copy(char *out, size_t size, struct str s)
{
    if (s.len >= size)
        return false;
    memcpy(out, s.data, s.len);
    out[s.len] = 0;
    return true;
}

/* The controllers among super options: everything but the generic ones. */
static void add_controllers(struct str options, char *out, size_t size)
{
    static const char *const generic[] = { "rw", "ro", "noprefix", "xattr", "clone_children", "cpuset_v2_mode" };
    struct str option;
    size_t len = 0;

    out[0] = 0;
    while (str_split(&options, ',', &option)) {
        bool skip = option.len == 0 || str_has_prefix(option, STR("release_agent="));

        for (size_t i = 0; i < ARRAY_LEN(generic); i++)
            skip = skip || str_is(option, generic[i]);
        if (skip || len + option.len + 2 > size)
            continue;
        len += (size_t)snprintf(out + len, size - len, "%s" STR_FMT, len ? "," : "", STR_ARG(option));
    }
}

static void add_hierarchy(struct cgroup_tree *tree, struct str mount, struct str options)
{
    struct cgroup_hierarchy *hierarchy = &tree->hierarchies[tree->hierarchy_count];

    if (tree->hierarchy_count == CGROUP_HIERARCHIES_MAX || !copy(hierarchy->mount, sizeof hierarchy->mount, mount))
        return;
    add_controllers(options, hierarchy->controllers, sizeof hierarchy->controllers);
    for (size_t i = 0; i < tree->hierarchy_count; i++)
        if (strcmp(tree->hierarchies[i].controllers, hierarchy->controllers) == 0)
            return; /* mounted twice: the first counts */
    tree->hierarchy_count++;
}

static void parse_line(struct cgroup_tree *tree, struct str line)
{
    struct str field, mount = STR_NULL, root = STR_NULL;
    int number = 0;

    while (str_split(&line, ' ', &field)) {
        number++;
        if (number == 4)
            root = field;
        if (number == 5)
            mount = field;
        if (number > 6 && str_is(field, "-"))
            break;
    }
    struct str type, source;
    if (!str_is(root, "/") || !str_split(&line, ' ', &type) || !str_split(&line, ' ', &source))
        return;
    if (str_is(type, "cgroup"))
        add_hierarchy(tree, mount, line);
    else if (str_is(type, "cgroup2") && tree->unified[0] == 0)
        copy(tree->unified, sizeof tree->unified, mount);
}

static bool has_controllers(const struct cgroup_tree *tree)
{
    for (size_t i = 0; i < tree->hierarchy_count; i++)
        if (strncmp(tree->hierarchies[i].controllers, "name=", 5) != 0)
            return true;
    return false;
}

int cgroup_tree_parse(struct str mountinfo, struct cgroup_tree *ret_tree, struct err *err)
{
    struct cgroup_tree tree = { .root = "/sys/fs/cgroup" };
    struct str line;

    while (str_split(&mountinfo, '\n', &line))
        parse_line(&tree, line);
    if (has_controllers(&tree))
        tree.mode = tree.unified[0] ? CGROUP_HYBRID : CGROUP_V1;
    else if (tree.unified[0])
        tree.mode = CGROUP_V2;
    else
        return err_set(err, ERR_NOT_SUPPORTED, "no cgroup hierarchy is mounted");
    *ret_tree = tree;
    return 0;
}

int cgroup_tree_detect(struct cgroup_tree *ret_tree, struct err *err)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;

    int r = file_read("/proc/self/mountinfo", MOUNTINFO_MAX, &text, err);
    if (r < 0)
        return r;
    return cgroup_tree_parse(buf_str(&text), ret_tree, err);
}

const char *cgroup_mount(const struct cgroup_tree *tree, const char *controller)
{
    if (tree->mode == CGROUP_V2)
        return tree->unified;
    for (size_t i = 0; i < tree->hierarchy_count; i++) {
        struct str list = str_from(tree->hierarchies[i].controllers), one;

        while (str_split(&list, ',', &one))
            if (str_is(one, controller))
                return tree->hierarchies[i].mount;
    }
    return NULL;
}
