"""Find the loops of C source that nothing seems to end.

A loop ends if it counts up to a limit, or if it asks xenwait_step() or xenwait_pause() whether to
go on. Any other has to be in a list that says why it ends.
"""

import re
from collections import namedtuple

Loop = namedtuple("Loop", "function header body")

KEYWORD = re.compile(r"\b(for|while|do|foreach\w+|goto)\b")
STEP = re.compile(r"xenwait_(?:step|pause|for)\(")
# as a statement of its own: nobody asks for the result
UNHEEDED = re.compile(r"(?:[;{})]|\belse\b|\bdo\b)\s*xenwait_(?:step|pause|for)\([^;]*\)\s*;")


def plain(text):
    """The source without comments, texts and lines of the preprocessor."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.S)
    text = re.sub(r'"(?:\\.|[^"\\])*"', '""', text)
    text = re.sub(r"'(?:\\.|[^'\\])'", "0", text)
    return re.sub(r"^[ \t]*#(?:.*\\\n)*.*", "", text, flags=re.M)


def closing(text, begin):
    """Where the bracket at `begin` is closed: the index behind it."""
    depth = 0
    for index in range(begin, len(text)):
        depth += (text[index] in "({[") - (text[index] in ")}]")
        if not depth:
            return index + 1
    raise ValueError("a bracket is not closed")


def statement(text, begin):
    """The index behind the statement that begins at `begin`."""
    match = re.compile(r"\s*").match(text, begin)
    begin = match.end()
    if text[begin] == "{":
        return closing(text, begin)
    match = re.compile(r"(if|for|while|switch|foreach\w+)\s*(?=\()").match(text, begin)
    if match:
        end = statement(text, closing(text, match.end()))
        other = re.compile(r"\s*else\b").match(text, end)
        return statement(text, other.end()) if match[1] == "if" and other else end
    match = re.compile(r"do\b").match(text, begin)
    if match:
        begin = statement(text, match.end())
    while text[begin] != ";":
        begin = closing(text, begin) if text[begin] in "({[" else begin + 1
    return begin + 1


def functions(text):
    """The functions of a source in this project's style: (name, body)."""
    for match in re.finditer(r"^(\w+)\(", text, re.M):
        end = closing(text, match.end() - 1)
        brace = re.compile(r"\s*\{").match(text, end)
        if brace:
            yield match[1], text[brace.end() - 1:closing(text, brace.end() - 1)]


def short(text):
    """Text with single blanks."""
    return " ".join(text.split())


def loops(text):
    """All loops of a source, and jumps back."""
    for name, body in functions(plain(text)):
        ends_of_do = set()
        for match in KEYWORD.finditer(body):
            if match[1] == "goto":
                label = re.match(r"\s*(\w+)", body[match.end():])[1]
                if re.search(rf"^\s*{label}:", body[:match.start()], re.M):
                    yield Loop(name, f"goto {label}", "")
            elif match[1] == "do":
                end = statement(body, match.end())
                tail = re.compile(r"\s*while\s*").match(body, end)
                ends_of_do.add(body.index("while", end))
                last = closing(body, tail.end())
                yield Loop(name, short("do " + body[end:last]), body[match.start():last])
            elif match.start() not in ends_of_do:
                begin = body.index("(", match.end())
                last = closing(body, begin)
                yield Loop(name, short(body[match.start():last]),
                           body[begin:statement(body, last)])


def counts(header):
    """Whether a loop's header counts a variable up to a limit."""
    parts = re.match(r"for \((.*);(.*);(.*)\)$", header)
    step = parts and re.match(r"\s*(\w+)(\+\+| \+= )", parts[3])
    return bool(step and re.search(rf"\b{step[1]} < ", parts[2])
                and re.search(rf"\b{step[1]} = ", parts[1]))


def endless(text):
    """The loops that neither count nor ask whether to go on."""
    return [loop for loop in loops(text) if not counts(loop.header)
            and len(STEP.findall(loop.body)) <= len(UNHEEDED.findall(loop.body))]
