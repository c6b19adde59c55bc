/* negotiate.c - Accept and Content-Type. */
#include "apiserver/negotiate.h"

static struct str unquote(struct str s)
{
    return s.len >= 2 && s.data[0] == '"' && s.data[s.len - 1] == '"' ? str_chop(str_skip(s, 1), 1) : s;
}

static void parse_item(struct str text, struct accept_item *item)
{
    struct str part;

    *item = (struct accept_item){ .q = 1 };
    str_split(&text, ';', &part);
    item->type = str_trim(part);
    while (str_split(&text, ';', &part)) {
        ssize_t eq = str_chr(part, '=');
        struct str key = str_trim(eq < 0 ? part : str_first(part, (size_t)eq));
        struct str value = eq < 0 ? STR("") : unquote(str_trim(str_skip(part, (size_t)eq + 1)));

        if (str_eq_nocase(key, STR("q"))) {
            if (!str_to_double(value, &item->q))
                item->q = 0;
        } else if (str_is(key, "as")) {
            item->as = value;
        } else if (str_is(key, "g")) {
            item->group = value;
        } else if (str_is(key, "v")) {
            item->version = value;
        } else if (str_is(key, "stream")) {
            item->stream = value;
        } else if (str_is(key, "sv")) {
            item->server_version = value;
        } else if (str_is(key, "pretty")) {
            item->pretty = str_is(value, "1");
        }
    }
}

bool accept_next(struct str *rest, struct accept_item *ret_item)
{
    struct str part;

    if (!str_split(rest, ',', &part))
        return false;
    parse_item(part, ret_item);
    return true;
}

int accept_precision(const struct accept_item *item)
{
    if (str_has_prefix(item->type, STR("*")))
        return 0;
    return str_has_suffix(item->type, STR("/*")) ? 1 : 2;
}

static bool accept_format(struct str type, enum media_format *ret_format)
{
    static const struct {
        struct str type;
        enum media_format format;
    } formats[] = {
        { STR_INIT("application/json"), MEDIA_JSON },
        { STR_INIT("application/yaml"), MEDIA_YAML },
        { STR_INIT("application/vnd.kubernetes.protobuf"), MEDIA_PROTOBUF },
        { STR_INIT("application/*"), MEDIA_JSON },
        { STR_INIT("*/*"), MEDIA_JSON },
        { STR_INIT("*"), MEDIA_JSON },
    };

    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        if (!str_eq_nocase(type, formats[i].type))
            continue;
        *ret_format = formats[i].format;
        return true;
    }
    return false;
}

static bool accept_shape(const struct accept_item *item, const struct media_offer *offer, struct media *media)
{
    media->shape = SHAPE_OBJECT;
    media->version = STR_NULL;
    if (!item->as.data && !item->group.data && !item->version.data)
        return media->format != MEDIA_PROTOBUF || offer->protobuf;
    if (!offer->shapes || !str_is(item->group, "meta.k8s.io"))
        return false;
    if (!str_is(item->version, "v1") && !str_is(item->version, "v1beta1"))
        return false;
    media->version = str_is(item->version, "v1") ? STR("v1") : STR("v1beta1");
    if (str_is(item->as, "Table"))
        media->shape = SHAPE_TABLE;
    else if (str_is(item->as, "PartialObjectMetadata") || str_is(item->as, "PartialObjectMetadataList"))
        media->shape = SHAPE_PARTIAL;
    else
        return false;
    return media->shape != SHAPE_TABLE || media->format != MEDIA_PROTOBUF;
}

static bool accept_stream(const struct accept_item *item, const struct media *media)
{
    return str_empty(item->stream) || (str_is(item->stream, "watch") && media->format != MEDIA_YAML);
}

/* False: nothing of the list is on offer. */
static bool choose(struct str accept, const struct media_offer *offer, struct media *ret_media)
{
    struct media media = { 0 }, best = { 0 };
    struct str rest = accept;
    struct accept_item item;
    double best_q = 0;
    int best_precision = -1;

    if (str_empty(str_trim(accept)) || str_is(accept, "application/json")) { /* most ask for no more than that */
        *ret_media = best;
        return true;
    }
    while (accept_next(&rest, &item)) {
        int precision = accept_precision(&item);

        if (item.q <= 0 || item.q < best_q || (item.q <= best_q && precision <= best_precision))
            continue;
        if (!accept_format(item.type, &media.format) || !accept_shape(&item, offer, &media) ||
            !accept_stream(&item, &media) || !str_empty(item.server_version))
            continue;
        media.pretty = item.pretty;
        best = media;
        best_q = item.q;
        best_precision = precision;
    }
    if (best_q > 0)
        *ret_media = best;
    return best_q > 0;
}

static int not_acceptable(const struct media_offer *offer, struct err *err)
{
    const char *protobuf = offer->protobuf ? ", application/vnd.kubernetes.protobuf" : "";

    if (offer->watch)
        return err_set(err, ERR_NOT_ACCEPTABLE,
                       "only the following media types are accepted: application/json;stream=watch%s%s", protobuf,
                       offer->protobuf ? ";stream=watch" : "");
    return err_set(err, ERR_NOT_ACCEPTABLE,
                   "only the following media types are accepted: application/json, application/yaml%s", protobuf);
}

int negotiate_accept(struct str accept, const struct media_offer *offer, struct media *ret_media, struct err *err)
{
    struct media media;

    if (!choose(accept, offer, &media) || (offer->watch && media.format == MEDIA_YAML))
        return not_acceptable(offer, err);
    media.status_format = negotiate_status(accept);
    *ret_media = media;
    return 0;
}

enum media_format negotiate_status(struct str accept)
{
    static const struct media_offer offer = { .protobuf = true };
    struct media media = { 0 };

    return choose(accept, &offer, &media) ? media.format : MEDIA_JSON;
}

const char *media_content_type(const struct media *media)
{
    static const char *const types[] = { "application/json", "application/yaml",
                                         "application/vnd.kubernetes.protobuf" };

    return types[media->format];
}

const char *media_watch_content_type(const struct media *media)
{
    return media->format == MEDIA_PROTOBUF ? "application/vnd.kubernetes.protobuf;stream=watch"
                                           : media_content_type(media);
}

bool negotiate_gzip(struct str accept_encoding)
{
    struct str part;

    while (accept_encoding.data && str_split(&accept_encoding, ',', &part))
        if (str_is(str_trim(part), "gzip"))
            return true;
    return false;
}

int negotiate_body(struct str content_type, bool patch, enum body_kind *ret_kind, struct err *err)
{
    static const struct {
        struct str type;
        enum body_kind kind;
        bool patch;
    } kinds[] = {
        { STR_INIT("application/json"), BODY_JSON, false },
        { STR_INIT("application/yaml"), BODY_YAML, false },
        { STR_INIT("application/vnd.kubernetes.protobuf"), BODY_PROTOBUF, false },
        { STR_INIT("application/json-patch+json"), BODY_JSON_PATCH, true },
        { STR_INIT("application/merge-patch+json"), BODY_MERGE_PATCH, true },
        { STR_INIT("application/strategic-merge-patch+json"), BODY_STRATEGIC_PATCH, true },
        { STR_INIT("application/apply-patch+yaml"), BODY_APPLY, true },
    };
    struct str rest = content_type, type = STR("");

    if (content_type.data)
        str_split(&rest, ';', &type);
    type = str_trim(type);
    if (str_empty(type) && !patch) {
        *ret_kind = BODY_JSON;
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (kinds[i].patch != patch || !str_eq_nocase(type, kinds[i].type))
            continue;
        *ret_kind = kinds[i].kind;
        return 0;
    }
    if (patch)
        return err_set(err, ERR_UNSUPPORTED_MEDIA_TYPE,
                       "the body of the request was in an unknown format - accepted media types include: "
                       "application/json-patch+json, application/merge-patch+json, "
                       "application/strategic-merge-patch+json");
    return err_set(err, ERR_UNSUPPORTED_MEDIA_TYPE,
                   "the body of the request was in an unknown format - accepted media types include: "
                   "application/json, application/yaml, application/vnd.kubernetes.protobuf");
}
