"""Node's own `crypto`, asked in one process for as many values as a test likes."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(
    NODE is None, reason="COMPATIBILITY WITH NODE IS NOT TESTED: there is no `node` on the PATH"
)


def in_node(requests):
    """The answers of node_cipher.js, in the order of the requests."""
    run = subprocess.run(
        [NODE, str(Path(__file__).with_name("node_cipher.js"))],
        input=json.dumps(requests),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(run.stdout)


def sealed_in_node(texts, key, **options):
    """Each text as Node encrypts it."""
    answers = in_node([{"op": "encrypt", "key": key, "text": text, **options} for text in texts])
    assert all(answer["ok"] for answer in answers)
    return [answer["text"] for answer in answers]


def opened_in_node(sealed, key):
    """What Node makes of each ciphertext; None where it refuses."""
    answers = in_node([{"op": "decrypt", "key": key, "text": text} for text in sealed])
    return [answer["text"] if answer["ok"] else None for answer in answers]
