/* terminal.h - the terminal on standard input, handed over to a remote command and taken back. */
#pragma once

#include <termios.h>

#include "base/macros.h"

struct terminal {
    struct termios before;
    bool is_raw;
};

/* Every key goes to the other side as it is. False: standard input is no terminal. */
bool terminal_make_raw(struct terminal *terminal);
/* As it was; nothing when it was not changed. */
void terminal_restore(struct terminal *terminal);
/* False: its size is not known. */
bool terminal_size(unsigned *ret_columns, unsigned *ret_rows);
