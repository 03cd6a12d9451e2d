"""A field is set in a study file, and the rest of the file stays as somebody wrote it."""

from __future__ import annotations

import pytest

from jax_backprop.parsing import with_field
from jax_backprop.reading import parse_toml

HEAD = '# why\ntitle = "t"  # said\n'
TABLE = "\n[axes]\nseed = { count = 2 }\n"


@pytest.mark.parametrize(
    "text, expected",
    [
        (HEAD + TABLE, HEAD + "\ntile_width = 4\n\n[axes]\nseed = { count = 2 }\n"),
        (HEAD + "tile_width=16 # old\n" + TABLE, HEAD + "tile_width = 4 # old\n" + TABLE),
        (HEAD, "tile_width = 4\n" + HEAD),
        ("zip = [\n['a', 'b']]\n" + TABLE, "tile_width = 4\nzip = [\n['a', 'b']]\n" + TABLE),
        (
            'note = """\ntile_width = 3\n"""\n[axes.inner]\n',
            'note = """\ntile_width = 3\n"""\ntile_width = 4\n\n[axes.inner]\n',
        ),
        ("[other]\ntile_width = 3\n", "tile_width = 4\n\n[other]\ntile_width = 3\n"),
    ],
)
def test_a_field_is_set_and_all_else_kept(text: str, expected: str) -> None:
    found = with_field(text, "tile_width", 4)
    assert found == expected
    assert parse_toml(found) == {**parse_toml(text), "tile_width": 4}
