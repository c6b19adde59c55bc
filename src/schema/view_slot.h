/* view_slot.h - how one value of a view is written, shared by the encoder to a tree and the one to text. Internal. */
#pragma once

#include "schema/time.h"
#include "schema/walk.h"

#define SLOT_NUMBER_LEN 40

/* Whether a value is written at all: set ones are (zeros not under FIELD_OMIT_EMPTY), and unset ones of FIELD_ALWAYS as
 * zero or empty. An unset time,
 * int-or-string or any has no zero that a reader would take, and stays out. */
bool slot_is_written(const struct type *type, uint32_t flags, const void *slot);
/* True when field is apiVersion or kind, unset in the view and known from the type. */
bool field_is_identity(const struct type *type, const struct field *field, const void *view);

/* A string or quantity; "" or "0" when unset. */
struct str slot_text(const struct type *type, const void *slot);
struct str slot_time(const struct type *type, const void *slot, char out[API_TIME_LEN]);
/* An integer, double or int-or-string that is a number, as JSON. ERR_INVALID for a double that JSON cannot say. */
int slot_number(const struct type *type, uint32_t flags, const void *slot, char out[SLOT_NUMBER_LEN],
                struct str *ret_text, struct err *err);
