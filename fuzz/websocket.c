/* A client's WebSocket bytes, in pieces: the first byte says how long they are. */
#include "net/websocket.h"

static void on_message(void *ctx, struct str bytes, bool last)
{
    size_t *total = ctx;

    *total += bytes.len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t total = 0, step = size ? 1 + data[0] : 1;
    const struct websocket_events events = { &total, on_message };
    AUTO_DEINIT(buf, out) = BUF_INIT;
    AUTO(websocket) socket = websocket_new(&events, &out);
    struct str rest = str_skip(str_of(data, size), 1);

    while (socket && rest.len > 0 && websocket_input(socket, str_first(rest, step)))
        rest = str_skip(rest, MIN(step, rest.len));
    INVARIANT(total <= size);
    return 0;
}
