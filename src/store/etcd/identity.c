/* identity.c - lines of "name value". A folder with the files of LMDB and without this one is a store that somebody may
 * need: it is never taken for a cache. */
#include "store/etcd/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"

#define FILE_NAME "etcd"
#define FIRST_LINE "caravel cache of etcd"

static int path_in(char out[4096], const char *folder, const char *name, struct err *err)
{
    return snprintf(out, 4096, "%s/%s", folder, name) < 4096
               ? 0 : err_set(err, ERR_INVALID, "the path of the store is too long");
}

bool etcd_identity_there(const char *folder)
{
    char path[4096];

    return path_in(path, folder, FILE_NAME, NULL) == 0 && file_exists(path);
}

static void keep(char *out, size_t size, struct str value)
{
    if (value.len >= size)
        return;
    memcpy(out, value.data, value.len);
    out[value.len] = 0;
}

static bool parse(struct str text, struct etcd_identity *identity)
{
    struct str line;

    *identity = (struct etcd_identity){ 0 };
    if (!str_split(&text, '\n', &line) || !str_is(line, FIRST_LINE))
        return false;
    while (str_split(&text, '\n', &line)) {
        ssize_t space = str_chr(line, ' ');
        if (space <= 0)
            continue;
        struct str name = str_first(line, (size_t)space), value = str_skip(line, (size_t)space + 1);

        if (str_is(name, "cluster"))
            str_to_u64(value, &identity->cluster);
        else if (str_is(name, "prefix"))
            keep(identity->prefix, sizeof identity->prefix, value);
        else if (str_is(name, "boot"))
            keep(identity->boot, sizeof identity->boot, value);
        else if (str_is(name, "server"))
            keep(identity->server, sizeof identity->server, value);
        else if (str_is(name, "state"))
            identity->complete = str_is(value, "complete");
    }
    return strlen(identity->server) == ETCD_SERVER_ID;
}

int etcd_identity_read(const char *folder, struct etcd_identity *ret_identity, struct err *err)
{
    AUTO_DEINIT(buf, text);
    char path[4096], data[4096];
    int code = path_in(path, folder, FILE_NAME, err);

    buf_init(&text, 0);
    if (code < 0 || (code = path_in(data, folder, "data.mdb", err)) < 0)
        return code;
    if (!file_exists(path)) {
        if (file_exists(data))
            return err_set(err, ERR_INVALID, "%s is a store of its own, not a cache of etcd: choose another folder", folder);
        return 0;
    }
    if ((code = file_read(path, 4096, &text, err)) < 0)
        return code;
    return parse(buf_str(&text), ret_identity);
}

int etcd_identity_write(const char *folder, const struct etcd_identity *identity, struct err *err)
{
    AUTO_DEINIT(buf, text);
    char path[4096];
    int code = path_in(path, folder, FILE_NAME, err);

    buf_init(&text, 0);
    if (code < 0)
        return code;
    buf_printf(&text, FIRST_LINE "\ncluster %llu\nprefix %s\nboot %s\nserver %s\nstate %s\n",
               (unsigned long long)identity->cluster, identity->prefix, identity->boot, identity->server,
               identity->complete ? "complete" : "loading");
    if (!buf_ok(&text))
        return err_set(err, ERR_NO_MEMORY, "%s", path);
    return file_write_atomic(path, buf_str(&text), 0600, err);
}

void etcd_identity_boot(char out[64])
{
    AUTO_DEINIT(buf, text);

    buf_init(&text, 0);
    out[0] = 0;
    if (file_read("/proc/sys/kernel/random/boot_id", 64, &text, NULL) == 0)
        keep(out, 64, str_trim(buf_str(&text)));
}

int etcd_cache_remove(const char *folder, struct err *err)
{
    static const char *const names[] = { "data.mdb", "lock.mdb" };
    char path[4096];
    int code = path_in(path, folder, "pid", err);

    if (code < 0)
        return code;
    AUTO_CLOSE int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0)
        return err_errno(err, errno, "opening %s", path);
    if (flock(lock, LOCK_EX | LOCK_NB) < 0)
        return err_set(err, ERR_UNAVAILABLE, "the cache %s is in use by another process", folder);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if ((code = path_in(path, folder, names[i], err)) < 0)
            return code;
        if (unlink(path) < 0 && errno != ENOENT)
            return err_errno(err, errno, "removing %s", path);
    }
    return 0;
}
