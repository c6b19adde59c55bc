/* stream_wire.h - an upgraded connection for a thread that polls: what came waits in a bounded buffer, and a descriptor
 * turns readable when something happened.
 *
 * One thread, the session's, calls all of this. */
#pragma once

#include "base/buf.h"
#include "net/http_server.h"

struct wire;

int wire_new(struct http_exchange *exchange, struct wire **ret_wire, struct err *err);
/* Before the upgrade: one more header of the answer. */
void wire_header(struct wire *wire, const char *name, struct str value);
bool wire_upgrade(struct wire *wire, struct str protocol);

int wire_fd(const struct wire *wire); /* POLLIN: look again */
void wire_look(struct wire *wire);    /* makes it unreadable until the next time */
/* Appends what has come. */
void wire_take(struct wire *wire, struct buf *into);
bool wire_is_over(struct wire *wire); /* the client is gone or sends no more, and all that came was taken */
void wire_write(struct wire *wire, struct str bytes);
bool wire_is_full(struct wire *wire); /* do not write now, wait for wire_fd() */

/* After the upgrade: ends the exchange and frees the wire. clean: what was written still goes out. */
void wire_end(struct wire *wire, bool clean);
/* Answers instead of an upgrade, and frees the wire. */
void wire_refuse(struct wire *wire, int status, struct str text);
