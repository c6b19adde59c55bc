/* store_attributes.c - folders whose attributes a layer forgot.
 *
 * A layer may hold "tmp/file" without an entry for "tmp". Unpacked alone, as layers are here, it gets a "tmp" with
 * attributes of ours, and overlayfs shows those of the topmost layer: the 1777 of a lower layer would be lost. So when
 * an image is put together, each such folder that a lower layer does describe goes into one more layer on top, made of
 * nothing but folders with the attributes they should have. Most images need none.
 *
 * Whether a folder is visible at all is decided as overlayfs does, from the top down: a whiteout, a file or a link in
 * its way hides what is below, an opaque folder on its way too. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "kubelet/image/store_private.h"

#define FOLDERS_MAX 100000

struct stacked {
    int root; /* of the layer's files */
    struct map implied;
};

struct stack {
    struct stacked *layers; /* bottom first */
    size_t count;
    struct arena *arena;
    struct map chosen; /* path -> struct chosen */
    struct archive *tar;
};

struct chosen {
    struct str path;
    struct stat attributes;
};

enum look { LOOK_ABSENT, LOOK_BLOCKED, LOOK_FOLDER };

static bool is_opaque(int fd)
{
    char value;

    return fgetxattr(fd, "trusted.overlay.opaque", &value, 1) == 1 && value == 'y';
}

/* What one layer has at path. *ret_opaque: nothing below it can be seen there. */
static enum look look_at(const struct stacked *layer, struct str path, struct stat *ret_attributes, bool *ret_opaque)
{
    AUTO_CLOSE int fd = openat(layer->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct str part;

    *ret_opaque = false;
    while (fd >= 0 && path.len && str_split(&path, '/', &part)) {
        char name[NAME_MAX + 1];
        if (part.len > NAME_MAX)
            return LOOK_BLOCKED;
        memcpy(name, part.data, part.len);
        name[part.len] = 0;
        int next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0)
            return errno == ENOENT ? LOOK_ABSENT : LOOK_BLOCKED;
        close(fd);
        fd = next;
        *ret_opaque |= is_opaque(fd);
        if (!path.data)
            break;
    }
    return fd >= 0 && fstat(fd, ret_attributes) == 0 ? LOOK_FOLDER : LOOK_BLOCKED;
}

static bool same_attributes(const struct stat *a, const struct stat *b)
{
    return a->st_mode == b->st_mode && a->st_uid == b->st_uid && a->st_gid == b->st_gid;
}

/* The attributes path should have; *ret_differs: the topmost layer that has it made others up. False: not visible. */
static bool effective(const struct stack *stack, struct str path, struct stat *ret_attributes, bool *ret_differs)
{
    bool found = false, opaque = false;

    *ret_differs = false;
    for (size_t i = stack->count; i-- > 0 && !opaque;) {
        struct stat st;
        enum look look = look_at(&stack->layers[i], path, &st, &opaque);
        if (look == LOOK_BLOCKED)
            break;
        if (look == LOOK_ABSENT)
            continue;
        bool described = !map_get(&stack->layers[i].implied, path);
        *ret_differs = found && described && !same_attributes(&st, ret_attributes);
        if (!found || described)
            *ret_attributes = st;
        found = true;
        if (described)
            break;
    }
    return found;
}

static int choose(struct stack *stack, struct str path, struct err *err)
{
    struct chosen *chosen;
    bool differs;

    if (map_get(&stack->chosen, path))
        return 0;
    chosen = arena_new_of(stack->arena, struct chosen);
    if (!chosen || stack->chosen.count >= FOLDERS_MAX)
        return err_set(err, chosen ? ERR_TOO_LARGE : ERR_NO_MEMORY, "attributes of folders");
    chosen->path = path;
    if (!effective(stack, path, &chosen->attributes, &differs))
        return 0;
    return map_put(&stack->chosen, path, chosen, NULL) < 0 ? err_set(err, ERR_NO_MEMORY, "attributes of folders") : 0;
}

/* A folder in the extra layer needs all those above it there. */
static int choose_with_parents(struct stack *stack, struct str path, struct err *err)
{
    int r = choose(stack, STR(""), err);

    for (size_t i = 0; i <= path.len && r == 0; i++)
        if (i == path.len || path.data[i] == '/')
            r = choose(stack, str_first(path, i), err);
    return r;
}

static int choose_all(struct stack *stack, struct err *err)
{
    struct stat attributes;
    bool differs;
    int r = 0;

    for (size_t i = 0; i < stack->count; i++) {
        struct map_entry *entry = NULL;
        while (r == 0 && (entry = map_next(&stack->layers[i].implied, entry)))
            if (effective(stack, entry->key, &attributes, &differs) && differs)
                r = choose_with_parents(stack, entry->key, err);
    }
    return r;
}

/* -- the extra layer -- */

static int by_path(const void *a, const void *b)
{
    return str_cmp((*(const struct chosen *const *)a)->path, (*(const struct chosen *const *)b)->path);
}

static int write_folder(struct archive *tar, struct archive_entry *entry, const struct chosen *chosen, struct err *err)
{
    char name[PATH_MAX + 4];
    const struct stat *st = &chosen->attributes;

    snprintf(name, sizeof name, "./" STR_FMT, STR_ARG(str_first(chosen->path, PATH_MAX)));
    archive_entry_clear(entry);
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFDIR);
    archive_entry_set_perm(entry, st->st_mode & 07777);
    archive_entry_set_uid(entry, st->st_uid);
    archive_entry_set_gid(entry, st->st_gid);
    archive_entry_set_mtime(entry, st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
    return archive_write_header(tar, entry) < ARCHIVE_WARN ? err_set(err, ERR_IO, "writing folder %.200s", name) : 0;
}

static int write_folders(struct stack *stack, struct archive *tar, int fd, struct err *err)
{
    const struct chosen **sorted = arena_array_of(stack->arena, stack->chosen.count, const struct chosen *);
    struct archive_entry *entry = archive_entry_new();
    struct map_entry *it = NULL;
    size_t count = 0;
    int r = 0;

    while (sorted && (it = map_next(&stack->chosen, it)))
        sorted[count++] = it->value;
    if (!sorted || !entry || !tar || archive_write_set_format_pax_restricted(tar) != ARCHIVE_OK ||
        archive_write_open_fd(tar, fd) != ARCHIVE_OK)
        r = err_set(err, ERR_NO_MEMORY, "attributes of folders");
    if (r == 0)
        qsort(sorted, count, sizeof(*sorted), by_path);
    for (size_t i = 0; i < count && r == 0; i++)
        r = write_folder(tar, entry, sorted[i], err);
    if (r == 0 && archive_write_close(tar) != ARCHIVE_OK)
        r = err_set(err, ERR_IO, "writing attributes of folders");
    archive_entry_free(entry);
    return r;
}

static int add_layer(struct image_store *store, struct stack *stack, struct digest *ret_digest, struct err *err)
{
    AUTO_CLOSE int fd = memfd_create("attributes", MFD_CLOEXEC);
    struct archive *tar = archive_write_new();
    struct layer_info info;

    if (fd < 0) {
        archive_write_free(tar);
        return err_errno(err, errno, "attributes of folders");
    }
    int r = write_folders(stack, tar, fd, err);
    archive_write_free(tar);
    if (r < 0)
        return r;
    const struct layer_source source = { .fd = fd };
    if (lseek(fd, 0, SEEK_SET) < 0)
        return err_errno(err, errno, "attributes of folders");
    r = layer_store_add(&store->layers, stack->arena, &source, &info, err);
    if (r == 0)
        *ret_digest = info.diff_id;
    return r;
}

/* -- the stack -- */

static int open_layer(struct image_store *store, struct arena *arena, const struct digest *diff_id,
                      struct stacked *layer, struct err *err)
{
    char path[PATH_MAX], name[LAYER_NAME_LEN + 1];
    struct layer_info info;
    int r = layer_store_get(&store->layers, arena, diff_id, &info, err);

    if (r < 0)
        return r;
    layer_name(diff_id, name);
    snprintf(path, sizeof path, "%s/layers/%s/fs", store->dir, name);
    layer->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (layer->root < 0)
        return err_errno(err, errno, "opening %s", path);
    for (size_t i = 0; i < info.implied.count; i++)
        if (map_put(&layer->implied, info.implied.paths[i], layer, NULL) < 0)
            return err_set(err, ERR_NO_MEMORY, "attributes of folders");
    return 0;
}

int store_attributes(struct image_store *store, const struct recipe *recipe, struct digest *ret_digest, struct err *err)
{
    AUTO(arena) arena = arena_new(0);
    struct stack stack = { .arena = arena, .chosen = MAP_INIT };
    struct digest digest = { "" };
    int r = 0;

    stack.layers = arena ? arena_array_of(arena, MAX(recipe->layer_count, 1), struct stacked) : NULL;
    if (!stack.layers)
        return err_set(err, ERR_NO_MEMORY, "attributes of folders");
    for (; stack.count < recipe->layer_count && r == 0; stack.count++) {
        stack.layers[stack.count].root = -1;
        r = open_layer(store, arena, &recipe->layers[stack.count].diff_id, &stack.layers[stack.count], err);
    }
    if (r == 0)
        r = choose_all(&stack, err);
    if (r == 0 && stack.chosen.count)
        r = add_layer(store, &stack, &digest, err);
    for (size_t i = 0; i < stack.count; i++) {
        auto_close_fd(&stack.layers[i].root);
        map_deinit(&stack.layers[i].implied);
    }
    map_deinit(&stack.chosen);
    if (r == 0)
        *ret_digest = digest;
    return r;
}
