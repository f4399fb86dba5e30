"""Text that shows what it says: on a terminal, in a log, in an Event, in status.

Names, annotations and answers are somebody's words. Written out as they are, an escape sequence hides or recolours what
stands beside it, a line break makes a second record of a log, a mark for the direction of writing turns words round.
"""

from typing import Final

_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str) -> str:
    r"""`text` in one line, with what is not printed as a Python escape (`\x1b`, `\n`, `\u202e`); done twice is done once.

    That is all that Unicode calls control, format, surrogate, private, unassigned or separator, but for the space
    (`str.isprintable`). A backslash stays as it is: the result is for reading, not for decoding.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def printable_lines(text: str) -> str:
    """The same line by line: line breaks stay."""
    return "\n".join(printable(line) for line in text.split("\n"))


def _escaped(character: str) -> str:
    """Without a codec: the log is written to until the interpreter has unloaded those."""
    if short := _SHORT.get(character):
        return short
    number = ord(character)
    letter, digits = ("x", 2) if number < 0x100 else ("u", 4) if number < 0x10000 else ("U", 8)
    return f"\\{letter}{number:0{digits}x}"
