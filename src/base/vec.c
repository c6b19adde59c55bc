#include "base/vec.h"

int vec_room_bytes(void **items, size_t *cap, size_t need, size_t item_size)
{
    size_t bytes;

    if (need <= *cap)
        return 0;
    size_t room = MAX(MAX(need, *cap + *cap / 2), 8);

    if (__builtin_mul_overflow(room, item_size, &bytes))
        return -1;
    void *grown = realloc(*items, bytes);

    if (!grown)
        return -1;
    *items = grown;
    *cap = room;
    return 0;
}
