"""The derivation's LaTeX in plain characters, for a terminal."""

from __future__ import annotations

import re

WIDE = "\u2003"  # a space that isn't taken together with others
SYMBOLS = {
    "partial": "∂",
    "sum": "Σ",
    "approx": " ≈ ",
    "neq": " ≠ ",
    "eta": "η",
    "leftarrow": " ← ",
    "top": "T",
    "cdot": " · ",
    "quad": WIDE,
    "log": "log ",
    "max": "max",
    "left": "",
    "right": "",
}
LOWERED = dict(zip("0123456789+-=aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", strict=True))
RAISED = dict(zip("0123456789+-=dhijknoKHNT", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼ᵈʰⁱʲᵏⁿᵒᴷᴴᴺᵀ", strict=True))
TOKEN = re.compile(r"\\([A-Za-z]+)|\\(.)|([{}_^])|(\s+)|(.)")


def sentence_text(text: str) -> str:
    """Return a sentence in plain characters, what stands between dollar signs too."""
    parts = text.split("$")
    return "".join(
        plain(part) if odd else part
        for part, odd in zip(parts, [False, True] * len(parts), strict=False)
    )


def plain(latex: str) -> str:
    """Return LaTeX in plain characters: ∂E/∂Zₖ = Yₖ - Lₖ."""
    text, rest = _sequence(_tokens(latex))
    assert not rest, f"unbalanced braces in {latex}"
    text = re.sub(r" *([=≈≠←]) *", r" \1 ", re.sub(r" *\* *", " ", text))
    text = re.sub(" +", " ", text)
    text = re.sub(r"(?<=[(\[]) | (?=[)\]])|(?<=log) (?=\()", "", text)
    return re.sub(f" *{WIDE}[ {WIDE}]*", "   ", text).strip()


def _tokens(latex: str) -> list[str]:
    tokens = []
    for command, escaped, mark, space, letter in TOKEN.findall(latex):
        if command:
            tokens.append("\\" + command)
        elif not escaped:
            tokens.append(mark or (" " if space else letter))
    return tokens


def _sequence(tokens: list[str]) -> tuple[str, list[str]]:
    """Read up to a closing brace or the end."""
    text = ""
    while tokens and tokens[0] != "}":
        part, tokens = _one(tokens)
        text += part
    return text, tokens


def _one(tokens: list[str]) -> tuple[str, list[str]]:
    """Read one symbol, one group in braces, or one command with its arguments."""
    token, rest = tokens[0], tokens[1:]
    if token == "{":
        text, rest = _sequence(rest)
        return text, rest[1:]
    if token in "_^" and token:
        text, rest = _one(rest)
        return _script(text, raised=token == "^"), rest
    if token == "\\frac":
        above, rest = _one(rest)
        below, rest = _one(rest)
        return f"{_grouped(above)}/{_grouped(below)}", rest
    if token in ("\\left", "\\right") and rest and rest[0] == ".":
        return "", rest[1:]  # a bracket that isn't there
    if token.startswith("\\"):
        ends_word = token != "\\eta" and rest and rest[0] == " "  # LaTeX eats that space
        return SYMBOLS[token[1:]], rest[1:] if ends_word else rest
    return token, rest


def _grouped(text: str) -> str:
    text = text.strip().replace("log (", "log(")
    return f"({text})" if re.search(r"[ +]", text) else text


def _script(text: str, *, raised: bool) -> str:
    table, mark = (RAISED, "^") if raised else (LOWERED, "_")
    tight = text.replace(" ", "")
    if all(letter in table for letter in tight):
        return "".join(table[letter] for letter in tight)
    return f"{mark}({text})" if len(text) > 1 or not raised else f"{mark}{text}"
