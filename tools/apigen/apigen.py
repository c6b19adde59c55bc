#!/usr/bin/env python3
"""apigen OUTPUT_FOLDER FILE.api...: writes the C types and tables of the API (see idl.py for the language)."""

import sys

sys.dont_write_bytecode = True  # the source tree stays as it is

import check  # noqa: E402
import emit  # noqa: E402
import idl  # noqa: E402
import names  # noqa: E402


def main(arguments):
    if len(arguments) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        files = idl.load(arguments[1:])
        names.assign_names(files)
    except idl.IdlError as error:
        print(error, file=sys.stderr)
        return 1
    errors = check.check(files)
    for line in errors:
        print(line, file=sys.stderr)
    if errors:
        return 1
    emit.emit(files, arguments[0])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
