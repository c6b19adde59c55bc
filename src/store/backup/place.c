#include <errno.h>
#include <unistd.h>

#include "store/backup/place_private.h"

#define NAMES_MAX 1000000

bool place_is_remote(const char *where)
{
    return str_has_prefix(str_from(where), STR("s3://"));
}

int place_new(const char *where, atomic_bool *stop, struct place **ret_place, struct err *err)
{
    struct place *place;

    if (!*where || (strstr(where, "://") && !place_is_remote(where)))
        return err_set(err, ERR_BAD_REQUEST, "\"%s\" is neither a folder nor s3://BUCKET/PREFIX", where);
    int code = place_is_remote(where) ? place_s3_new(where, &place, err) : place_dir_new(where, &place, err);

    if (code < 0)
        return code;
    place->stop = stop;
    *ret_place = place;
    return 0;
}

struct place *place_free(struct place *place)
{
    if (place)
        place->kind->free(place);
    return NULL;
}

int place_put(struct place *place, const char *name, const struct place_data *data, struct err *err)
{
    return place->kind->put(place, name, data, err);
}

int place_get(struct place *place, const char *name, int fd, struct err *err)
{
    return place->kind->get(place, name, fd, err);
}

static int by_bytes(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

int place_list(struct place *place, struct place_names *names, struct err *err)
{
    vec_clear(&names->items);
    int code = place->kind->list(place, names, err);

    if (code == 0 && names->items.count)
        qsort(names->items.items, names->items.count, sizeof *names->items.items, by_bytes);
    return code;
}

static bool name_is_good(struct str name)
{
    if (name.len == 0 || name.len > PLACE_NAME_MAX || name.data[0] == '.')
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!((name.data[i] >= 'a' && name.data[i] <= 'z') || (name.data[i] >= 'A' && name.data[i] <= 'Z') ||
              (name.data[i] >= '0' && name.data[i] <= '9') || name.data[i] == '.' || name.data[i] == '-'))
            return false;
    return true;
}

int place_names_add(struct place_names *names, struct str name, struct err *err)
{
    if (!name_is_good(name))
        return 0; /* not ours */
    if (names->items.count >= NAMES_MAX)
        return err_set(err, ERR_TOO_LARGE, "there are more than %d backups", NAMES_MAX);
    struct str copy = arena_str(names->arena, name);
    return copy.data && vec_push(&names->items, copy) == 0 ? 0 : err_set(err, ERR_NO_MEMORY, "listing backups");
}

void place_names_deinit(struct place_names *names)
{
    vec_deinit(&names->items);
}

int place_write(int fd, struct str data)
{
    while (data.len) {
        ssize_t written = write(fd, data.data, data.len);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        data = str_skip(data, (size_t)written);
    }
    return 0;
}
