/* openapi.c - the OpenAPI document of one group-version. Paths are written first: they say which types are needed, and
 * those say which others. */
#include "schema/openapi_internal.h"

static void openapi_deinit(struct openapi *o)
{
    arena_deinit(&o->arena);
    map_deinit(&o->seen);
    vec_deinit(&o->components);
}

int openapi_v3_write(struct buf *buf, struct str group, struct str version, const struct resource *const *resources,
                     size_t count, struct err *err)
{
    AUTO_DEINIT(openapi, o) = { .w = json_writer(buf), .group = group, .version = version };

    arena_init(&o.arena, 0);
    map_init(&o.seen);
    jw_begin_object(&o.w);
    jw_field_str(&o.w, "openapi", STR("3.0.0"));
    jw_key(&o.w, STR("info"));
    jw_begin_object(&o.w);
    jw_field_str(&o.w, "title", STR("Kubernetes"));
    jw_field_str(&o.w, "version", STR("v1.33.0"));
    jw_end_object(&o.w);
    jw_key(&o.w, STR("paths"));
    openapi_write_paths(&o, resources, count);
    jw_key(&o.w, STR("components"));
    openapi_write_components(&o);
    jw_end_object(&o.w);
    if (o.failed || arena_failed(&o.arena) || !buf_ok(buf))
        return err_set(err, ERR_NO_MEMORY, "writing the OpenAPI document of " STR_FMT "/" STR_FMT, STR_ARG(group),
                       STR_ARG(version));
    return 0;
}

/* FNV-1a, 128 bits. */
static void fnv_hash(struct str text, uint8_t out[16])
{
    const unsigned __int128 prime = ((unsigned __int128)1 << 88) | 0x13B;
    unsigned __int128 hash = ((unsigned __int128)0x6C62272E07BB0142ull << 64) | 0x62B821756295C58Dull;

    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ (unsigned char)text.data[i]) * prime;
    for (int i = 15; i >= 0; i--, hash >>= 8)
        out[i] = (uint8_t)hash;
}

void openapi_hash(struct str text, openapi_hash_fn *hash, char out[OPENAPI_HASH_LEN + 1])
{
    static const char digits[] = "0123456789ABCDEF";
    uint8_t bytes[16];

    (hash ? hash : fnv_hash)(text, bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[OPENAPI_HASH_LEN] = '\0';
}
