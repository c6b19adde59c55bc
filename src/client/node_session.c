/* node_session.c - a hash map under a lock: a beat is one look-up and two stores. */
#include "client/node_session.h"

#include "base/map.h"
#include "base/sync.h"

#define NODE_NAME_MAX 253

struct node_sessions {
    struct clock *clock;
    struct mutex lock;
    struct map nodes; /* name -> struct entry */
};

struct entry {
    nsec_t seen, since;
    uint64_t applied;
    size_t len;
    char name[];
};

int node_sessions_new(struct clock *clock, struct node_sessions **ret_sessions, struct err *err)
{
    struct node_sessions *sessions = calloc(1, sizeof *sessions);

    if (!sessions)
        return err_set(err, ERR_NO_MEMORY, "node sessions");
    sessions->clock = clock;
    mutex_init(&sessions->lock);
    map_init(&sessions->nodes);
    *ret_sessions = sessions;
    return 0;
}

struct node_sessions *node_sessions_free(struct node_sessions *sessions)
{
    if (!sessions)
        return NULL;
    for (struct map_entry *e = NULL; (e = map_next(&sessions->nodes, e));)
        free(e->value);
    map_deinit(&sessions->nodes);
    mutex_deinit(&sessions->lock);
    free(sessions);
    return NULL;
}

static int add_entry(struct node_sessions *sessions, struct str node, nsec_t now, struct entry **ret_entry,
                     struct err *err)
{
    struct entry *entry;

    if (node.len == 0 || node.len > NODE_NAME_MAX)
        return err_set(err, ERR_BAD_REQUEST, "a node's name has 1 to %d characters", NODE_NAME_MAX);
    if (sessions->nodes.count >= NODE_SESSIONS_MAX)
        return err_set(err, ERR_TOO_MANY_REQUESTS, "too many nodes");
    entry = malloc(sizeof *entry + node.len);
    if (!entry)
        return err_set(err, ERR_NO_MEMORY, "node session");
    *entry = (struct entry){ .since = now, .len = node.len };
    memcpy(entry->name, node.data, node.len);
    if (map_put(&sessions->nodes, str_of(entry->name, node.len), entry, NULL) < 0) {
        free(entry);
        return err_set(err, ERR_NO_MEMORY, "node session");
    }
    *ret_entry = entry;
    return 0;
}

int node_sessions_touch(struct node_sessions *sessions, struct str node, uint64_t applied, struct err *err)
{
    return node_sessions_note(sessions, node, 0, applied, err);
}

int node_sessions_note(struct node_sessions *sessions, struct str node, nsec_t age, uint64_t applied, struct err *err)
{
    nsec_t seen = clock_now(sessions->clock) - age;
    LOCKED(&sessions->lock);
    struct entry *entry = map_get(&sessions->nodes, node);
    int code;

    if (!entry && (code = add_entry(sessions, node, seen, &entry, err)) < 0)
        return code;
    entry->seen = entry->seen ? MAX(entry->seen, seen) : seen;
    entry->applied = MAX(entry->applied, applied);
    return 0;
}

void node_sessions_forget(struct node_sessions *sessions, struct str node)
{
    LOCKED(&sessions->lock);
    free(map_remove(&sessions->nodes, node));
}

static struct node_session session_of(const struct entry *entry, struct str node)
{
    return (struct node_session){ .node = node, .seen = entry->seen, .since = entry->since, .applied = entry->applied };
}

bool node_sessions_get(struct node_sessions *sessions, struct str node, struct node_session *ret_session)
{
    LOCKED(&sessions->lock);
    const struct entry *entry = map_get(&sessions->nodes, node);

    if (!entry)
        return false;
    *ret_session = session_of(entry, node);
    return true;
}

void node_sessions_each(struct node_sessions *sessions, void (*fn)(void *arg, const struct node_session *session),
                        void *arg)
{
    LOCKED(&sessions->lock);

    for (struct map_entry *e = NULL; (e = map_next(&sessions->nodes, e));) {
        const struct entry *entry = e->value;
        struct node_session session = session_of(entry, str_of(entry->name, entry->len));

        fn(arg, &session);
    }
}

size_t node_sessions_count(struct node_sessions *sessions)
{
    LOCKED(&sessions->lock);
    return sessions->nodes.count;
}
