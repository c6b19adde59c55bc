/* custom.c - the table of custom resources, and how it follows the store.
 *
 * A reload reads all definitions, keeps those that have not changed, compiles the others, and swaps the table's pointer
 * under a lock that is otherwise only held for a look-up: requests for built-in resources never come near it. A write
 * of a definition reloads before it is answered, so who created one can use it at once. A definition that does not
 * compile (it was stored by something else than this server) is left out. Where several servers share the store, each
 * also reloads when it sees that another has written a definition; only the one that leads works on those that go. */
#include "api/resources.h"
#include "apiserver/custom_internal.h"
#include "apiserver/discovery.h"
#include "apiserver/openapi.h"

#define READ_ARENA (64u << 20)

static struct custom_table *table_free(struct custom_table *table)
{
    if (!table)
        return NULL;
    for (struct map_entry *e = NULL; (e = map_next(&table->entries, e));)
        free(e->value);
    map_deinit(&table->entries);
    for (size_t i = 0; i < table->customs.count; i++)
        custom_unref(table->customs.items[i]);
    vec_deinit(&table->customs);
    vec_deinit(&table->resources);
    free(table);
    return NULL;
}
DEFINE_AUTO(custom_table, table_free)

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "table of custom resources");
}

static int add_entry(struct custom_table *table, struct custom *custom, const struct resource *resource,
                     struct err *err)
{
    size_t len = resource->group.len + resource->version.len + resource->plural.len + 2;
    struct custom_entry *entry = malloc(sizeof *entry + len + 1);
    char *key;

    if (!entry)
        return no_memory(err);
    key = (char *)(entry + 1);
    snprintf(key, len + 1, STR_FMT "/" STR_FMT "/" STR_FMT, STR_ARG(resource->group), STR_ARG(resource->version),
             STR_ARG(resource->plural));
    *entry = (struct custom_entry){ str_of(key, len), resource, custom };
    if (map_get(&table->entries, entry->key)) { /* the older one keeps the name */
        free(entry);
        return 0;
    }
    if (vec_push(&table->resources, resource) < 0 || map_put(&table->entries, entry->key, entry, NULL) < 0) {
        free(entry);
        return no_memory(err);
    }
    return 0;
}

/* One reference is taken over. */
static int add_custom(struct custom_table *table, struct custom *custom, struct err *err)
{
    int code = 0;

    if (vec_push(&table->customs, custom) < 0) {
        custom_unref(custom);
        return no_memory(err);
    }
    for (size_t i = 0; custom->established && i < custom->count && code == 0; i++)
        code = add_entry(table, custom, &custom->resources[i], err);
    return code;
}

static struct custom *find_unchanged(const struct custom_table *table, struct str name, uint64_t revision)
{
    for (size_t i = 0; table && i < table->customs.count; i++)
        if (table->customs.items[i]->revision == revision && str_eq(table->customs.items[i]->name, name))
            return custom_ref(table->customs.items[i]);
    return NULL;
}

static int load_item(struct custom_table *table, const struct custom_table *old, const struct store_item *item,
                     struct err *err)
{
    struct str name = str_skip(item->key, RESOURCE_APIEXTENSIONS_K8S_IO_CUSTOMRESOURCEDEFINITIONS.store_prefix.len);
    struct custom *custom = find_unchanged(old, name, item->revision);
    AUTO(arena) arena = NULL;
    struct json *definition;
    int code;

    if (custom)
        return add_custom(table, custom, err);
    if (!(arena = arena_new(READ_ARENA)))
        return no_memory(err);
    if ((code = json_parse(arena, item->value, NULL, &definition, err)) < 0 ||
        (code = custom_compile(definition, item->revision, &custom, err)) < 0) {
        if (code == -ERR_NO_MEMORY)
            return code;
        err_clear(err);
        return 0;
    }
    return add_custom(table, custom, err);
}

static int load(struct customs *customs, struct custom_table *table, struct err *err)
{
    AUTO(store_snapshot) snapshot = NULL;
    AUTO(store_cursor) cursor = NULL;
    struct store_item item;
    int code;

    if ((code = store_snapshot_open(customs->server->options.store, 0, &snapshot, err)) < 0 ||
        (code = store_cursor_open(snapshot, RESOURCE_APIEXTENSIONS_K8S_IO_CUSTOMRESOURCEDEFINITIONS.store_prefix,
                                  STR(""), &cursor, err)) < 0)
        return code;
    while ((code = store_cursor_next(cursor, &item, err)) > 0)
        if ((code = load_item(table, customs->table, &item, err)) < 0)
            return code;
    return code;
}

static int resource_order(const void *a, const void *b)
{
    const struct resource *left = *(const struct resource *const *)a, *right = *(const struct resource *const *)b;
    int order = str_cmp(left->group, right->group);

    if (order == 0)
        order = custom_by_preference(left, right);
    return order ? order : str_cmp(left->plural, right->plural);
}

static int reload(struct customs *customs, struct err *err)
{
    AUTO(custom_table) table = calloc(1, sizeof *table);
    struct custom_table *fresh = table;
    int code;

    if (!table)
        return no_memory(err);
    map_init(&table->entries);
    LOCKED(&customs->loading);
    if ((code = load(customs, table, err)) < 0)
        return code;
    if (table->resources.count)
        qsort(table->resources.items, table->resources.count, sizeof *table->resources.items, resource_order);
    /* Its documents point into the table: the old one goes when they point into the new one. */
    code = openapi_docs_set_custom(customs->server->openapi, fresh->resources.items, fresh->resources.count, err);
    if (code < 0)
        return code;
    mutex_lock(&customs->lock);
    table = customs->table;
    customs->table = fresh;
    mutex_unlock(&customs->lock);
    return discovery_set_custom(customs->server->discovery, fresh->resources.items, fresh->resources.count, err);
}

/* Definitions that are being deleted, or whose names are taken. */
static bool any_unsettled(struct customs *customs)
{
    LOCKED(&customs->lock);
    for (size_t i = 0; i < customs->table->customs.count; i++)
        if (customs->table->customs.items[i]->terminating || !customs->table->customs.items[i]->established)
            return true;
    return false;
}

static void follow_task(void *arg);

static void clean_up_task(void *arg)
{
    struct customs *customs = arg;
    bool shared = store_is_shared(customs->server->options.store);

    if (shared && !customs->watch)
        follow_task(customs);
    if (atomic_exchange(&customs->stale, false))
        customs_reload(customs);
    if (!shared || atomic_load(&customs->server->term))
        customs_clean_up(customs);
}

void customs_resume(struct customs *customs)
{
    if (any_unsettled(customs) && strand_post(customs->strand, clean_up_task, customs, NULL) < 0)
        customs_again(customs, NSEC_PER_SEC);
}

void customs_reload(struct customs *customs)
{
    struct err err = { 0 };

    if (reload(customs, &err) < 0) {
        customs->stale = true;
        customs_again(customs, NSEC_PER_SEC);
    }
    customs_resume(customs);
}

static void again_task(void *arg)
{
    struct customs *customs = arg;

    strand_post(customs->strand, clean_up_task, customs, NULL);
}

void customs_again(struct customs *customs, nsec_t delay)
{
    struct executor *executor = customs->server->options.executor;

    LOCKED(&customs->timer_lock);
    if (customs->stopping)
        return;
    if (customs->timer)
        executor_cancel(executor, customs->timer);
    customs->timer = NULL;
    executor_post_after(executor, delay, again_task, customs, &customs->timer, NULL);
}

struct custom **customs_list(struct customs *customs, struct arena *arena, size_t *ret_count)
{
    LOCKED(&customs->lock);
    size_t count = customs->table->customs.count;
    struct custom **list = arena_array_of(arena, count + 1, struct custom *);

    for (size_t i = 0; list && i < count; i++)
        list[i] = custom_ref(customs->table->customs.items[i]);
    *ret_count = list ? count : 0;
    return list;
}

const struct resource *custom_find(struct customs *customs, struct str group, struct str version, struct str plural,
                                   struct custom **ret_custom)
{
    const struct custom_entry *entry;
    char key[512];
    int len =
        snprintf(key, sizeof key, STR_FMT "/" STR_FMT "/" STR_FMT, STR_ARG(group), STR_ARG(version), STR_ARG(plural));

    if (len < 0 || (size_t)len >= sizeof key)
        return NULL;
    LOCKED(&customs->lock);
    entry = map_get(&customs->table->entries, str_of(key, (size_t)len));
    if (!entry)
        return NULL;
    *ret_custom = custom_ref(entry->custom);
    return entry->resource;
}

const struct resource *custom_find_any(struct customs *customs, struct str group, struct str plural, bool stored,
                                       struct custom **ret_custom)
{
    LOCKED(&customs->lock);
    for (size_t i = 0; i < customs->table->customs.count; i++) {
        struct custom *custom = customs->table->customs.items[i];

        if (!custom->established || custom->count == 0 || !str_eq(custom->storage->group, group) ||
            !str_eq(custom->storage->plural, plural))
            continue;
        *ret_custom = custom_ref(custom);
        return stored ? custom->storage : &custom->resources[0];
    }
    return NULL;
}

/* -- definitions that other servers write -- */

/* The store's thread. */
static void written_elsewhere(void *arg)
{
    struct customs *customs = arg;

    LOCKED(&customs->timer_lock);
    if (!customs->stopping)
        strand_post(customs->strand, follow_task, customs, NULL);
}

static int follow(struct customs *customs, struct err *err)
{
    struct store *store = customs->server->options.store;

    customs->watch = store_watch_close(customs->watch);
    return store_watch_open(store, RESOURCE_APIEXTENSIONS_K8S_IO_CUSTOMRESOURCEDEFINITIONS.store_prefix,
                            store_revision(store), written_elsewhere, customs, &customs->watch, err);
}

/* All that the watch has now is one reload. */
static void follow_task(void *arg)
{
    struct customs *customs = arg;
    struct store_event *event;
    bool any = false;
    int code = customs->watch ? 0 : -ERR_EXPIRED;

    while (code == 0 && (code = store_watch_next(customs->watch, &event, NULL)) > 0) {
        store_event_unref(event);
        any = true;
        code = 0;
    }
    if (code < 0 && follow(customs, NULL) < 0)
        customs_again(customs, NSEC_PER_SEC);
    if (any || code < 0)
        customs_reload(customs);
    if (code < 0 && customs->watch)
        written_elsewhere(customs);
}

int customs_new(struct apiserver *server, struct customs **ret_customs, struct err *err)
{
    struct customs *customs = calloc(1, sizeof *customs);
    int code;

    if (!customs)
        return no_memory(err);
    customs->server = server;
    mutex_init(&customs->lock);
    mutex_init(&customs->loading);
    mutex_init(&customs->timer_lock);
    code = strand_new(server->options.executor, &customs->strand, err);
    if (code == 0 && store_is_shared(server->options.store) && (code = follow(customs, err)) == 0)
        written_elsewhere(customs);
    if (code == 0)
        code = reload(customs, err);
    if (code < 0) {
        customs_free(customs);
        return code;
    }
    *ret_customs = customs;
    return 0;
}

struct customs *customs_free(struct customs *customs)
{
    struct executor_timer *timer;

    if (!customs)
        return NULL;
    mutex_lock(&customs->timer_lock);
    customs->stopping = true;
    timer = customs->timer;
    customs->timer = NULL;
    mutex_unlock(&customs->timer_lock);
    executor_cancel_wait(customs->server->options.executor, timer);
    strand_free(customs->strand);
    store_watch_close(customs->watch);
    table_free(customs->table);
    mutex_deinit(&customs->timer_lock);
    mutex_deinit(&customs->loading);
    mutex_deinit(&customs->lock);
    free(customs);
    return NULL;
}
