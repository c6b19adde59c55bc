/* refusal.c - the tables: first etcd's own words, then the status codes of gRPC. */
#include "store/etcd/refusal.h"

struct words {
    struct str text;
    struct refusal refusal;
};

/* Beginnings of messages; a longer one stands before its own beginning. */
static const struct words words[] = {
    { STR_INIT("etcdserver: mvcc: required revision has been compacted"), { ERR_EXPIRED, THEN_FAIL, true } },
    { STR_INIT("etcdserver: mvcc: required revision is a future revision"), { ERR_INVALID, THEN_FAIL, true } },
    { STR_INIT("etcdserver: mvcc: database space exceeded"), { ERR_NO_SPACE, THEN_FAIL, true } },
    { STR_INIT("etcdserver: no space"), { ERR_NO_SPACE, THEN_FAIL, true } },
    { STR_INIT("etcdserver: request is too large"), { ERR_TOO_LARGE, THEN_FAIL, true } },
    { STR_INIT("etcdserver: too many operations"), { ERR_TOO_LARGE, THEN_FAIL, true } },
    { STR_INIT("grpc: received message larger than max"), { ERR_TOO_LARGE, THEN_FAIL, true } },
    { STR_INIT("grpc: trying to send message larger than max"), { ERR_TOO_LARGE, THEN_FAIL, false } },
    { STR_INIT("etcdserver: too many requests"), { ERR_UNAVAILABLE, THEN_FAIL, true } },
    { STR_INIT("etcdserver: no leader"), { ERR_TIMEOUT, THEN_MOVE, false } }, /* said of proposals that were made, too */
    { STR_INIT("etcdserver: rpc not supported for learner"), { ERR_UNAVAILABLE, THEN_MOVE, true } },
    { STR_INIT("etcdserver: server stopped"), { ERR_TIMEOUT, THEN_MOVE, false } },
    { STR_INIT("etcdserver: leader changed"), { ERR_TIMEOUT, THEN_FAIL, false } },
    { STR_INIT("etcdserver: request timed out"), { ERR_TIMEOUT, THEN_MOVE, false } },
    { STR_INIT("etcdserver: invalid auth token"), { ERR_UNAUTHORIZED, THEN_LOGIN, true } },
    { STR_INIT("etcdserver: revision of auth store is old"), { ERR_UNAUTHORIZED, THEN_LOGIN, true } },
    { STR_INIT("etcdserver: permission denied"), { ERR_FORBIDDEN, THEN_FAIL, true } },
    { STR_INIT("etcdserver: user name is empty"), { ERR_UNAUTHORIZED, THEN_FAIL, true } },
    { STR_INIT("etcdserver: user name not found"), { ERR_UNAUTHORIZED, THEN_FAIL, true } },
    { STR_INIT("etcdserver: authentication failed"), { ERR_UNAUTHORIZED, THEN_FAIL, true } },
    { STR_INIT("etcdserver: requested lease not found"), { ERR_NOT_FOUND, THEN_FAIL, true } },
};

/* By code of gRPC. */
static const struct refusal refusals[] = {
    [GRPC_OK] = { ERR_IO, THEN_FAIL, false }, /* without the answer that must come with it */
    [GRPC_CANCELLED] = { ERR_TIMEOUT, THEN_FAIL, false },
    [GRPC_UNKNOWN] = { ERR_TIMEOUT, THEN_FAIL, false },
    [GRPC_INVALID_ARGUMENT] = { ERR_INVALID, THEN_FAIL, true },
    [GRPC_DEADLINE_EXCEEDED] = { ERR_TIMEOUT, THEN_FAIL, false },
    [GRPC_NOT_FOUND] = { ERR_NOT_FOUND, THEN_FAIL, true },
    [GRPC_ALREADY_EXISTS] = { ERR_ALREADY_EXISTS, THEN_FAIL, true },
    [GRPC_PERMISSION_DENIED] = { ERR_FORBIDDEN, THEN_FAIL, true },
    [GRPC_RESOURCE_EXHAUSTED] = { ERR_TOO_LARGE, THEN_FAIL, false },
    [GRPC_FAILED_PRECONDITION] = { ERR_BAD_REQUEST, THEN_FAIL, true },
    [GRPC_ABORTED] = { ERR_TIMEOUT, THEN_FAIL, false },
    [GRPC_OUT_OF_RANGE] = { ERR_INVALID, THEN_FAIL, true },
    [GRPC_UNIMPLEMENTED] = { ERR_NOT_SUPPORTED, THEN_FAIL, true },
    [GRPC_INTERNAL] = { ERR_TIMEOUT, THEN_FAIL, false },
    [GRPC_UNAVAILABLE] = { ERR_TIMEOUT, THEN_MOVE, false },
    [GRPC_DATA_LOSS] = { ERR_IO, THEN_FAIL, false },
    [GRPC_UNAUTHENTICATED] = { ERR_UNAUTHORIZED, THEN_FAIL, true },
};

static const struct refusal unknown = { ERR_TIMEOUT, THEN_FAIL, false };

static const struct refusal *find_words(struct str text)
{
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_has_prefix(text, words[i].text))
            return &words[i].refusal;
    return NULL;
}

struct refusal refusal_of(const struct grpc_status *status)
{
    const struct refusal *known = find_words(str_from(status->text));

    if (status->malformed)
        return (struct refusal){ status->code == GRPC_RESOURCE_EXHAUSTED ? ERR_TOO_LARGE : ERR_IO, THEN_FAIL, false };
    if (status->unseen)
        return (struct refusal){ ERR_UNAVAILABLE, THEN_MOVE, true };
    if (known)
        return *known;
    return status->code >= 0 && (size_t)status->code < ARRAY_LEN(refusals) ? refusals[status->code] : unknown;
}

struct refusal refusal_of_text(struct str text)
{
    const struct refusal *known = find_words(text);

    return known ? *known : unknown;
}
