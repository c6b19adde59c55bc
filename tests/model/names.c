/* names.c - the few keys, terms and values of all histories. */
#include <stdio.h>

#include "history.h"

#define X10 "xxxxxxxxxx"
#define X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10
#define LONG "/b/" X100 X100 X100 X100 X100 X100 /* longer than LMDB's keys */

static const struct str keys[KEYS] = {
    STR_INIT("/a/k1"), STR_INIT("/a/k10"), STR_INIT("/a/k11"), STR_INIT("/a/k2"),  STR_INIT("/a/k3"),  STR_INIT("/a/m"),
    STR_INIT("/b/k1"), STR_INIT("/b/k2"),  STR_INIT("/b/z"),   STR_INIT(LONG "1"), STR_INIT(LONG "2"), STR_INIT("/c"),
};
static const struct str terms[TERMS] = { STR_INIT("node=a"), STR_INIT("node=b"), STR_INIT("phase=" X100 X100 X100) };
static const struct str prefixes[] = { STR_INIT(""), STR_INIT("/a/"), STR_INIT("/a/k1"), STR_INIT("/b/"), STR_INIT("/") };

struct str key_name(int key)
{
    return keys[key];
}

struct str term_name(int term)
{
    return terms[term];
}

struct str scope_prefix(const struct scope *scope)
{
    return scope->key >= 0 ? keys[scope->key] : prefixes[(size_t)scope->prefix % ARRAY_LEN(prefixes)];
}

int key_of_name(struct str name)
{
    for (int i = 0; i < KEYS; i++)
        if (str_eq(keys[i], name))
            return i;
    return -1;
}

bool scope_has_key(const struct scope *scope, int key)
{
    struct str prefix = scope_prefix(scope);

    return scope->exact ? str_eq(keys[key], prefix) : str_has_prefix(keys[key], prefix);
}

static size_t letters_count(uint64_t number)
{
    return number % 7 == 0 ? 2500 + number % 900 : number % 61; /* some have pages of their own */
}

static char letter(uint64_t number, size_t i)
{
    return (char)('a' + (number * 31 + i) % 26);
}

struct str value_text(char out[VALUE_BYTES_MAX], uint64_t number, uint32_t *ret_splice)
{
    size_t count = letters_count(number);
    size_t len = (size_t)snprintf(out, VALUE_BYTES_MAX, "%llu@", (unsigned long long)number);

    *ret_splice = (uint32_t)len;
    out[len++] = ' ';
    for (size_t i = 0; i < count; i++)
        out[len++] = letter(number, i);
    return str_of(out, len);
}

struct seen value_seen(struct str text)
{
    const struct seen garbled = { NUMBER_GARBLED, 0 };
    ssize_t at = str_chr(text, '@'), blank = str_chr(text, ' ');
    struct seen seen = { 0 };

    if (text.data == NULL)
        return seen;
    if (at < 0 || blank < at || !str_to_u64(str_first(text, (size_t)at), &seen.number))
        return garbled;
    struct str digits = str_of(text.data + at + 1, (size_t)(blank - at - 1));
    if (digits.len > 0 && !str_to_u64(digits, &seen.spliced))
        return garbled;
    struct str letters = str_skip(text, (size_t)blank + 1);
    if (letters.len != letters_count(seen.number))
        return garbled;
    for (size_t i = 0; i < letters.len; i++)
        if (letters.data[i] != letter(seen.number, i))
            return garbled;
    return seen;
}
