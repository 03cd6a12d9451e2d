"""A class of made submissions: right ones, wrong ones, and hostile ones."""

# ruff: noqa: E501 - submissions as students write them

from __future__ import annotations

import json

HEAD = "import numpy as np\n"
BODY = """
def steps(inputs, labels, hidden_weights, hidden_biases, output_weights, output_biases, learning_rate):
    X, W1, b1, W2, b2 = inputs, hidden_weights, hidden_biases, output_weights, output_biases
    L = np.eye(W2.shape[1])[labels]
    A1 = 1 / (1 + np.exp(-(X @ W1 + b1)))
    Z2 = A1 @ W2 + b2
    Y = np.exp(Z2) / np.exp(Z2).sum(1, keepdims=True)
    dZ2 = (Y - L) / len(X)
    dZ1 = dZ2 @ W2.T * A1 * (1 - A1)
    return {"A1": A1, "Y": Y, "dZ2": dZ2, "dW2": A1.T @ dZ2, "db2": dZ2.sum(0), "dZ1": dZ1,
            "dW1": X.T @ dZ1, "db1": dZ1.sum(0)}
"""
RIGHT = HEAD + BODY
WRONG = RIGHT.replace("A1 * (1 - A1)", "(1 - A1)")
DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(60)
    os._exit(0)
"""
# What root in a sandbox could do, and what one process alone may not.
HOSTILE = {
    "remount": (
        "import subprocess\nmount = ['mount', '-o', 'remount,rw,bind', '/usr']\n"
        "raise SystemExit('mounted' if subprocess.run(mount).returncode == 0 else 'kept out')",
        "kept out",
    ),
    "forks": ("import os, time\nfor _ in range(8): os.fork()\ntime.sleep(9)", "64 processes"),
    "memory": (
        "import os, time\nfor _ in range(6):\n    if os.fork() == 0:\n        break\n"
        "kept = b'x' * (60 * 2**20)\ntime.sleep(9)",
        "more than 256 MB of memory",
    ),
    "shared": (
        "for n in range(80):\n    open(f'/dev/shm/{n}', 'wb').write(b'x' * 2**20)",
        "No space left",
    ),
    "capable": (
        "kept = [line for line in open('/proc/self/status') if line.startswith('CapEff')]\n"
        "raise SystemExit('able' if int(kept[0].split()[1], 16) else 'unable')",
        "unable",
    ),
    "reader": ("class A:\n    def __array__(self, *a, **k): raise KeyError('mine')\n"
               "def steps(**k): return {'dW1': A()}", "KeyError"),
    "cycle": ("def steps(**k):\n    a = {}\n    a['a'] = a\n    return a", "lists within lists"),
    "forged": ("import os\nfor n in range(3, 20):\n    try: os.write(n, b'{\"table\": []}')\n"
               "    except OSError: pass\nos._exit(0)", "some of the network's steps"),
}  # fmt: skip
SEEN = """
import os, socket
found = [place for place in ({places!r}) if os.path.exists(place)]
try:
    socket.create_connection(("127.0.0.1", {port}), timeout=1)
    found.append("network")
except OSError:
    pass
try:
    open("/task/task.json", "w")
    found.append("task")
except OSError:
    pass
found += [name for name in os.listdir("/proc") if name.isdigit() and int(name) > 20]
import glob, importlib.util, sys
found += [name for name in ("jax_backprop", "jax", "pandas") if importlib.util.find_spec(name)]
found += glob.glob(sys.base_prefix + "/lib/python*/*-packages/*") + glob.glob("/usr/lib/python3/*-packages/*")
found += [name for name in os.environ if "KEY" in name or "TOKEN" in name]
if found:
    raise SystemExit(str(found))
"""
NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "source": ["# mine"]},
        {"cell_type": "code", "source": ["%matplotlib inline\n", HEAD]},
        {"cell_type": "code", "source": "open('data.csv')"},
        {"cell_type": "code", "source": BODY.splitlines(keepends=True)},
    ]
}
CODE = {
    "alice.py": "print('noise')\n" + RIGHT,
    "bob.py": WRONG,
    "carol.py": "def steps(**problem):\n    while True: pass",
    "dora.py": "import os\nos.abort()",
    "eve.py": "def steps(**problem):\n    return 1 / 0",
    "frank.py": "def steps(**problem):\n    return [object()]",
    "gina.py": "answer = 42",
    "hal.py": "def steps(**problem):\n    return {'loss': object()}",
    "iris.py": "import os, sys\nos.write(1, b'x' * 99)\nsys.exit(0)",
    "kai.py": "def steps(**problem):\n    return {'loss': bytearray(2**40)}",
    "lou.py": "from alice import steps",
    "mia.py": DAEMON + RIGHT,
    "nia.ipynb": json.dumps(NOTEBOOK),
    "ovid.py": RIGHT.replace(
        "inputs, labels, hidden_weights, hidden_biases, output_weights, output_biases, learning_rate",
        "inputs, labels, hidden_weights, hidden_biases, output_weights, output_biases",
    ),
    "pia.py": "import jax_backprop.marking.network",
    "quin.py": HEAD + "def steps(X, y, W1, b1, W2, b2, lr):\n    return solve(X, y, W1, b1, W2, b2)\n"
    + BODY.replace("def steps(", "def solve(").replace(", learning_rate)", ")"),
    "Ray Doe_77_assignsubmission_file_": RIGHT,
}  # fmt: skip
DATA = {
    "sam.json": json.dumps({"loss": float("nan")}),
    "tess.json": '{"loss": ' + "9" * 400 + "}",
    "uma.json": "[" * 100_000,
    "vic.npz": "not an archive",
    "walt.docx": "words",
    "xena.ipynb": "{}",
    "=cmd|.py": "\xe4",
    "_helper.py": "raise SystemExit",
}
