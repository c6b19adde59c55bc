/* health.c - checks as rows: the server's own, then those that others have added (apiserver_add_health_check()).
 *
 * They run on the executor, so an answer also says that the executor has a thread to spare. */
#include "apiserver/health.h"

#include "apiserver/document.h"
#include "apiserver/server.h"

enum probe { PROBE_LIVE, PROBE_READY, PROBE_HEALTH };

static int check_ping(void *ctx, struct err *err)
{
    return 0;
}

static int check_store(void *ctx, struct err *err)
{
    struct apiserver *server = ctx;
    AUTO(store_snapshot) snapshot = NULL;

    return store_snapshot_open(server->options.store, 0, &snapshot, err);
}

/* Whether it takes what is put: a disk that is full, read-only or failing does not, and reading goes on all the same. */
static int check_store_writes(void *ctx, struct err *err)
{
    struct apiserver *server = ctx;

    return store_ready(server->options.store, NULL, err);
}

static int check_bootstrap(void *ctx, struct err *err)
{
    struct apiserver *server = ctx;

    return atomic_load(&server->bootstrapped) ? 0 : err_set(err, ERR_UNAVAILABLE, "the cluster is being set up");
}

static const struct health_check own_checks[] = {
    { STR_INIT("ping"), true, true, check_ping, NULL },
    { STR_INIT("store"), true, true, check_store, NULL },
    { STR_INIT("store/writes"), false, true, check_store_writes, NULL },
    { STR_INIT("poststarthook/bootstrap"), false, true, check_bootstrap, NULL },
};

static size_t check_count(const struct apiserver *server)
{
    return ARRAY_LEN(own_checks) + server->health_checks.count;
}

static const struct health_check *check_at(const struct apiserver *server, size_t i)
{
    return i < ARRAY_LEN(own_checks) ? &own_checks[i] : server->health_checks.items[i - ARRAY_LEN(own_checks)];
}

static bool belongs(const struct health_check *check, enum probe probe)
{
    return probe == PROBE_HEALTH || (probe == PROBE_LIVE ? check->live : check->ready);
}

static bool is_excluded(const struct request *request, struct str name)
{
    for (size_t i = 0; i < request->params.count; i++)
        if (str_is(request->params.items[i].name, "exclude") && str_eq(request->params.items[i].value, name))
            return true;
    return false;
}

static bool passes(struct request *request, const struct health_check *check)
{
    bool own = check >= own_checks && check < own_checks + ARRAY_LEN(own_checks);

    return check->check(own ? request->server : check->ctx, NULL) == 0;
}

/* What anybody may know of a failure. */
static const char *reason(const struct request *request, const struct health_check *check)
{
    enum store_condition condition;

    if (check->check != check_store_writes)
        return "reason withheld";
    return store_ready(request->server->options.store, &condition, NULL) < 0 ? store_condition_name(condition) : "over";
}

static void write_check(struct buf *text, const struct request *request, const struct health_check *check, bool ok)
{
    if (ok)
        buf_printf(text, "[+]" STR_FMT " ok\n", STR_ARG(check->name));
    else
        buf_printf(text, "[-]" STR_FMT " failed: %s\n", STR_ARG(check->name), reason(request, check));
}

/* A server that is cut off from etcd lives: starting it again would not help. It is not ready (store/writes). */
static void note_etcd(struct buf *text, const struct request *request)
{
    struct store *store = request->server->options.store;
    enum store_condition condition = STORE_READY;

    if (!store_is_shared(store))
        return;
    store_ready(store, &condition, NULL);
    buf_printf(text, condition == STORE_CUT_OFF ? "[!]etcd is out of reach\n" : "[+]etcd ok\n");
}

/* What `kubectl get --raw=/readyz?verbose` shows; without verbose only a failure is told at length. */
static int reply_all(struct request *request, enum probe probe, struct str name, struct err *err)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    bool ok = true;

    for (size_t i = 0; i < check_count(request->server); i++) {
        const struct health_check *check = check_at(request->server, i);
        bool passed;

        if (!belongs(check, probe))
            continue;
        if (is_excluded(request, check->name)) {
            buf_printf(&text, "[+]" STR_FMT " excluded: ok\n", STR_ARG(check->name));
            continue;
        }
        passed = passes(request, check);
        ok = ok && passed;
        write_check(&text, request, check, passed);
    }
    if (probe == PROBE_LIVE)
        note_etcd(&text, request);
    if (ok && !request_param(request, "verbose").data) {
        reply_text(request, 200, "text/plain; charset=utf-8", STR("ok"));
        return 0;
    }
    buf_printf(&text, STR_FMT " check %s\n", STR_ARG(name), ok ? "passed" : "failed");
    reply_buf(request, ok ? 200 : 500, "text/plain; charset=utf-8", &text, err);
    return 0;
}

static int reply_one(struct request *request, enum probe probe, struct str name, struct err *err)
{
    for (size_t i = 0; i < check_count(request->server); i++) {
        const struct health_check *check = check_at(request->server, i);

        if (!belongs(check, probe) || !str_eq(check->name, name))
            continue;
        if (passes(request, check))
            reply_text(request, 200, "text/plain; charset=utf-8", STR("ok"));
        else
            reply_text(request, 500, "text/plain; charset=utf-8", STR("internal server error: reason withheld\n"));
        return 0;
    }
    return err_set(err, ERR_NOT_FOUND, "the server could not find the requested resource");
}

int health_handle(struct request *request, struct err *err)
{
    struct str path = str_skip(request->info.path, 1), name = path;
    ssize_t slash = str_chr(path, '/');
    enum probe probe;
    int code;

    if ((code = request_only_read(request, err)) < 0)
        return code;
    if (slash >= 0)
        name = str_first(path, (size_t)slash);
    probe = str_is(name, "livez") ? PROBE_LIVE : str_is(name, "readyz") ? PROBE_READY : PROBE_HEALTH;
    if (slash >= 0)
        return reply_one(request, probe, str_skip(path, (size_t)slash + 1), err);
    return reply_all(request, probe, name, err);
}
