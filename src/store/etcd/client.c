/* client.c - the client's thread and the way to it.
 *
 * Other threads leave calls and watches in the mail, under one lock that is held for a few instructions, and wake the
 * thread if nobody has yet. The thread takes all of the mail at once, hands it to the member's connection and sends it
 * with one write: the more calls come at a time, the less each costs. Answers are decoded into one arena, which the next
 * answer takes over. */
#include "store/etcd/client_private.h"

#include <stdio.h>
#include <strings.h>

#define TICK_MS 50
#define DECODE_STEP (64u << 10)
#define DECODE_MAX (512u << 20) /* of memory for one message: structures are larger than bytes on the wire */

/* -- decoding -- */

static void *arena_alloc_fn(void *arg, size_t size)
{
    return arena_alloc(arg, MAX(size, (size_t)1));
}

static void arena_free_fn(void *arg, void *memory)
{
}

ProtobufCMessage *client_decode(struct etcd_client *client, const ProtobufCMessageDescriptor *type, struct str message)
{
    ProtobufCAllocator allocator = { arena_alloc_fn, arena_free_fn, &client->arena };

    arena_reset(&client->arena);
    return protobuf_c_message_unpack(type, &allocator, message.len, (const uint8_t *)message.data);
}

/* -- the thread -- */

bool client_is_current(const struct etcd_client *client)
{
    return pthread_equal(client->self, pthread_self());
}

void client_wake(struct etcd_client *client)
{
    if (client->woken)
        return;
    client->woken = true;
    if (!client_is_current(client)) /* else its turn will see it */
        uv_async_send(&client->async);
}

static void take_mail(struct etcd_client *client)
{
    mutex_lock(&client->lock);
    client->woken = false;
    list_each(&client->mail_calls, call, struct call, link) {
        list_remove(&call->link);
        list_append(&client->waiting, &call->link);
    }
    mutex_unlock(&client->lock);
    watches_take_mail(client);
}

static bool has_more(struct etcd_client *client)
{
    LOCKED(&client->lock);
    return client->woken || client->move;
}

static void stop(struct etcd_client *client)
{
    client->ending = true;
    INVARIANT(list_empty(&client->watches));
    member_close(client, "the client is closed");
    take_mail(client); /* the last */
    calls_end(client);
    uv_close((uv_handle_t *)&client->async, NULL);
    uv_close((uv_handle_t *)&client->tick, NULL);
}

void client_turn(struct etcd_client *client)
{
    if (client->ending)
        return;
    do {
        take_mail(client);
        member_drive(client);
        watches_send(client);
        calls_send_waiting(client);
        if (client->channel)
            channel_flush(client->channel);
    } while (has_more(client));
}

static void on_async(uv_async_t *async)
{
    struct etcd_client *client = async->data;
    bool stopping;

    client_turn(client);
    mutex_lock(&client->lock);
    stopping = client->stop;
    mutex_unlock(&client->lock);
    if (stopping && !client->ending)
        stop(client);
}

static void on_tick(uv_timer_t *timer)
{
    struct etcd_client *client = timer->data;
    nsec_t now = clock_now(client->clock);

    calls_check_deadlines(client, now);
    member_tick(client, now);
    client_turn(client);
}

static void client_main(void *arg)
{
    struct etcd_client *client = arg;

    client->self = pthread_self();
    client_turn(client);
    uv_run(&client->uv, UV_RUN_DEFAULT);
}

/* -- beginning and end -- */

static int copy_text(struct str text, char **ret_copy, struct err *err)
{
    if (!text.data)
        return 0;
    *ret_copy = str_dup(text);
    return *ret_copy ? 0 : err_set(err, ERR_NO_MEMORY, "etcd client");
}

static int configure(struct etcd_client *client, const struct etcd_client_options *options, struct err *err)
{
    const struct tls_client_config tls = { options->ca_pem, options->cert_pem, options->key_pem };
    int code = etcd_endpoints_parse(options->endpoints, client->endpoints, &client->endpoints_count, err);

    if (code < 0 || (code = copy_text(options->user, &client->user, err)) < 0 ||
        (code = copy_text(options->password.data ? options->password : STR(""), &client->password, err)) < 0)
        return code;
    if (!options->ca_pem.data && options->cert_pem.data)
        return err_set(err, ERR_INVALID, "etcd: a client certificate needs a certificate authority for the servers");
    if (options->ca_pem.data && tls_client_new(&tls, &client->tls, err) < 0) {
        if (err)
            err->code = ERR_INVALID;
        err_wrap(err, -ERR_INVALID, "etcd: TLS");
        return -ERR_INVALID;
    }
    client->clock = options->clock ? options->clock : clock_real();
    client->connect_timeout = options->connect_timeout > 0 ? options->connect_timeout : NSEC_PER_SEC;
    client->ping_interval = options->ping_interval > 0 ? options->ping_interval : NSEC_PER_SEC;
    client->ping_timeout = options->ping_timeout > 0 ? options->ping_timeout : 2 * NSEC_PER_SEC;
    return 0;
}

static int start(struct etcd_client *client, struct err *err)
{
    int code = uv_loop_init(&client->uv);

    if (code < 0)
        return err_errno(err, -code, "etcd client: loop");
    client->async.data = client->tick.data = client;
    uv_timer_init(&client->uv, &client->tick);
    uv_timer_start(&client->tick, on_tick, TICK_MS, TICK_MS);
    code = uv_async_init(&client->uv, &client->async, on_async);
    if (code == 0 && thread_start(&client->thread, "etcd", client_main, client, err) == 0)
        return 0;
    uv_close((uv_handle_t *)&client->tick, NULL);
    if (code == 0)
        uv_close((uv_handle_t *)&client->async, NULL);
    uv_run(&client->uv, UV_RUN_DEFAULT);
    uv_loop_close(&client->uv);
    return code < 0 ? err_errno(err, -code, "etcd client: loop") : -ERR_NO_MEMORY;
}

static void client_delete(struct etcd_client *client)
{
    arena_deinit(&client->arena);
    tls_context_free(client->tls);
    if (client->password)
        explicit_bzero(client->password, strlen(client->password));
    free(client->user);
    free(client->password);
    mutex_deinit(&client->lock);
    cond_deinit(&client->watch_gone);
    free(client);
}

int etcd_client_new(const struct etcd_client_options *options, struct etcd_client **ret_client, struct err *err)
{
    struct etcd_client *client = calloc(1, sizeof *client);
    int code;

    if (!client)
        return err_set(err, ERR_NO_MEMORY, "etcd client");
    mutex_init(&client->lock);
    cond_init(&client->watch_gone);
    arena_init(&client->arena, DECODE_MAX);
    client->arena.step = DECODE_STEP;
    list_init(&client->waiting);
    list_init(&client->under_way);
    list_init(&client->watches);
    list_init(&client->mail_calls);
    list_init(&client->mail_watches);
    if ((code = configure(client, options, err)) < 0 || (code = start(client, err)) < 0) {
        client_delete(client);
        return code;
    }
    *ret_client = client;
    return 0;
}

struct etcd_client *etcd_client_free(struct etcd_client *client)
{
    if (!client)
        return NULL;
    mutex_lock(&client->lock);
    client->stop = true;
    uv_async_send(&client->async);
    mutex_unlock(&client->lock);
    thread_join(&client->thread);
    INVARIANT(uv_loop_close(&client->uv) == 0);
    client_delete(client);
    return NULL;
}

int etcd_client_check(struct etcd_client *client, struct err *err)
{
    LOCKED(&client->lock);
    if (client->connected)
        return 0;
    return err_set(err, ERR_UNAVAILABLE, "etcd: %s",
                   client->trouble.message[0] ? client->trouble.message : "not connected yet");
}

/* -- calls -- */

int etcd_call(struct etcd_client *client, enum etcd_method method, const ProtobufCMessage *request, nsec_t timeout,
              etcd_done_fn *done, void *arg, struct err *err)
{
    struct call *call;
    int code = call_new(client, method, request, timeout, done, arg, &call, err);

    if (code < 0)
        return code;
    mutex_lock(&client->lock);
    if (!client->stop) {
        list_append(&client->mail_calls, &call->link);
        client_wake(client);
        call = NULL;
    }
    mutex_unlock(&client->lock);
    if (!call)
        return 0;
    free(call);
    return err_set(err, ERR_CANCELLED, "etcd: the client is being closed");
}

struct wait {
    struct mutex lock;
    struct cond over;
    bool is_over;
    int code;
    struct err err;
    ProtobufCMessage *answer;
};

/* The caller's own copy: by way of its bytes. */
static ProtobufCMessage *copy_message(const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = malloc(size + 1);
    ProtobufCMessage *copy = NULL;

    if (bytes) {
        protobuf_c_message_pack(message, bytes);
        copy = protobuf_c_message_unpack(message->descriptor, NULL, size, bytes);
    }
    free(bytes);
    return copy;
}

static void on_done(void *arg, int code, const struct err *err, const ProtobufCMessage *answer)
{
    struct wait *wait = arg;
    ProtobufCMessage *copy = code == 0 ? copy_message(answer) : NULL;

    LOCKED(&wait->lock);
    wait->answer = copy;
    wait->code = code;
    if (code < 0)
        wait->err = *err;
    else if (!copy)
        wait->code = err_set(&wait->err, ERR_NO_MEMORY, "etcd: answer");
    wait->is_over = true;
    cond_signal(&wait->over);
}

int etcd_do(struct etcd_client *client, enum etcd_method method, const ProtobufCMessage *request, nsec_t timeout,
            ProtobufCMessage **ret_answer, struct err *err)
{
    struct wait wait = { 0 };
    int code;

    INVARIANT(!client_is_current(client));
    mutex_init(&wait.lock);
    cond_init(&wait.over);
    code = etcd_call(client, method, request, timeout, on_done, &wait, err);
    if (code == 0) {
        mutex_lock(&wait.lock);
        while (!wait.is_over)
            cond_wait(&wait.over, &wait.lock);
        mutex_unlock(&wait.lock);
        code = wait.code;
        if (code == 0)
            *ret_answer = wait.answer;
        else
            err_set(err, wait.err.code, "%s", wait.err.message);
    }
    cond_deinit(&wait.over);
    mutex_deinit(&wait.lock);
    return code;
}
