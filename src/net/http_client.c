/* http_client.c - the client's thread: one libcurl multi handle that moves all transfers.
 *
 * Other threads never touch the multi handle. They set a flag on a call under the lock, put the call into the
 * list of commands and wake the thread, which takes the list at the top of each round. http_call_free() waits for the
 * thread to have let go. The client's memory lives until its last call is freed. */
#include "net/http_client.h"

#include <string.h>

#include "base/sync.h"
#include "net/http_call.h"

#define POLL_MS 60000
#define MAX_IDLE_CONNECTIONS 32L
#define MAX_STREAMS 1000L
#define DEFAULT_MAX_BODY (256u << 20)

struct http_client {
    atomic_uint refs;
    CURLM *multi;
    struct thread thread;
    char *ca, *cert, *key;
    struct curl_blob ca_blob, cert_blob, key_blob;
    bool insecure;
    struct list calls; /* under way; the thread's own */

    struct mutex lock;
    struct cond over; /* a call is over */
    struct list commands;
    bool stop;
};

/* -- the thread -- */

static void end_call(struct http_client *client, struct http_call *call)
{
    LOCKED(&client->lock);
    list_remove(&call->command);
    call->over = true;
    cond_broadcast(&client->over);
}

static void detach_call(struct http_client *client, struct http_call *call)
{
    curl_multi_remove_handle(client->multi, call->easy);
    list_remove(&call->link);
}

static curl_socket_t socket_of(struct http_call *call)
{
    curl_socket_t socket = CURL_SOCKET_BAD;

    curl_easy_getinfo(call->easy, CURLINFO_ACTIVESOCKET, &socket);
    return socket;
}

/* libcurl since 7.88 queues the RST_STREAM of a transfer that is removed, but sends it only when something else happens
 * on the connection: the server would go on streaming to nobody. Pausing another stream of the connection and letting
 * it go on makes it send. When there is no other stream, FORBID_REUSE makes it close the connection. */
static void cancel_call(struct http_client *client, struct http_call *call)
{
    curl_socket_t socket = socket_of(call);

    call->dropped = true;
    curl_easy_pause(call->easy, CURLPAUSE_CONT); /* what a pause held back would leak */
    curl_easy_setopt(call->easy, CURLOPT_FORBID_REUSE, 1L);
    detach_call(client, call);
    list_each(&client->calls, other, struct http_call, link) {
        if (socket == CURL_SOCKET_BAD || socket_of(other) != socket)
            continue;
        curl_easy_pause(other->easy, CURLPAUSE_RECV);
        curl_easy_pause(other->easy, CURLPAUSE_CONT);
        return;
    }
}

static void begin_call(struct http_client *client, struct http_call *call)
{
    if (curl_multi_add_handle(client->multi, call->easy) == CURLM_OK) {
        list_append(&client->calls, &call->link);
        return;
    }
    http_call_fail(call, ERR_NO_MEMORY, "the transfer could not be started");
    end_call(client, call);
}

static struct http_call *next_command(struct http_client *client, bool *ret_start, bool *ret_resume, bool *ret_cancel)
{
    LOCKED(&client->lock);
    struct http_call *call = list_first(&client->commands, struct http_call, command);

    if (!call)
        return NULL;
    list_remove(&call->command);
    *ret_start = call->start;
    *ret_resume = call->resume;
    *ret_cancel = call->cancel;
    call->start = call->resume = false;
    return call;
}

static void obey(struct http_client *client)
{
    bool start, resume, cancel;
    struct http_call *call;

    while ((call = next_command(client, &start, &resume, &cancel))) {
        if (cancel) {
            if (!start)
                cancel_call(client, call);
            end_call(client, call);
        } else if (start) {
            begin_call(client, call);
        } else if (resume) {
            curl_easy_pause(call->easy, CURLPAUSE_CONT);
        }
    }
}

static void reap(struct http_client *client)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(client->multi, &left))) {
        CURLcode code = message->data.result;
        struct http_call *call = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        detach_call(client, call);
        http_call_finish(call, code);
        end_call(client, call);
    }
}

static bool is_stopping(struct http_client *client)
{
    LOCKED(&client->lock);
    return client->stop;
}

static void cancel_all(struct http_client *client)
{
    struct http_call *call;

    while ((call = list_first(&client->calls, struct http_call, link))) {
        cancel_call(client, call);
        http_call_fail(call, ERR_CANCELLED, "the client is closing");
        end_call(client, call);
    }
}

static void run(void *arg)
{
    struct http_client *client = arg;
    int running;

    while (!is_stopping(client)) {
        obey(client);
        curl_multi_perform(client->multi, &running);
        reap(client);
        curl_multi_poll(client->multi, NULL, 0, POLL_MS, NULL);
    }
    obey(client);
    cancel_all(client);
    curl_multi_cleanup(client->multi); /* closes the connections now, though calls may be freed later */
    client->multi = NULL;
}

/* -- the client -- */

static void client_unref(struct http_client *client)
{
    if (atomic_fetch_sub_explicit(&client->refs, 1, memory_order_acq_rel) > 1)
        return;
    if (client->multi)
        curl_multi_cleanup(client->multi);
    cond_deinit(&client->over);
    mutex_deinit(&client->lock);
    if (client->key)
        explicit_bzero(client->key, client->key_blob.len);
    free(client->ca);
    free(client->cert);
    free(client->key);
    free(client);
    curl_global_cleanup();
}

static bool set_blob(struct str pem, char **ret_copy, struct curl_blob *ret_blob)
{
    if (!pem.data)
        return true;
    *ret_copy = str_dup(pem);
    *ret_blob = (struct curl_blob){ .data = *ret_copy, .len = pem.len, .flags = CURL_BLOB_NOCOPY };
    return *ret_copy != NULL;
}

int http_client_new(const struct http_client_options *options, struct http_client **ret_client, struct err *err)
{
    struct http_client *client;
    int code;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(err, ERR_NO_MEMORY, "HTTP client");
    if (!(client = calloc(1, sizeof *client))) {
        curl_global_cleanup();
        return err_set(err, ERR_NO_MEMORY, "HTTP client");
    }
    atomic_init(&client->refs, 1);
    mutex_init(&client->lock);
    cond_init(&client->over);
    list_init(&client->calls);
    list_init(&client->commands);
    client->insecure = options->insecure;
    client->multi = curl_multi_init();
    if (!client->multi || !set_blob(options->ca_pem, &client->ca, &client->ca_blob) ||
        !set_blob(options->cert_pem, &client->cert, &client->cert_blob) ||
        !set_blob(options->key_pem, &client->key, &client->key_blob)) {
        client_unref(client);
        return err_set(err, ERR_NO_MEMORY, "HTTP client");
    }
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, MAX_IDLE_CONNECTIONS);
    curl_multi_setopt(client->multi, CURLMOPT_MAX_CONCURRENT_STREAMS, MAX_STREAMS);
    if ((code = thread_start(&client->thread, "http-client", run, client, err)) < 0) {
        client_unref(client);
        return err_wrap(err, code, "HTTP client");
    }
    *ret_client = client;
    return 0;
}

struct http_client *http_client_free(struct http_client *client)
{
    if (!client)
        return NULL;
    mutex_lock(&client->lock);
    client->stop = true;
    curl_multi_wakeup(client->multi); /* before the thread can see it and be gone */
    mutex_unlock(&client->lock);
    thread_join(&client->thread);
    client_unref(client);
    return NULL;
}

bool http_client_configure(struct http_client *client, CURL *easy)
{
    long verify = client->insecure ? 0 : 1;
    bool ok = curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, verify) == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, verify * 2) == CURLE_OK;

    if (client->ca)
        ok = ok && curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &client->ca_blob) == CURLE_OK &&
             curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK;
    if (client->cert)
        ok = ok && curl_easy_setopt(easy, CURLOPT_SSLCERT_BLOB, &client->cert_blob) == CURLE_OK &&
             curl_easy_setopt(easy, CURLOPT_SSLCERTTYPE, "PEM") == CURLE_OK;
    if (client->key)
        ok = ok && curl_easy_setopt(easy, CURLOPT_SSLKEY_BLOB, &client->key_blob) == CURLE_OK &&
             curl_easy_setopt(easy, CURLOPT_SSLKEYTYPE, "PEM") == CURLE_OK;
    return ok;
}

/* -- calls -- */

/* Under the lock. */
static void command(struct http_client *client, struct http_call *call)
{
    if (!list_empty(&call->command) || call->over)
        return;
    list_append(&client->commands, &call->command);
    curl_multi_wakeup(client->multi);
}

int http_call_start(struct http_client *client, const struct http_client_request *request,
                    const struct http_call_events *events, struct http_call **ret_call, struct err *err)
{
    struct http_call *call = NULL;
    int code = http_call_new(client, request, events, &call, err);

    if (code < 0)
        return code;
    atomic_fetch_add_explicit(&client->refs, 1, memory_order_relaxed);
    *ret_call = call; /* before the first event can come */
    LOCKED(&client->lock);
    call->start = true;
    command(client, call);
    return 0;
}

void http_call_resume(struct http_call *call)
{
    LOCKED(&call->client->lock);
    call->resume = true;
    command(call->client, call);
}

int http_call_write(struct http_call *call, struct str bytes, struct err *err)
{
    LOCKED(&call->client->lock);
    buf_add_str(&call->outgoing, bytes);
    if (!buf_ok(&call->outgoing))
        return err_set(err, ERR_TOO_LARGE, "too much waits to be sent");
    call->resume = true;
    command(call->client, call);
    return 0;
}

bool http_client_take(struct http_call *call, char *out, size_t size, size_t *ret_len)
{
    LOCKED(&call->client->lock);
    size_t len = MIN(size, call->outgoing.len);

    if (len) {
        memcpy(out, call->outgoing.data, len);
        buf_consume(&call->outgoing, len);
    }
    *ret_len = len;
    return !call->body_over;
}

void http_client_end_request(struct http_call *call)
{
    LOCKED(&call->client->lock);
    call->body_over = call->resume = true;
    command(call->client, call);
}

struct http_call *http_call_free(struct http_call *call)
{
    struct http_client *client;

    if (!call)
        return NULL;
    client = call->client;
    mutex_lock(&client->lock);
    call->cancel = true;
    command(client, call);
    while (!call->over)
        cond_wait(&client->over, &client->lock);
    mutex_unlock(&client->lock);
    http_call_destroy(call);
    client_unref(client);
    return NULL;
}

/* -- blocking -- */

struct blocking {
    struct mutex lock;
    struct cond done;
    struct arena *arena; /* the caller's, who waits: the client's thread may fill it */
    struct http_client_response response;
    struct buf body;
    struct err err;
    int code;
    bool is_done, no_memory;
};

static void blocking_head(void *ctx, const struct http_client_response *head)
{
    struct blocking *self = ctx;
    struct http_header *headers = arena_array_of(self->arena, head->header_count, struct http_header);

    self->response.status = head->status;
    for (size_t i = 0; headers && i < head->header_count; i++) {
        headers[i].name = arena_str(self->arena, head->headers[i].name);
        headers[i].value = arena_str(self->arena, head->headers[i].value);
        self->no_memory = self->no_memory || !headers[i].name.data || !headers[i].value.data;
    }
    self->response.headers = headers;
    self->response.header_count = headers ? head->header_count : 0;
    self->no_memory = self->no_memory || (!headers && head->header_count > 0);
}

static bool blocking_data(void *ctx, struct str bytes)
{
    struct blocking *self = ctx;

    buf_add_str(&self->body, bytes);
    return true;
}

static void blocking_done(void *ctx, int code, const struct err *err)
{
    struct blocking *self = ctx;

    LOCKED(&self->lock);
    self->code = code;
    self->err = *err;
    self->is_done = true;
    cond_signal(&self->done);
}

static int blocking_result(struct blocking *self, struct http_client_response *ret_response, struct err *err)
{
    if (self->code < 0) {
        if (err)
            *err = self->err;
        return self->code;
    }
    self->response.body = arena_str(self->arena, buf_str(&self->body));
    if (self->no_memory || !buf_ok(&self->body) || !self->response.body.data)
        return err_set(err, ERR_NO_MEMORY, "HTTP response");
    *ret_response = self->response;
    return 0;
}

int http_client_do(struct http_client *client, const struct http_client_request *request, struct arena *arena,
                   struct http_client_response *ret_response, struct err *err)
{
    struct blocking self = { .arena = arena, .body = BUF_INIT };
    const struct http_call_events events = { &self, blocking_head, blocking_data, blocking_done };
    struct http_client_request capped = *request;
    struct http_call *call;
    int code;

    if (capped.max_body == 0)
        capped.max_body = DEFAULT_MAX_BODY;
    mutex_init(&self.lock);
    cond_init(&self.done);
    code = http_call_start(client, &capped, &events, &call, err);
    if (code == 0) {
        mutex_lock(&self.lock);
        while (!self.is_done)
            cond_wait(&self.done, &self.lock);
        mutex_unlock(&self.lock);
        http_call_free(call);
        code = blocking_result(&self, ret_response, err);
    }
    buf_deinit(&self.body);
    cond_deinit(&self.done);
    mutex_deinit(&self.lock);
    return code;
}
