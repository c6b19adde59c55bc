/* remote_command.c - one thread polls everything: the wire, the command's descriptors, its end.
 *
 * Bytes are read from the command only when the wire takes them, and from the wire only when the command has taken what
 * came before; so the slower side sets the pace and nothing grows. When the command has ended, what it left in its
 * pipes is sent, but nobody waits for those that still hold them open. When the client leaves, the command is
 * killed: nobody can reach it any more. */
#include "kubelet/remote_command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "codec/json.h"

#define READ_BYTES (32u << 10)
#define PACKET_BYTES (8u << 10) /* what conmon takes at once */
#define INPUT_HIGH (128u << 10)
#define OPEN_TIMEOUT_MS 30000  /* for the client to open its streams */
#define LEAVE_TIMEOUT_MS 10000 /* for the client to close, when all was said */
#define KILL_EVERY_MS 50

struct session {
    const struct remote_command *command;
    struct wire *wire;
    struct channels *channels;
    struct container_stream stream;
    int in, out, errors; /* -1: closed; attach: in and out are one socket */
    int pidfd;           /* of the command; -1: attached */
    struct buf input;    /* for the command, not yet taken */
    size_t input_sent;
    bool input_over, input_closed;
    bool exited;
    unsigned columns, rows; /* asked for before there was a terminal */
    char data[READ_BYTES];
};

/* -- from the client -- */

static void on_input(void *ctx, struct str bytes, bool end)
{
    struct session *self = ctx;

    if (!self->input_closed)
        buf_add_str(&self->input, bytes);
    self->input_over = self->input_over || end;
}

static void set_size(struct session *self)
{
    if (self->command->attach)
        container_resize(self->command->runtime, self->command->container, self->columns, self->rows, NULL);
    else
        container_stream_resize(&self->stream, self->columns, self->rows, NULL);
}

static void on_resize(void *ctx, unsigned columns, unsigned rows)
{
    struct session *self = ctx;

    self->columns = columns;
    self->rows = rows;
    if (self->in >= 0 || self->out >= 0)
        set_size(self);
}

static size_t waiting_input(const struct session *self)
{
    return self->input.len - self->input_sent;
}

/* -- to the command -- */

static void close_input(struct session *self)
{
    self->input_closed = true;
    buf_deinit(&self->input);
    self->input_sent = 0;
    if (self->in < 0)
        return;
    if (self->command->attach) {
        shutdown(self->in, SHUT_WR);
        self->in = -1;
    } else if (!self->stream.terminal) { /* a terminal has one descriptor for both ways */
        close(self->in);
        self->in = self->stream.in = -1;
    }
}

static ssize_t write_input(struct session *self, struct str bytes)
{
    if (self->command->attach)
        return send(self->in, bytes.data, MIN(bytes.len, PACKET_BYTES), MSG_NOSIGNAL | MSG_DONTWAIT);
    return write(self->in, bytes.data, bytes.len);
}

/* Gives the command what it takes; a command that closed its stdin gets no more. */
static void give_input(struct session *self)
{
    while (waiting_input(self) > 0 && self->in >= 0) {
        ssize_t n = write_input(self, str_skip(buf_str(&self->input), self->input_sent));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            close_input(self);
        if (n < 0)
            return;
        self->input_sent += (size_t)n;
    }
    buf_clear(&self->input);
    self->input_sent = 0;
    if (self->input_over && !self->input_closed)
        close_input(self);
}

/* -- from the command -- */

/* Sends a piece of one output; false: there is none now. */
static bool take_output(struct session *self, int *fd, enum channel channel)
{
    bool attach = self->command->attach;
    size_t room = MIN(channels_room(self->channels, channel), sizeof self->data);
    struct str bytes;
    ssize_t n;

    if (*fd < 0 || room == 0)
        return false;
    do
        n = attach ? recv(*fd, self->data, sizeof self->data, MSG_DONTWAIT) : read(*fd, self->data, room);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN && !self->exited)
        return false;
    if (n <= 0) { /* its end; a terminal says EIO */
        if (!attach && !self->stream.terminal)
            close(*fd);
        *fd = -1;
        return false;
    }
    bytes = str_of(self->data, (size_t)n);
    if (attach) {
        channel = bytes.data[0] == CONTAINER_ATTACH_STDERR ? CHANNEL_STDERR : CHANNEL_STDOUT;
        bytes = str_skip(bytes, 1);
    }
    channels_write(self->channels, channel, bytes);
    return true;
}

/* True: there may be more. */
static bool take_outputs(struct session *self)
{
    bool out = take_output(self, &self->out, CHANNEL_STDOUT);
    bool errors = take_output(self, &self->errors, CHANNEL_STDERR);

    return out || errors;
}

static bool is_done(const struct session *self)
{
    if (self->command->attach)
        return self->out < 0;
    return self->exited && self->out < 0 && self->errors < 0;
}

/* -- the loop -- */

static void wait_for_work(struct session *self)
{
    bool room = !wire_is_full(self->wire);
    struct pollfd polls[] = {
        { .fd = wire_fd(self->wire), .events = POLLIN },
        { .fd = waiting_input(self) > 0 ? self->in : -1, .events = POLLOUT },
        { .fd = room && channels_room(self->channels, CHANNEL_STDOUT) ? self->out : -1, .events = POLLIN },
        { .fd = room && channels_room(self->channels, CHANNEL_STDERR) ? self->errors : -1, .events = POLLIN },
        { .fd = self->exited ? -1 : self->pidfd, .events = POLLIN },
    };

    if (poll(polls, ARRAY_LEN(polls), -1) < 0)
        return;
    if (polls[0].revents)
        wire_look(self->wire);
    if (polls[4].revents)
        self->exited = true;
}

/* Until it is done or the client has left. */
static void relay(struct session *self)
{
    bool more = false;

    while (!is_done(self) && !channels_are_over(self->channels)) {
        if (!more)
            wait_for_work(self);
        give_input(self); /* first: what is skipped now must have the command to wait for */
        if (waiting_input(self) < INPUT_HIGH || wire_is_over(self->wire)) {
            channels_pump(self->channels);
            give_input(self);
        }
        more = take_outputs(self);
    }
}

/* False: nothing came for so long. */
static bool wait_for_client(struct session *self, int timeout_ms)
{
    struct pollfd polls[] = { { .fd = wire_fd(self->wire), .events = POLLIN } };
    bool came = poll(polls, 1, timeout_ms) != 0;

    wire_look(self->wire);
    channels_pump(self->channels);
    return came;
}

/* SPDY clients open their streams one by one. */
static bool wait_for_channels(struct session *self)
{
    bool came = true;

    while (came && !channels_are_open(self->channels) && !channels_are_over(self->channels))
        came = wait_for_client(self, OPEN_TIMEOUT_MS);
    return channels_are_open(self->channels) && !channels_are_over(self->channels);
}

/* A client that was told the outcome reads the rest and closes; one that does not has had its time. */
static void wait_for_leave(struct session *self)
{
    bool came = true;

    while (came && !channels_are_over(self->channels)) {
        came = wait_for_client(self, LEAVE_TIMEOUT_MS);
        buf_clear(&self->input);
    }
}

/* -- how it went -- */

static void begin_status(struct json_writer *w, struct str status)
{
    jw_begin_object(w);
    jw_field_str(w, "kind", STR("Status"));
    jw_field_str(w, "apiVersion", STR("v1"));
    jw_key(w, STR("metadata"));
    jw_begin_object(w);
    jw_end_object(w);
    jw_field_str(w, "status", status);
}

static void write_exit(struct json_writer *w, int exit_code)
{
    char text[96];

    snprintf(text, sizeof text, "command terminated with non-zero exit code: exit code %d", exit_code);
    jw_field_str(w, "message", str_from(text));
    jw_field_str(w, "reason", STR("NonZeroExitCode"));
    jw_key(w, STR("details"));
    jw_begin_object(w);
    jw_key(w, STR("causes"));
    jw_begin_array(w);
    jw_begin_object(w);
    jw_field_str(w, "reason", STR("ExitCode"));
    snprintf(text, sizeof text, "%d", exit_code);
    jw_field_str(w, "message", str_from(text));
    jw_end_object(w);
    jw_end_array(w);
    jw_end_object(w);
}

static void write_failure(struct json_writer *w, const char *what, const struct err *err)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;

    buf_printf(&text, "Internal error occurred: %s: %s", what, err->message);
    jw_field_str(w, "message", buf_str(&text));
    jw_field_str(w, "reason", STR("InternalError"));
    jw_field_int(w, "code", 500);
}

static void finish(struct session *self, int exit_code, const struct err *err)
{
    AUTO_DEINIT(buf, status) = BUF_INIT;
    struct json_writer w = json_writer(&status);

    begin_status(&w, err || exit_code ? STR("Failure") : STR("Success"));
    if (err)
        write_failure(&w, self->command->attach ? "error attaching to container"
                                                : "error executing command in container", err);
    else if (exit_code)
        write_exit(&w, exit_code);
    jw_end_object(&w);
    channels_finish(self->channels, buf_str(&status));
    wait_for_leave(self);
}

/* -- exec -- */

static void set_nonblocking(int fd)
{
    if (fd >= 0)
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static int start_command(struct session *self, struct err *err)
{
    const struct remote_command *command = self->command;
    const struct container_stream_options options = { command->args, command->terminal, command->input,
                                                      command->output, command->errors && !command->terminal };
    int code = container_exec_start(command->runtime, command->container, &options, &self->stream, err);

    if (code < 0)
        return code;
    self->in = self->stream.in;
    self->out = self->stream.out;
    self->errors = self->stream.err;
    self->pidfd = (int)syscall(SYS_pidfd_open, self->stream.pid, 0);
    set_nonblocking(self->in);
    set_nonblocking(self->out);
    set_nonblocking(self->errors);
    if (self->columns)
        set_size(self);
    return 0;
}

/* Closes what is open, ends the command if it still runs, and takes its exit code. */
static int end_command(struct session *self, int *ret_exit_code, struct err *err)
{
    struct pollfd polls[] = { { .fd = self->pidfd, .events = POLLIN } };

    if (!self->stream.terminal) { /* what was closed at its end is not the stream's any more */
        self->stream.in = self->in;
        self->stream.out = self->out;
        self->stream.err = self->errors;
    }
    while (!self->exited && self->pidfd >= 0) {
        container_exec_kill(&self->stream);
        self->exited = poll(polls, 1, KILL_EVERY_MS) > 0;
    }
    return container_exec_wait(self->command->runtime, &self->stream, ret_exit_code, err);
}

static void run_command(struct session *self)
{
    struct err err = { 0 };
    int exit_code = 0;
    int code = start_command(self, &err);
    bool left = false;

    if (code == 0) {
        relay(self);
        left = channels_are_over(self->channels);
        code = end_command(self, &exit_code, &err);
    }
    if (!left)
        finish(self, exit_code, code < 0 ? &err : NULL);
}

/* -- attach -- */

static void run_attach(struct session *self)
{
    struct err err = { 0 };
    int fd = -1;
    int code = container_attach(self->command->runtime, self->command->container, &fd, &err);

    if (code == 0) {
        self->out = fd;
        self->in = self->command->input ? fd : -1;
        if (self->columns)
            set_size(self);
        relay(self);
        close(fd);
        self->in = self->out = -1;
    }
    if (!channels_are_over(self->channels))
        finish(self, 0, code < 0 ? &err : NULL);
}

static void session_free(struct session *self)
{
    channels_free(self->channels);
    buf_deinit(&self->input);
    if (self->pidfd >= 0)
        close(self->pidfd);
    free(self);
}

int remote_command_run(const struct remote_command *command, struct wire *wire, const struct http_request *request,
                       bool *ret_clean, struct err *err)
{
    const bool wanted[CHANNEL_COUNT] = {
        [CHANNEL_STDIN] = command->input,
        [CHANNEL_STDOUT] = command->output,
        [CHANNEL_STDERR] = command->errors && !command->terminal,
        [CHANNEL_ERROR] = true,
        [CHANNEL_RESIZE] = command->terminal,
    };
    struct session *self = calloc(1, sizeof *self);
    int code;

    if (!self)
        return err_set(err, ERR_NO_MEMORY, "session");
    const struct channels_events events = { self, on_input, on_resize };

    self->command = command;
    self->wire = wire;
    self->in = self->out = self->errors = self->pidfd = -1;
    code = channels_new(wire, request, wanted, &events, &self->channels, err);
    if (code < 0) {
        session_free(self);
        return code;
    }
    if (wait_for_channels(self)) {
        if (command->attach)
            run_attach(self);
        else
            run_command(self);
    }
    *ret_clean = true;
    session_free(self);
    return 0;
}
