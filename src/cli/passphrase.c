#include "cli/passphrase.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#include "base/file.h"

#define PASSPHRASE_MAX 1024

static int from_file(struct arena *arena, const char *path, struct str *ret_passphrase, struct err *err)
{
    AUTO_DEINIT(buf, text);

    buf_init(&text, 0);
    int code = file_read(path, PASSPHRASE_MAX, &text, err);
    if (code < 0)
        return err_wrap(err, code, "--passphrase-file");
    struct str rest = buf_str(&text), line = STR("");
    str_split(&rest, '\n', &line);
    if (line.len && line.data[line.len - 1] == '\r')
        line.len--;
    *ret_passphrase = arena_str(arena, line);
    return ret_passphrase->data ? 0 : err_set(err, ERR_NO_MEMORY, "passphrase");
}

int passphrase_given(struct arena *arena, const char *file, struct str *ret_passphrase, struct err *err)
{
    const char *variable = getenv(PASSPHRASE_VARIABLE);
    struct str passphrase = variable ? str_from(variable) : STR_NULL;
    int code = file ? from_file(arena, file, &passphrase, err) : 0;

    if (code < 0)
        return code;
    if (passphrase.data && passphrase.len == 0)
        return err_set(err, ERR_INVALID, "the passphrase is empty");
    *ret_passphrase = passphrase;
    return 0;
}

/* A line from the terminal that it does not show. */
static int ask(FILE *terminal, const char *prompt, char out[PASSPHRASE_MAX], struct err *err)
{
    struct termios before, silent;

    if (tcgetattr(fileno(terminal), &before) < 0)
        return err_errno(err, errno, "asking for the passphrase");
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    fputs(prompt, terminal);
    fflush(terminal);
    tcsetattr(fileno(terminal), TCSAFLUSH, &silent);
    char *line = fgets(out, PASSPHRASE_MAX, terminal);
    tcsetattr(fileno(terminal), TCSAFLUSH, &before);
    fputc('\n', terminal);
    if (!line)
        return err_set(err, ERR_CANCELLED, "no passphrase was given");
    out[strcspn(out, "\n")] = 0;
    return *out ? 0 : err_set(err, ERR_INVALID, "the passphrase is empty");
}

static int ask_both(FILE *terminal, bool is_new, char first[PASSPHRASE_MAX], struct err *err)
{
    char second[PASSPHRASE_MAX];
    int code = ask(terminal, "Passphrase: ", first, err);

    if (code < 0 || !is_new)
        return code;
    code = ask(terminal, "Once more: ", second, err);
    if (code == 0 && strcmp(first, second) != 0)
        code = err_set(err, ERR_INVALID, "the two passphrases differ");
    explicit_bzero(second, sizeof second);
    return code;
}

int passphrase_get(struct arena *arena, const char *file, bool is_new, struct str *ret_passphrase, struct err *err)
{
    char text[PASSPHRASE_MAX];
    int code = passphrase_given(arena, file, ret_passphrase, err);

    if (code < 0 || ret_passphrase->data)
        return code;
    FILE *terminal = fopen("/dev/tty", "r+e");
    if (!terminal)
        return err_set(err, ERR_UNAUTHORIZED, "a passphrase is needed: --passphrase-file or $" PASSPHRASE_VARIABLE);
    code = ask_both(terminal, is_new, text, err);
    fclose(terminal);
    if (code == 0) {
        *ret_passphrase = arena_str(arena, str_from(text));
        code = ret_passphrase->data ? 0 : err_set(err, ERR_NO_MEMORY, "passphrase");
    }
    explicit_bzero(text, sizeof text);
    return code;
}
