"""Starts `hookvault` commands as processes of their own, without paying for their imports each time.

Start this file as a program: it imports the command once and forks for every job, a line of JSON on stdin; it tells each child's
pid as it starts, and its exit code as it ends. When stdin ends it ends, and with it, whatever ends it, all its children, by
SIGKILL. Directory, environment, arguments and output are a child's own, as if it had been executed.
"""

import ctypes
import importlib
import json
import os
import select
import signal
import sys

from hookvault import fault
from hookvault.cli.main import run

PR_SET_PDEATHSIG = 1  # of prctl(2)
LIBC = ctypes.CDLL(None)


def child(job, inherited):
    """The command, from here on as in a fresh process; never returns."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for descriptor in inherited:
        os.close(descriptor)
    os.setpgid(0, 0)  # a Ctrl-C for the tests is not for what they started
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.chdir(job["folder"])
    os.environ.clear()
    os.environ.update(job["environment"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(job[name], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
    sys.argv = ["hookvault", *job["words"]]
    importlib.reload(fault)  # it read its setting from the parent's environment
    code = 0
    try:
        run()
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def tell(**message):
    os.write(1, json.dumps(message).encode() + b"\n")


def reaped(living):
    while living:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        living.discard(pid)
        tell(ended=pid, code=os.waitstatus_to_exitcode(status))


def main():
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker)
    living = set()
    tell(ready=True)
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            reaped(living)
        if 0 in ready:
            line = sys.stdin.readline()  # one at a time: the next is sent only after the answer
            if not line:
                break
            pid = os.fork()
            if pid == 0:
                child(json.loads(line), (woken, waker))
            living.add(pid)
            tell(started=pid)


if __name__ == "__main__":
    main()
