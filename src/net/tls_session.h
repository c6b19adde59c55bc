/* tls_session.h - one TLS connection between memory buffers: the caller moves the bytes. For those who have
 * sockets of their own.
 *
 * One thread at a time. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "net/tls.h"

struct tls_session;

enum tls_result {
    TLS_AGAIN = 0,   /* more input is needed */
    TLS_CLOSED = -1, /* the peer said good bye */
    TLS_FAILED = -2, /* broken; an alert may lie in the output */
};

struct tls_context *tls_context_ref(struct tls_context *context);

/* The server's side. NULL without memory. What is to be sent is appended to *out whenever a call below produces it. */
struct tls_session *tls_session_new(struct tls_context *context, struct buf *out);
/* The client's side of a tls_client_new() context, to a host (a name or an address) that the server must prove to be;
 * the first read begins to shake hands. */
struct tls_session *tls_session_connect(struct tls_context *context, const char *host, struct buf *out);
struct tls_session *tls_session_free(struct tls_session *session);

/* Bytes from the wire. They must stay until they are taken: then tls_session_read() answers TLS_AGAIN, or the
 * session is drained. */
void tls_session_input(struct tls_session *session, struct str bytes);
/* Shakes hands, then decrypts: the number of bytes (> 0) or an enum tls_result. */
int tls_session_read(struct tls_session *session, char *data, size_t size);
bool tls_session_is_drained(const struct tls_session *session); /* another read would only answer TLS_AGAIN */
/* Whether it keeps its 34 KiB of record buffers from one record to the next: worth it between requests that follow one
 * another, as making and freeing them costs more than the record does. A new session does not. */
void tls_session_keep_buffers(struct tls_session *session, bool keep);
/* Encrypts all or fails. */
bool tls_session_write(struct tls_session *session, struct str bytes);
void tls_session_shutdown(struct tls_session *session);
/* Why it is TLS_FAILED: "certificate verify failed: self-signed certificate"; what is returned lives in text. */
const char *tls_session_trouble(const struct tls_session *session, char *text, size_t size);

bool tls_session_ready(const struct tls_session *session); /* hands are shaken */
bool tls_session_is_h2(const struct tls_session *session);
/* Who the client proved to be, copied into the arena. False: a certificate that cannot be used. */
bool tls_session_identity(const struct tls_session *session, struct arena *arena, struct tls_identity *ret_identity);
