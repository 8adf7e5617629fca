"""The processes of a run: started, waited for, watched, and ended with it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

HERE = Path(__file__).parent


class VoidError(Exception):
    """The run proves nothing: something was lost, refused, or not as loaded as it should be."""


def start(stack, *command, env=None, ready=None):
    """Starts a process that ends with us. With `ready` it is waited for until that port takes connections."""
    process = subprocess.Popen(
        [sys.executable, *map(str, command)], env={**os.environ, **(env or {})}, stdout=subprocess.PIPE, text=True
    )
    stack.callback(stop, process)
    if ready is not None:
        wait_for(process, ready)
    return process


def stop(process):
    process.terminate()
    process.send_signal(signal.SIGCONT)  # one that is paused would not hear of it
    try:
        process.wait(40)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)


def kill(process):
    """At once: for processes whose calls would hang for half a minute."""
    process.kill()
    process.wait(5)


def wait_for(process, port):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise VoidError(f"the server on port {port} did not start")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def receiver(stack, *kind):
    """A receiver (see receiver.py for the kinds) and its port."""
    process = start(stack, HERE / "receiver.py", *kind)
    return process, int(process.stdout.readline())


def counted(port, path="/"):
    with urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        return json.load(answer)


def output(*command):
    """Runs a script to its end; the JSON that it prints."""
    done = subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, timeout=180, check=False
    )
    if done.returncode:
        raise VoidError(f"{command[0]} failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout)
