/* lengths.h - how long objects were in protobuf, by their stored text: a list says its length before its first item, and
 * the next list of the same objects need not encode them all to know it.
 *
 * Any thread. A length may be forgotten at any time. */
#pragma once

#include "apiserver/render.h"

struct lengths;

int lengths_new(struct lengths **ret_lengths, struct err *err);
struct lengths *lengths_free(struct lengths *lengths);
DEFINE_AUTO(lengths, lengths_free)

/* What a text comes to when it is rendered as an item: its name in the table. */
uint64_t lengths_name(const struct render *render, struct str text);

/* False: not known. */
bool lengths_find(struct lengths *lengths, uint64_t name, size_t *ret_length);
void lengths_note(struct lengths *lengths, uint64_t name, size_t length);
