/* place_s3.c - backups in a bucket of an S3-compatible object store, by libcurl, which signs (AWS Signature Version 4).
 *
 * libcurl of Debian 12 signs a query as it is written: so ours is written sorted and encoded as the signature wants it,
 * and names have no character that would have to be encoded. The SHA-256 of what is put is sent and signed too, so that
 * the other side stores what we have read or nothing. Hosts that are named as an endpoint are spoken to path-style
 * (HOST/BUCKET/KEY), Amazon's own by the name of the bucket. A single put takes 5 GiB. */
#include <curl/curl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "store/backup/place_private.h"

#define PUT_MAX (5ull << 30)
#define ANSWER_MAX (4u << 20)
#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define CONNECT_TIMEOUT 10L
#define SLOW_BYTES 1L /* fewer than that in a second */
#define SLOW_SECONDS 20L /* for so long is a peer that hangs */

struct place_s3 {
    struct place place;
    char base[768];   /* URL before the key, with its '/' */
    char prefix[256]; /* of keys; with a '/' at its end unless empty */
    char signature[96], user[512], token[4096];
};

/* One request. */
struct call {
    struct place_s3 *s3;
    const char *sha256;
    const struct place_data *put;
    uint64_t sent;
    int get_fd;        /* a good answer goes there; -1: into answer */
    struct buf answer; /* the first bytes of a bad one */
    long status;
    CURL *curl;
};

static struct place_s3 *s3_of(struct place *place)
{
    return container_of(place, struct place_s3, place);
}

/* -- moving bytes -- */

static size_t send_some(char *out, size_t size, size_t count, void *arg)
{
    struct call *call = arg;
    ssize_t got = pread(call->put->fd, out, size * count, (off_t)call->sent);

    if (got < 0)
        return CURL_READFUNC_ABORT;
    call->sent += (uint64_t)got;
    return (size_t)got;
}

static size_t receive(char *data, size_t size, size_t count, void *arg)
{
    struct call *call = arg;
    size_t len = size * count;

    curl_easy_getinfo(call->curl, CURLINFO_RESPONSE_CODE, &call->status);
    if (call->get_fd >= 0 && call->status == 200)
        return place_write(call->get_fd, str_of(data, len)) < 0 ? 0 : len;
    buf_add(&call->answer, data, len);
    return buf_ok(&call->answer) ? len : 0;
}

static int look_for_stop(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    return place_stopped(&((struct call *)arg)->s3->place);
}

static void set_options(struct call *call, const char *url, struct curl_slist *headers, char *message)
{
    CURL *curl = call->curl;

    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_AWS_SIGV4, call->s3->signature);
    curl_easy_setopt(curl, CURLOPT_USERPWD, call->s3->user);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, message);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, SLOW_BYTES);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, SLOW_SECONDS);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, look_for_stop);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, call);
    if (!call->put)
        return;
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, send_some);
    curl_easy_setopt(curl, CURLOPT_READDATA, call);
    curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)call->put->size);
}

static struct curl_slist *make_headers(const struct call *call)
{
    char line[sizeof call->s3->token + 64];

    snprintf(line, sizeof line, "x-amz-content-sha256: %s", call->sha256);
    struct curl_slist *headers = curl_slist_append(NULL, line);
    if (headers && call->s3->token[0]) {
        snprintf(line, sizeof line, "x-amz-security-token: %s", call->s3->token);
        if (!curl_slist_append(headers, line)) {
            curl_slist_free_all(headers);
            return NULL;
        }
    }
    return headers;
}

/* What stands between two tags; unset: there is none. */
static struct str xml_text(struct str xml, struct str open, struct str close)
{
    ssize_t begin = str_find(xml, open);
    struct str rest = begin < 0 ? STR_NULL : str_skip(xml, (size_t)begin + open.len);
    ssize_t end = begin < 0 ? -1 : str_find(rest, close);

    return end < 0 ? STR_NULL : str_first(rest, (size_t)end);
}

static int judge(struct call *call, CURLcode result, const char *url, const char *message, struct err *err)
{
    struct str where = str_first(str_from(url), 200);

    if (place_stopped(&call->s3->place))
        return err_set(err, ERR_CANCELLED, "stopping");
    if (result != CURLE_OK)
        return err_set(err, result == CURLE_OPERATION_TIMEDOUT ? ERR_TIMEOUT : ERR_UNAVAILABLE, STR_FMT ": %s",
                       STR_ARG(where), *message ? message : curl_easy_strerror(result));
    if (call->status == 200)
        return 0;
    struct str code = str_first(xml_text(buf_str(&call->answer), STR("<Code>"), STR("</Code>")), 100);
    return err_set(err, err_from_status((int)call->status, STR("")), STR_FMT ": status %ld " STR_FMT, STR_ARG(where),
                   call->status, STR_ARG(code));
}

static int perform(struct call *call, const char *url, struct err *err)
{
    char message[CURL_ERROR_SIZE] = "";
    struct curl_slist *headers = make_headers(call);
    int code;

    call->curl = headers ? curl_easy_init() : NULL;
    if (call->curl) {
        set_options(call, url, headers, message);
        CURLcode result = curl_easy_perform(call->curl);
        curl_easy_getinfo(call->curl, CURLINFO_RESPONSE_CODE, &call->status);
        code = judge(call, result, url, message, err);
    } else {
        code = err_set(err, ERR_NO_MEMORY, "%s", url);
    }
    curl_easy_cleanup(call->curl);
    curl_slist_free_all(headers);
    return code;
}

static int call_key(struct call *call, const char *name, struct err *err)
{
    char url[sizeof call->s3->base + sizeof call->s3->prefix + PLACE_NAME_MAX + 1];

    snprintf(url, sizeof url, "%s%s%s", call->s3->base, call->s3->prefix, name);
    buf_init(&call->answer, ANSWER_MAX);
    int code = perform(call, url, err);
    buf_deinit(&call->answer);
    return code;
}

static int s3_put(struct place *place, const char *name, const struct place_data *data, struct err *err)
{
    struct call call = { .s3 = s3_of(place), .sha256 = data->sha256, .put = data, .get_fd = -1 };

    if (data->size > PUT_MAX)
        return err_set(err, ERR_TOO_LARGE, "%s: an object store takes 5 GiB at once", name);
    return call_key(&call, name, err);
}

static int s3_get(struct place *place, const char *name, int fd, struct err *err)
{
    struct call call = { .s3 = s3_of(place), .sha256 = EMPTY_SHA256, .get_fd = fd };

    return call_key(&call, name, err);
}

/* -- listing -- */

/* What the signature wants of a query: all but letters, digits, '-', '_', '.' and '~' as %XX. */
static void add_encoded(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("-_.~", c)))
            buf_add_char(out, (char)c);
        else
            buf_printf(out, "%%%02X", c);
    }
}

/* The five entities that XML has. */
static void add_unescaped(struct buf *out, struct str s)
{
    static const struct {
        struct str name;
        char c;
    } entities[] = { { { "&amp;", 5 }, '&' }, { { "&lt;", 4 }, '<' }, { { "&gt;", 4 }, '>' }, { { "&quot;", 6 }, '"' },
                     { { "&apos;", 6 }, '\'' } };

    while (s.len) {
        size_t i = 0;

        while (i < ARRAY_LEN(entities) && !str_has_prefix(s, entities[i].name))
            i++;
        buf_add_char(out, i < ARRAY_LEN(entities) ? entities[i].c : s.data[0]);
        s = str_skip(s, i < ARRAY_LEN(entities) ? entities[i].name.len : 1);
    }
}

static int take_keys(struct place_s3 *s3, struct str xml, struct place_names *names, struct err *err)
{
    struct str prefix = str_from(s3->prefix), key;
    int code = 0;

    while (code == 0 && (key = xml_text(xml, STR("<Key>"), STR("</Key>"))).data) {
        xml = str_skip(xml, (size_t)(key.data + key.len - xml.data));
        if (str_has_prefix(key, prefix))
            code = place_names_add(names, str_skip(key, prefix.len), err);
    }
    return code;
}

/* One page. token: where to go on; empty when it was the last. */
static int list_page(struct place_s3 *s3, struct buf *token, struct place_names *names, struct err *err)
{
    struct call call = { .s3 = s3, .sha256 = EMPTY_SHA256, .get_fd = -1 };
    AUTO_DEINIT(buf, url);

    buf_init(&url, 0);
    buf_add_cstr(&url, s3->base);
    buf_add_char(&url, '?');
    if (token->len) {
        buf_add_cstr(&url, "continuation-token=");
        add_encoded(&url, buf_str(token));
        buf_add_char(&url, '&');
    }
    buf_add_cstr(&url, "list-type=2&prefix=");
    add_encoded(&url, str_from(s3->prefix));
    buf_add_char(&url, '\0');
    if (!buf_ok(&url))
        return err_set(err, ERR_NO_MEMORY, "listing backups");
    buf_init(&call.answer, ANSWER_MAX);
    int code = perform(&call, url.data, err);
    struct str xml = buf_str(&call.answer);
    buf_clear(token);
    if (code == 0)
        code = take_keys(s3, xml, names, err);
    if (code == 0 && str_eq(xml_text(xml, STR("<IsTruncated>"), STR("</IsTruncated>")), STR("true"))) {
        add_unescaped(token, xml_text(xml, STR("<NextContinuationToken>"), STR("</NextContinuationToken>")));
        if (token->len == 0)
            code = err_set(err, ERR_INVALID, "the object store tells no way to the rest of its list");
    }
    buf_deinit(&call.answer);
    return code;
}

static int s3_list(struct place *place, struct place_names *names, struct err *err)
{
    AUTO_DEINIT(buf, token);
    int code;

    buf_init(&token, 8192);
    do
        code = list_page(s3_of(place), &token, names, err);
    while (code == 0 && token.len);
    return code;
}

static void s3_free(struct place *place)
{
    struct place_s3 *s3 = s3_of(place);

    explicit_bzero(s3->user, sizeof s3->user);
    explicit_bzero(s3->token, sizeof s3->token);
    free(s3);
    curl_global_cleanup();
}

/* -- s3://BUCKET/PREFIX?endpoint=...&region=... -- */

static bool is_made_of(struct str s, const char *others)
{
    for (size_t i = 0; i < s.len; i++)
        if (!((s.data[i] >= 'a' && s.data[i] <= 'z') || (s.data[i] >= 'A' && s.data[i] <= 'Z') ||
              (s.data[i] >= '0' && s.data[i] <= '9') || (s.data[i] && strchr(others, s.data[i]))))
            return false;
    return true;
}

struct parts {
    struct str bucket, prefix, endpoint, region;
};

static int parse_query(struct str query, struct parts *parts, struct err *err)
{
    struct str one;

    while (str_split(&query, '&', &one)) {
        if (str_has_prefix(one, STR("endpoint=")))
            parts->endpoint = str_skip(one, 9);
        else if (str_has_prefix(one, STR("region=")))
            parts->region = str_skip(one, 7);
        else
            return err_set(err, ERR_BAD_REQUEST, "s3://: endpoint= and region= are known, not " STR_FMT, STR_ARG(one));
    }
    return 0;
}

static int parse_url(const char *url, struct parts *parts, struct err *err)
{
    const char *region = getenv("AWS_REGION");
    struct str rest = str_skip(str_from(url), 5), path;

    *parts = (struct parts){ .region = str_from(region && *region ? region : "us-east-1") };
    str_split(&rest, '?', &path);
    int code = rest.data ? parse_query(rest, parts, err) : 0;
    if (code < 0)
        return code;
    str_split(&path, '/', &parts->bucket);
    parts->prefix = path;
    while (parts->prefix.len && parts->prefix.data[parts->prefix.len - 1] == '/')
        parts->prefix.len--;
    if (parts->bucket.len < 3 || parts->bucket.len > 63 || !is_made_of(parts->bucket, ".-"))
        return err_set(err, ERR_BAD_REQUEST, "%s: the name of a bucket is needed: s3://BUCKET/PREFIX", url);
    if (parts->prefix.len > 200 || !is_made_of(parts->prefix, "._-/"))
        return err_set(err, ERR_BAD_REQUEST, "%s: a prefix is made of letters, digits, '.', '_', '-' and '/'", url);
    if (!parts->region.len || parts->region.len > 63 || !is_made_of(parts->region, "-"))
        return err_set(err, ERR_BAD_REQUEST, "%s: the region is none", url);
    while (parts->endpoint.len && parts->endpoint.data[parts->endpoint.len - 1] == '/')
        parts->endpoint.len--;
    if (parts->endpoint.data && (parts->endpoint.len > 500 || !is_made_of(parts->endpoint, ":/.-[]_") ||
                                 !(str_has_prefix(parts->endpoint, STR("http://")) ||
                                   str_has_prefix(parts->endpoint, STR("https://")))))
        return err_set(err, ERR_BAD_REQUEST, "%s: an endpoint is http://HOST:PORT or https://HOST:PORT", url);
    return 0;
}

static int take_credentials(struct place_s3 *s3, struct err *err)
{
    const char *id = getenv("AWS_ACCESS_KEY_ID"), *secret = getenv("AWS_SECRET_ACCESS_KEY");
    const char *token = getenv("AWS_SESSION_TOKEN");

    if (!id || !*id || !secret || !*secret)
        return err_set(err, ERR_UNAUTHORIZED, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set");
    if (snprintf(s3->user, sizeof s3->user, "%s:%s", id, secret) >= (int)sizeof s3->user ||
        snprintf(s3->token, sizeof s3->token, "%s", token ? token : "") >= (int)sizeof s3->token)
        return err_set(err, ERR_INVALID, "the credentials of the object store are too long");
    return 0;
}

static const struct place_kind s3_kind = { s3_put, s3_get, s3_list, s3_free };

int place_s3_new(const char *url, struct place **ret_place, struct err *err)
{
    struct parts parts;
    int code = parse_url(url, &parts, err);

    if (code < 0)
        return code;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(err, ERR_NO_MEMORY, "%s", url);
    struct place_s3 *s3 = calloc(1, sizeof *s3);
    if (!s3) {
        curl_global_cleanup();
        return err_set(err, ERR_NO_MEMORY, "%s", url);
    }
    s3->place.kind = &s3_kind;
    if ((code = take_credentials(s3, err)) < 0) {
        s3_free(&s3->place);
        return code;
    }
    if (parts.endpoint.data)
        snprintf(s3->base, sizeof s3->base, STR_FMT "/" STR_FMT "/", STR_ARG(parts.endpoint), STR_ARG(parts.bucket));
    else
        snprintf(s3->base, sizeof s3->base, "https://" STR_FMT ".s3." STR_FMT ".amazonaws.com/", STR_ARG(parts.bucket),
                 STR_ARG(parts.region));
    snprintf(s3->prefix, sizeof s3->prefix, STR_FMT "%s", STR_ARG(parts.prefix), parts.prefix.len ? "/" : "");
    snprintf(s3->signature, sizeof s3->signature, "aws:amz:" STR_FMT ":s3", STR_ARG(parts.region));
    *ret_place = &s3->place;
    return 0;
}
