/* Fuzzes image archives and layers: whatever the bytes, nothing may appear beside the folder they are unpacked into.
 *
 * The first byte chooses: a layer, or an image archive into a store. Limits are small, so that bombs end soon. The test
 * watches a folder beside: entries that climb out would show there. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "kubelet/image/image_store.h"
#include "kubelet/image/layer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct layer_limits limits = { .max_bytes = 4u << 20, .max_entries = 200 };

static int input_file(const uint8_t *data, size_t size)
{
    int fd = memfd_create("input", MFD_CLOEXEC);

    INVARIANT(fd >= 0 && write(fd, data, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

static void unpack_layer(const char *dir, int input)
{
    AUTO(arena) arena = arena_new(0);
    const struct layer_source source = { .fd = input, .limits = &limits };
    struct layer_result result;
    char path[128];

    snprintf(path, sizeof path, "%s/layer", dir);
    INVARIANT(mkdir(path, 0755) == 0);
    AUTO_CLOSE int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    INVARIANT(root >= 0);
    layer_unpack(&source, root, arena, &result, NULL);
}

static void import_archive(const char *dir, int input)
{
    char path[128];
    const struct image_store_options options = {
        .dir = path, .layer_limits = limits, .max_archive = 4u << 20, .no_sync = true, .parallel = 1
    };
    const struct image_import import = { .fd = input };
    AUTO(image_store) store = NULL;
    struct image_list list;

    snprintf(path, sizeof path, "%s/images", dir);
    INVARIANT(image_store_open(&options, &store, NULL) == 0);
    if (image_store_import(store, &import, &list, NULL) < 0)
        return;
    INVARIANT(list.count > 0);
    image_list_deinit(&list);
}

/* Only the folder that was asked for is there. */
static void check_beside(const char *dir)
{
    struct dirent *entry;
    size_t count = 0;
    DIR *beside = opendir(dir);

    INVARIANT(beside);
    while ((entry = readdir(beside)))
        count += entry->d_name[0] != '.';
    closedir(beside);
    INVARIANT(count == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char dir[] = "/dev/shm/caravel-fuzz-XXXXXX";

    if (size < 1)
        return 0;
    int input = input_file(data + 1, size - 1);
    INVARIANT(mkdtemp(dir));
    if (data[0] & 1)
        import_archive(dir, input);
    else
        unpack_layer(dir, input);
    check_beside(dir);
    INVARIANT(file_remove_tree(dir, NULL) == 0);
    close(input);
    return 0;
}
