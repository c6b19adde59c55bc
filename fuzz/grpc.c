/* grpc.c - what an etcd member sends: HTTP/2, gRPC in it, and etcd's messages in that. The first byte says in pieces of
 * what size it comes, and whether the watch is paused after each message. */
#include "base/buf.h"
#include "store/etcd/grpc.h"
#include "store/etcd/rpc.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_call {
    struct grpc_call call;
    const ProtobufCMessageDescriptor *answer;
    bool pause;
};

static void on_message(struct grpc_call *call, struct str message)
{
    struct fuzz_call *fuzz = container_of(call, struct fuzz_call, call);
    ProtobufCMessage *answer =
        protobuf_c_message_unpack(fuzz->answer, NULL, message.len, (const uint8_t *)message.data);

    if (answer)
        protobuf_c_message_free_unpacked(answer, NULL);
    if (fuzz->pause)
        grpc_call_pause(call);
}

static void on_closed(struct grpc_call *call, const struct grpc_status *status)
{
    INVARIANT(status->text && !call->session);
}

static const struct grpc_events events = { on_message, on_closed };

static bool flush(struct grpc_session *session)
{
    struct buf out = BUF_INIT;
    struct err err;
    int code = grpc_session_output(session, &out, &err);

    buf_deinit(&out);
    return code == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct grpc_session_options options = { .authority = "etcd:2379", .max_message = 1 << 20 };
    struct fuzz_call calls[] = {
        { { .events = &events, .path = "/a", .request = STR("\0\0\0\0\0") }, &etcd__range_response__descriptor, false },
        { { .events = &events, .path = "/b", .request = STR("\0\0\0\0\0") }, &etcd__txn_response__descriptor, false },
        { { .events = &events, .path = "/c", .request = STR("\0\0\0\0\0"), .open_ended = true },
          &etcd__watch_response__descriptor, size > 0 && data[0] & 0x80 },
    };
    struct grpc_session *session;
    struct err err;
    size_t piece;

    if (size == 0 || grpc_session_new(&options, &session, &err) < 0)
        return 0;
    piece = data[0] & 0x7f ? data[0] & 0x7f : SIZE_MAX;
    for (size_t i = 0; i < ARRAY_LEN(calls); i++)
        grpc_call_start(session, &calls[i].call, &err);
    bool well = flush(session);
    for (struct str rest = str_of(data + 1, size - 1); well && rest.len > 0; rest = str_skip(rest, piece)) {
        well = grpc_session_input(session, str_first(rest, piece), &err) == 0 && flush(session);
        if (well)
            grpc_call_resume(&calls[2].call);
    }
    grpc_session_free(session, "over");
    return 0;
}
