"""What the sessions of tests/clients share: named checks, run in order, and waiting for conditions."""

import time
import traceback

PATIENCE = 60  # seconds


def eventually(condition):
    """The first true thing that condition() gives; its exceptions count as not yet."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            value = condition()
            reason = f"it is {value!r}"
        except Exception as failure:  # an API that is not there yet, too
            value, reason = None, repr(failure)
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"still not after {PATIENCE} s: {reason}")
        time.sleep(0.1)


class Checks:
    def __init__(self):
        self.functions = []

    def check(self, function):
        self.functions.append(function)
        return function

    def run(self):
        failed = 0
        for function in self.functions:
            try:
                function()
                print(f"ok      {function.__name__}", flush=True)
            except Exception:  # one that fails does not stop the others
                failed += 1
                print(f"FAILED  {function.__name__}\n{traceback.format_exc(limit=-4)}", flush=True)
        print(f"{len(self.functions) - failed} passed, {failed} failed")
        return 1 if failed else 0
