/* image_store.c - the folder of a store and the list of its images.
 *
 *   lock            flock: exclusive for every change, shared while a root file system is being mounted
 *   images.json     the list (store_index.c)
 *   blobs/          configurations by digest
 *   layers/         unpacked layers (layer_store.c)
 *   tmp/<session>/  what is half done; its folder is flocked as long as its process lives
 *
 * A change is: take the lock, read the list if another process has changed it, change a copy, write it beside the old
 * one, rename, swap it in. So images.json is always whole, and always names layers and configurations that were on
 * the disk before it was. What it does not name (a crash between two steps) is found and removed by a later sweep. */
#include "kubelet/image/image_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "kubelet/image/platform.h"
#include "kubelet/image/registry.h"
#include "kubelet/image/store_private.h"

#define DIR_MAX 2048

/* -- opening and closing -- */

int store_lock(struct image_store *store, bool exclusive, int *ret_fd, struct err *err)
{
    char path[PATH_MAX];
    int r;

    snprintf(path, sizeof path, "%s/lock", store->dir);
    AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, errno, "opening %s", path);
    do
        r = flock(fd, exclusive ? LOCK_EX : LOCK_SH);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return err_errno(err, errno, "locking %s", path);
    *ret_fd = fd;
    fd = -1;
    return 0;
}

/* A session whose lock can be had has died. */
static void remove_if_dead(const char *path)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0)
        file_remove_tree(path, NULL);
}

static int remove_leftovers(struct image_store *store, struct err *err)
{
    char path[PATH_MAX];
    struct dirent *entry;

    snprintf(path, sizeof path, "%s/tmp", store->dir);
    DIR *dir = opendir(path);
    if (!dir)
        return err_errno(err, errno, "reading %s", path);
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/tmp/%s", store->dir, entry->d_name);
        remove_if_dead(path);
    }
    closedir(dir);
    return 0;
}

/* A write that was cut off before its rename leaves its temporary file beside images.json. */
static int remove_torn_writes(const char *path, struct err *err)
{
    char full[PATH_MAX];
    struct dirent *entry;
    DIR *dir = opendir(path);

    if (!dir)
        return err_errno(err, errno, "reading %s", path);
    while ((entry = readdir(dir))) {
        if (!strstr(entry->d_name, ".tmp-"))
            continue;
        snprintf(full, sizeof full, "%s/%s", path, entry->d_name);
        unlink(full);
    }
    closedir(dir);
    return 0;
}

static int make_folders(struct image_store *store, struct err *err)
{
    static const char *const names[] = { "", "/blobs", "/layers", "/tmp" };
    char path[PATH_MAX];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof path, "%s%s", store->dir, names[i]);
        int r = file_make_dirs(path, 0700, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Under the lock, so that nobody takes the new session for a dead one before it is locked. */
static int begin_session(struct image_store *store, struct err *err)
{
    AUTO_CLOSE int lock = -1;
    char path[PATH_MAX];
    int r;

    if ((r = store_lock(store, true, &lock, err)) < 0 || (r = remove_leftovers(store, err)) < 0 ||
        (r = remove_torn_writes(store->dir, err)) < 0)
        return r;
    snprintf(path, sizeof path, "%s/blobs", store->dir);
    if ((r = remove_torn_writes(path, err)) < 0)
        return r;
    snprintf(path, sizeof path, "%s/tmp/%016llx", store->dir, (unsigned long long)rng_u64(store->options.rng));
    store->session = str_dup(str_from(path));
    if (!store->session)
        return err_set(err, ERR_NO_MEMORY, "image store");
    if (mkdir(path, 0700) < 0)
        return err_errno(err, errno, "making folder %s", path);
    store->session_lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->session_lock < 0 || flock(store->session_lock, LOCK_EX | LOCK_NB) < 0)
        return err_errno(err, errno, "locking %s", path);
    return 0;
}

static int copy_options(struct image_store *store, const struct image_store_options *options, struct err *err)
{
    struct registry_host *hosts = arena_array_of(&store->arena, MAX(options->host_count, 1), struct registry_host);
    struct image_store_options *copy = &store->options;

    *copy = *options;
    copy->clock = options->clock ? options->clock : clock_real();
    copy->rng = options->rng ? options->rng : rng_system();
    copy->parallel = options->parallel > 0 ? MIN(options->parallel, 16) : 3;
    copy->retry_delay = options->retry_delay > 0 ? options->retry_delay : 500 * NSEC_PER_MSEC;
    copy->max_archive = options->max_archive ? options->max_archive : 128ULL << 30;
    copy->architecture = arena_str(&store->arena, options->architecture);
    copy->variant = arena_str(&store->arena, options->variant);
    if (!options->architecture.data)
        platform_of_machine(&copy->architecture, &copy->variant);
    for (size_t i = 0; hosts && i < options->host_count; i++) {
        hosts[i] = options->hosts[i];
        hosts[i].host = arena_str(&store->arena, options->hosts[i].host);
        hosts[i].mirror = arena_str(&store->arena, options->hosts[i].mirror);
        hosts[i].ca_pem = arena_str(&store->arena, options->hosts[i].ca_pem);
    }
    copy->hosts = hosts;
    copy->dir = NULL;
    return arena_failed(&store->arena) ? err_set(err, ERR_NO_MEMORY, "image store") : 0;
}

static int set_dir(struct image_store *store, const char *dir, struct err *err)
{
    char absolute[PATH_MAX];

    if (!*dir || strpbrk(dir, ":,\\\n"))
        return err_set(err, ERR_INVALID, "the folder of the images, \"%s\", must not have ':', ',' or '\\' in it", dir);
    int r = file_make_dirs(dir, 0700, err);
    if (r < 0)
        return r;
    if (!realpath(dir, absolute))
        return err_errno(err, errno, "%s", dir);
    if (strlen(absolute) > DIR_MAX)
        return err_set(err, ERR_INVALID, "the path of the images' folder is longer than %d bytes", DIR_MAX);
    store->dir = str_dup(str_from(absolute));
    return store->dir ? 0 : err_set(err, ERR_NO_MEMORY, "image store");
}

static void init_layers(struct image_store *store)
{
    store->layers.dir = store->dir;
    store->layers.session = store->session;
    store->layers.no_sync = store->options.no_sync;
    store->layers.limits = &store->options.layer_limits;
    store->layers.cancel = &store->closing;
    store->layers.rng = store->options.rng;
}

int image_store_open(const struct image_store_options *options, struct image_store **ret_store, struct err *err)
{
    AUTO(image_store) store = calloc(1, sizeof *store);
    int r;

    if (!store)
        return err_set(err, ERR_NO_MEMORY, "image store");
    arena_init(&store->arena, 0);
    mutex_init(&store->lock);
    cond_init(&store->idle);
    layer_store_init(&store->layers);
    store->session_lock = -1;
    if ((r = copy_options(store, options, err)) < 0 || (r = set_dir(store, options->dir, err)) < 0 ||
        (r = make_folders(store, err)) < 0 || (r = begin_session(store, err)) < 0)
        return err_wrap(err, r, "image store");
    init_layers(store);
    if ((r = store_refresh(store, err)) < 0 ||
        (r = registry_new(&store->options, &store->closing, &store->registry, err)) < 0)
        return err_wrap(err, r, "image store");
    *ret_store = TAKE(store);
    return 0;
}

static int keep_list(void *ctx, struct store_index *index, struct err *err)
{
    return 0;
}

void image_store_cancel(struct image_store *store)
{
    atomic_store(&store->closing, true);
}

struct image_store *image_store_close(struct image_store *store)
{
    if (!store)
        return NULL;
    image_store_cancel(store);
    mutex_lock(&store->lock);
    while (store->active > 0)
        cond_wait(&store->idle, &store->lock);
    bool touched = store->touched;
    mutex_unlock(&store->lock);

    if (touched)
        image_store_change(store, keep_list, NULL, NULL);
    registry_free(store->registry);
    if (store->session)
        file_remove_tree(store->session, NULL);
    auto_close_fd(&store->session_lock);
    store_index_deinit(&store->index);
    layer_store_deinit(&store->layers);
    cond_deinit(&store->idle);
    mutex_deinit(&store->lock);
    arena_deinit(&store->arena);
    free(store->session);
    free(store->dir);
    free(store);
    return NULL;
}

int store_enter(struct image_store *store, struct err *err)
{
    LOCKED(&store->lock);

    if (atomic_load(&store->closing))
        return err_set(err, ERR_CANCELLED, "the image store is being closed");
    store->active++;
    return 0;
}

void store_leave(struct image_store *store)
{
    LOCKED(&store->lock);

    if (--store->active == 0)
        cond_broadcast(&store->idle);
}

/* -- the list -- */

static int identify(struct image_store *store, struct file_identity *ret_identity, struct err *err)
{
    struct file_identity identity = { 0 };
    char path[PATH_MAX];
    struct stat st;

    snprintf(path, sizeof path, "%s/images.json", store->dir);
    if (stat(path, &st) == 0) {
        identity =
            (struct file_identity){ st.st_dev, st.st_ino, (uint64_t)st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec };
    } else if (errno != ENOENT) {
        return err_errno(err, errno, "%s", path);
    }
    *ret_identity = identity;
    return 0;
}

static bool same_file(const struct file_identity *a, const struct file_identity *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size && a->seconds == b->seconds &&
           a->nanoseconds == b->nanoseconds;
}

/* Makes index the list; the later times of use are kept. The old list goes to index. Under the mutex. */
static void swap_index(struct image_store *store, struct store_index *index, const struct file_identity *identity)
{
    struct store_index old = store->index;

    for (struct index_entry *entry = NULL; (entry = store_index_next(index, entry));) {
        struct index_entry *was = store_index_by_id(&old, digest_str(&entry->image->id));
        if (was)
            entry->last_used = MAX(entry->last_used, was->last_used);
    }
    store->index = *index;
    store->identity = *identity;
    *index = old;
}

int store_refresh(struct image_store *store, struct err *err)
{
    for (int attempt = 0;; attempt++) {
        AUTO_DEINIT(store_index, loaded) = { VEC_INIT };
        struct file_identity before, after;
        int r = identify(store, &before, err);

        if (r < 0)
            return r;
        mutex_lock(&store->lock);
        bool current = same_file(&before, &store->identity);
        mutex_unlock(&store->lock);
        if (current)
            return 0;
        r = store_index_load(store->dir, &loaded, err);
        if (r < 0)
            return r;

        /* If the file is still the one that was read, no commit can be between its rename and its swap. */
        LOCKED(&store->lock);
        if ((r = identify(store, &after, err)) < 0)
            return r;
        if (same_file(&before, &after) || attempt > 100) {
            swap_index(store, &loaded, &before);
            return 0;
        }
    }
}

int image_store_change(struct image_store *store, store_change *change, void *ctx, struct err *err)
{
    AUTO_DEINIT(store_index, index) = { VEC_INIT };
    struct file_identity identity;
    int r = store_refresh(store, err);

    if (r < 0)
        return r;
    mutex_lock(&store->lock);
    r = store_index_copy(&store->index, &index, err);
    store->touched = false;
    mutex_unlock(&store->lock);
    if (r < 0 || (r = change(ctx, &index, err)) < 0 || (r = store_index_save(store->dir, &index, err)) < 0 ||
        (r = identify(store, &identity, err)) < 0)
        return r;
    LOCKED(&store->lock);
    swap_index(store, &index, &identity);
    return 0;
}

int image_store_find(struct image_store *store, struct str ref, struct image **ret_image, struct err *err)
{
    struct index_entry *entry;
    bool by_id;
    int r = store_refresh(store, err);

    if (r < 0)
        return r;
    LOCKED(&store->lock);
    r = store_index_find(&store->index, ref, &entry, &by_id, err);
    if (r == 0)
        *ret_image = image_keep(entry->image);
    return r;
}

void image_list_deinit(struct image_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        image_drop(list->items[i]);
    free(list->items);
    *list = (struct image_list){ NULL, 0 };
}

int image_store_list(struct image_store *store, struct image_list *ret_images, struct err *err)
{
    struct image_list list = { NULL, 0 };
    int r = store_refresh(store, err);

    if (r < 0)
        return r;
    LOCKED(&store->lock);
    list.items = calloc(MAX(store->index.entries.count, 1), sizeof(*list.items));
    if (!list.items)
        return err_set(err, ERR_NO_MEMORY, "list of images");
    for (struct index_entry *entry = NULL; (entry = store_index_next(&store->index, entry));)
        list.items[list.count++] = image_keep(entry->image);
    *ret_images = list;
    return 0;
}

void image_store_touch(struct image_store *store, const struct image *image)
{
    nsec_t now = clock_wall(store->options.clock);
    LOCKED(&store->lock);
    struct index_entry *entry = store_index_by_id(&store->index, digest_str(&image->id));

    if (entry) {
        entry->last_used = MAX(entry->last_used, now);
        store->touched = true;
    }
}
