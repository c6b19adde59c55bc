/* layer_store.c - how layers come, are shared, and go.
 *
 * A layer is unpacked in a folder beneath tmp/ and renamed into place when its bytes are on the disk, so that whatever
 * stands beneath layers/ is whole. Threads that want the same layer at once agree through `claims`: one fetches, the
 * others wait and then look again (and fetch themselves if the first failed, as they may have better credentials).
 *
 * A running container needs its layers, and no file of ours says which containers run: the kernel does. The table of
 * mounts names the lower folders of every overlay, so a layer whose short name stands there is in use. This holds
 * across restarts of the agent and for containers that another process started. */
#include "kubelet/image/layer_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/rng.h"
#include "codec/json.h"

#define LAYER_JSON_MAX (64u << 20)
#define MOUNTS_MAX (256u << 20)
#define CANCEL_POLL (NSEC_PER_SEC / 4)

void layer_store_init(struct layer_store *layers)
{
    mutex_init(&layers->lock);
    cond_init(&layers->changed);
    map_init(&layers->claims);
}

void layer_store_deinit(struct layer_store *layers)
{
    map_deinit(&layers->claims);
    cond_deinit(&layers->changed);
    mutex_deinit(&layers->lock);
}

void layer_name(const struct digest *diff_id, char ret_name[LAYER_NAME_LEN + 1])
{
    memcpy(ret_name, diff_id->text + 7, LAYER_NAME_LEN);
    ret_name[LAYER_NAME_LEN] = 0;
}

static int read_info(struct arena *arena, struct str text, struct layer_info *ret_info, struct err *err)
{
    struct layer_info info = { 0 };
    struct json *root;
    int r = json_parse(arena, text, NULL, &root, err);

    if (r < 0)
        return r;
    r = digest_parse(json_str_at(root, "diffID"), &info.diff_id, err);
    if (r < 0)
        return r;
    info.size = (uint64_t)MAX(json_int(json_member(root, "size"), 0), 0);
    const struct json *implied = json_member(root, "implied");
    info.implied.count = json_is(implied, JSON_ARRAY) ? implied->count : 0;
    info.implied.paths = arena_array_of(arena, MAX(info.implied.count, 1), struct str);
    for (size_t i = 0; info.implied.paths && i < info.implied.count; i++)
        info.implied.paths[i] = json_str(&implied->items[i]);
    if (arena_failed(arena))
        return err_set(err, ERR_NO_MEMORY, "layer");
    *ret_info = info;
    return 0;
}

int layer_store_get(const struct layer_store *layers, struct arena *arena, const struct digest *diff_id,
                    struct layer_info *ret_info, struct err *err)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    char path[PATH_MAX], name[LAYER_NAME_LEN + 1];
    struct layer_info info;

    layer_name(diff_id, name);
    snprintf(path, sizeof path, "%s/layers/%s/layer.json", layers->dir, name);
    int r = file_read(path, LAYER_JSON_MAX, &text, err);
    if (r < 0)
        return r;
    struct str copy = arena_str(arena, buf_str(&text));
    r = copy.data ? read_info(arena, copy, &info, err) : err_set(err, ERR_NO_MEMORY, "layer");
    if (r < 0)
        return err_wrap(err, r, "%s", path);
    if (!digest_eq(&info.diff_id, diff_id))
        return err_set(err, ERR_CONFLICT, "layer %s: its place is taken by %s", diff_id->text, info.diff_id.text);
    *ret_info = info;
    return 0;
}

int layer_store_claim(struct layer_store *layers, const struct digest *diff_id, bool *ret_mine, struct err *err)
{
    struct str name = str_first(digest_hex(diff_id), LAYER_NAME_LEN);
    LOCKED(&layers->lock);

    *ret_mine = !map_get(&layers->claims, name);
    if (*ret_mine)
        return map_put(&layers->claims, name, (void *)diff_id, NULL) < 0 ? err_set(err, ERR_NO_MEMORY, "layer") : 0;
    while (map_get(&layers->claims, name)) {
        if (atomic_load(layers->cancel))
            return err_set(err, ERR_CANCELLED, "the image store is being closed");
        cond_wait_for(&layers->changed, &layers->lock, CANCEL_POLL);
    }
    return 0;
}

void layer_store_unclaim(struct layer_store *layers, const struct digest *diff_id)
{
    LOCKED(&layers->lock);

    map_remove(&layers->claims, str_first(digest_hex(diff_id), LAYER_NAME_LEN));
    cond_broadcast(&layers->changed);
}

bool layer_store_claimed(struct layer_store *layers, struct str short_name)
{
    LOCKED(&layers->lock);

    return map_get(&layers->claims, short_name);
}

static void write_info(struct buf *buf, const struct layer_result *result)
{
    struct json_writer w = json_writer(buf);

    jw_begin_object(&w);
    jw_field_str(&w, "diffID", digest_str(&result->diff_id));
    jw_field_int(&w, "size", (int64_t)result->bytes);
    jw_key(&w, STR("implied"));
    jw_begin_array(&w);
    for (size_t i = 0; i < result->implied.count; i++)
        if (str_is_utf8(result->implied.paths[i]))
            jw_str(&w, result->implied.paths[i]);
    jw_end_array(&w);
    jw_end_object(&w);
}

static int join(const char *dir, const char *name, char ret_path[PATH_MAX], struct err *err)
{
    if (snprintf(ret_path, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
        return err_set(err, ERR_INVALID, "%s: path too long", dir);
    return 0;
}

static int unpack_into(struct layer_store *layers, const char *dir, const struct layer_source *source,
                       struct arena *arena, struct layer_result *ret_result, struct err *err)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    char path[PATH_MAX];
    int r = join(dir, "fs", path, err);

    if (r < 0)
        return r;
    if (mkdir(dir, 0700) < 0 || mkdir(path, 0755) < 0 || chmod(path, 0755) < 0)
        return err_errno(err, errno, "making folder %s", path);
    AUTO_CLOSE int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return err_errno(err, errno, "opening %s", path);
    if ((r = layer_unpack(source, root, arena, ret_result, err)) < 0 || (r = join(dir, "layer.json", path, err)) < 0)
        return r;
    write_info(&text, ret_result);
    if (!buf_ok(&text))
        return err_set(err, ERR_NO_MEMORY, "layer");
    r = file_write_atomic(path, buf_str(&text), 0600, err);
    if (r == 0 && !layers->no_sync && syncfs(root) < 0)
        r = err_errno(err, errno, "writing the layer to disk");
    return r;
}

/* Moves a finished layer to its place. */
static int settle(struct layer_store *layers, const char *temporary, const struct digest *diff_id, struct err *err)
{
    char path[PATH_MAX], name[LAYER_NAME_LEN + 1];

    layer_name(diff_id, name);
    snprintf(path, sizeof path, "%s/layers/%s", layers->dir, name);
    if (rename(temporary, path) < 0) {
        if (errno != EEXIST && errno != ENOTEMPTY)
            return err_errno(err, errno, "moving a layer to %s", path);
        return file_remove_tree(temporary, err);
    }
    if (layers->no_sync)
        return 0;
    snprintf(path, sizeof path, "%s/layers", layers->dir);
    AUTO_CLOSE int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir < 0 || fsync(dir) < 0 ? err_errno(err, errno, "writing %s to disk", path) : 0;
}

int layer_store_add(struct layer_store *layers, struct arena *arena, const struct layer_source *source,
                    struct layer_info *ret_info, struct err *err)
{
    struct layer_result result = { 0 };
    char temporary[PATH_MAX];

    snprintf(temporary, sizeof temporary, "%s/layer-%016llx", layers->session,
             (unsigned long long)rng_u64(layers->rng));
    int r = unpack_into(layers, temporary, source, arena, &result, err);
    if (r == 0)
        r = settle(layers, temporary, &result.diff_id, err);
    if (r < 0) {
        file_remove_tree(temporary, NULL);
        return r;
    }
    *ret_info = (struct layer_info){ result.diff_id, result.bytes, result.implied };
    return 0;
}

static bool is_mounted(struct str mounts, const char *name)
{
    char pattern[LAYER_NAME_LEN + 4];

    snprintf(pattern, sizeof pattern, "%s/fs", name);
    return str_find(mounts, str_from(pattern)) >= 0;
}

static uint64_t size_on_record(const char *dir)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    AUTO(arena) arena = arena_new(0);
    struct layer_info info;
    char path[PATH_MAX];

    if (!arena || join(dir, "layer.json", path, NULL) < 0 || file_read(path, LAYER_JSON_MAX, &text, NULL) < 0 ||
        read_info(arena, buf_str(&text), &info, NULL) < 0)
        return 0;
    return info.size;
}

static void sweep_one(struct layer_store *layers, struct layer_sweep *sweep, struct str mounts, const char *name)
{
    char from[PATH_MAX], to[PATH_MAX];
    struct stat st;

    snprintf(from, sizeof from, "%s/layers/%s", layers->dir, name);
    if (sweep->keep(sweep->ctx, str_from(name)) || layer_store_claimed(layers, str_from(name)) ||
        is_mounted(mounts, name) || lstat(from, &st) < 0 || st.st_ctime >= sweep->young_before)
        return;
    uint64_t size = size_on_record(from);
    snprintf(to, sizeof to, "%s/trash-%016llx", layers->session, (unsigned long long)rng_u64(layers->rng));
    if (rename(from, to) == 0)
        sweep->freed += size;
}

int layer_store_sweep(struct layer_store *layers, struct layer_sweep *sweep, struct err *err)
{
    AUTO_DEINIT(buf, mounts) = BUF_INIT;
    char path[PATH_MAX];
    struct dirent *entry;
    int r = file_read("/proc/self/mountinfo", MOUNTS_MAX, &mounts, err);

    if (r < 0)
        return err_wrap(err, r, "which layers are in use");
    snprintf(path, sizeof path, "%s/layers", layers->dir);
    DIR *dir = opendir(path);
    if (!dir)
        return err_errno(err, errno, "reading %s", path);
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            sweep_one(layers, sweep, buf_str(&mounts), entry->d_name);
    closedir(dir);
    return 0;
}

int layer_store_empty_trash(struct layer_store *layers, struct err *err)
{
    struct dirent *entry;
    char path[PATH_MAX];
    int r = 0;
    DIR *dir = opendir(layers->session);

    if (!dir)
        return err_errno(err, errno, "reading %s", layers->session);
    while (r == 0 && (entry = readdir(dir))) {
        if (strncmp(entry->d_name, "trash-", 6) != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", layers->session, entry->d_name);
        r = file_remove_tree(path, err);
    }
    closedir(dir);
    return r;
}
