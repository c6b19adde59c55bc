/* lengths.c - one word for a text: 41 bits of its hash and 23 of the length, in the place that the other bits of the hash
 * say. What comes later takes the place of what was there. The hash has a secret of the process in it, so nobody can make
 * two texts on purpose that meet; by chance one look-up in 2^41 is wrong, and then the list that it was for breaks off, as
 * its writer counts once more what it sends.
 *
 * The table is 4 MiB, of which only what is used is ever touched. */
#include "apiserver/lengths.h"

#include "base/hash.h"

#define PLACE_BITS 19
#define LENGTH_BITS 23

struct lengths {
    atomic_uint_fast64_t words[1u << PLACE_BITS];
};

int lengths_new(struct lengths **ret_lengths, struct err *err)
{
    struct lengths *lengths = calloc(1, sizeof *lengths);

    if (!lengths)
        return err_set(err, ERR_NO_MEMORY, "lengths of objects");
    *ret_lengths = lengths;
    return 0;
}

struct lengths *lengths_free(struct lengths *lengths)
{
    free(lengths);
    return NULL;
}

/* The resource stands for its type and for the conversion to it. */
uint64_t lengths_name(const struct render *render, struct str text)
{
    const struct {
        uint64_t text;
        const struct resource *resource, *storage;
        uint64_t shape, beta;
    } parts = { hash_str(text), render->resource, render->storage, (uint64_t)render->media.shape,
                render->media.version.len };

    return hash_str(str_of(&parts, sizeof parts));
}

static atomic_uint_fast64_t *place(struct lengths *lengths, uint64_t name)
{
    return &lengths->words[name & ((1u << PLACE_BITS) - 1)];
}

bool lengths_find(struct lengths *lengths, uint64_t name, size_t *ret_length)
{
    uint64_t word = atomic_load_explicit(place(lengths, name), memory_order_relaxed);

    if (!word || word >> LENGTH_BITS != name >> LENGTH_BITS)
        return false;
    *ret_length = word & ((1u << LENGTH_BITS) - 1);
    return true;
}

void lengths_note(struct lengths *lengths, uint64_t name, size_t length)
{
    if (length > 0 && length < 1u << LENGTH_BITS)
        atomic_store_explicit(place(lengths, name), name >> LENGTH_BITS << LENGTH_BITS | length, memory_order_relaxed);
}
