"""Runs the `hookvault` command in a process of its own without paying for its imports each time.

Start this file as a program: it imports the command once and forks for every job, a JSON line on stdin, answering
with the exit code. Directory, environment, arguments and files are the child's own, as if it had been executed.
"""

import json
import os
import signal
import sys

from hookvault.cli.main import run

LIMIT_S = 60


def child(job):
    """The command, from here on as in a fresh process; never returns."""
    signal.alarm(LIMIT_S)
    os.chdir(job["folder"])
    os.environ.clear()
    os.environ.update(job["environment"])
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        os.dup2(os.open(job[name], os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT), number)
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
    sys.argv = job["words"]
    code = 0
    try:
        run()
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def answer(word):
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main():
    answer("ready")
    for line in sys.stdin:
        number = os.fork()
        if number == 0:
            child(json.loads(line))
        answer(os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]))


if __name__ == "__main__":
    main()
