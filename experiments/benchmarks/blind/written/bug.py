"""What a blind bug is, and how to build the module that has it."""
import importlib.util
import os
import sys
import tempfile
from typing import NamedTuple, Tuple


class Bug(NamedTuple):
    name: str
    old: str                        # exact, unique piece of the source above "BUGS = ["
    new: str                        # what replaces it
    forward_lines: Tuple[str, ...]  # pieces of the loss's source lines whose backward is wrong
    note: str


MARK = "\nBUGS = ["


def head(source):
    """The source without its list of bugs."""
    return source.split(MARK, 1)[0] + "\n"


def bugged_source(source, bug):
    code = head(source)
    assert code.count(bug.old) == 1, (bug.name, code.count(bug.old))
    return code.replace(bug.old, bug.new)


def load_source(source, name):
    """Executes source as module `name` from a temporary file (kept, so that inspect works)."""
    folder = tempfile.mkdtemp(prefix="blind_")
    path = os.path.join(folder, name + ".py")
    with open(path, "w") as f:
        f.write(source)
    return load_path(path, name)


def load_path(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
