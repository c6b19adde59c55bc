/* An HTTP/1.1 answer's bytes, in pieces: the first byte says how long they are and whether it answers a HEAD. */
#include "net/http_answer.h"

static void on_head(void *ctx, int status, const struct http_header *headers, size_t count)
{
    INVARIANT(status == 101 || (status >= 200 && status <= 999));
    for (size_t i = 0; i < count; i++)
        INVARIANT(headers[i].name.len > 0);
}

static void on_data(void *ctx, struct str bytes)
{
    size_t *total = ctx;

    *total += bytes.len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t total = 0, step = size ? 1 + (data[0] & 0x7f) : 1;
    const struct http_answer_events events = { &total, on_head, on_data };
    AUTO(http_answer) answer = http_answer_new(size && data[0] & 0x80 ? HTTP_HEAD_ : HTTP_GET_, &events);
    struct str rest = str_skip(str_of(data, size), 1);

    while (answer && rest.len > 0 && http_answer_input(answer, str_first(rest, step)) == HTTP_ANSWER_MORE)
        rest = str_skip(rest, MIN(step, rest.len));
    if (answer)
        http_answer_eof(answer);
    INVARIANT(total <= size);
    return 0;
}
