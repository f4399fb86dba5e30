"""Choices out of bytes. When the bytes are used up every choice is the simplest one, so every input comes to an end."""

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from fuzz import words

Item = TypeVar("Item")

_LONG: Final = 40


class Source:
    """A string of bytes that is read from its beginning, a few bytes for each choice."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def whole(self, most: int) -> int:
        """A whole number from 0 to `most`."""
        if most <= 0:
            return 0
        width = (most.bit_length() + 7) // 8
        part = self._data[self._at : self._at + width]
        self._at += width
        return int.from_bytes(part, "big") % (most + 1)

    def between(self, least: int, most: int) -> int:
        """A whole number between two, which are drawn as often as all others together."""
        match self.whole(5):
            case 1:
                return most
            case 2 | 3:
                return least
            case 4:
                return least + self.whole(min(most - least, 3))
            case _:
                return least + self.whole(most - least)

    def chance(self, of: int = 2) -> bool:
        """True once in `of` times."""
        return self.whole(of - 1) == of - 1

    def pick(self, items: Sequence[Item]) -> Item:
        """One of the items; the first is the simplest."""
        return items[self.whole(len(items) - 1)]

    def some(self, items: Sequence[Item]) -> list[Item]:
        """Some of the items, in their order."""
        return [item for item in items if self.chance()]

    def many(self, make: Callable[[], Item], most: int = 3) -> list[Item]:
        """A short list; now and then one of `most` items."""
        count = self.whole(most) if self.chance(16) else self.whole(min(most, 3))
        return [make() for _ in range(count)]

    def word(self) -> str:
        """A string that has made trouble somewhere."""
        return self.pick(words.WORDS)

    def text(self, most: int = _LONG) -> str:
        """Any text that UTF-8 can carry; now and then one of `most` characters."""
        if self.chance(4):
            return self.word()[:most]
        if self.chance(32):
            character = self.pick(words.CHARACTERS)
            return character * most
        return "".join(self.pick(words.CHARACTERS) for _ in range(self.whole(min(most, _LONG))))

    def number(self) -> float:
        """A float: mostly a plain one."""
        if self.chance(3):
            return self.pick(words.FLOATS)
        return self.whole(10_000) / self.pick((1, 4, 100))

    def json(self, depth: int = 3) -> object:
        """Any JSON value."""
        makers: tuple[Callable[[], object], ...] = (
            lambda: None,
            self.chance,
            lambda: self.pick(words.INTEGERS),
            lambda: self.pick(words.FLOATS[:-3]),
            self.text,
            self.text,
            lambda: self.many(lambda: self.json(depth - 1)),
            lambda: {self.text(): self.json(depth - 1) for _ in range(self.whole(3))},
        )
        return makers[self.whole(7 if depth else 5)]()

    def mutated(self, texts: Sequence[str]) -> str:
        """One of the texts with some of it cut, doubled, moved or replaced; the first choice leaves it as it is."""
        text = self.pick(texts)
        for _ in range(self.whole(6)):
            at, end = sorted((self.whole(len(text)), self.whole(len(text))))
            end = min(end, at + self.whole(24))
            match self.whole(5):
                case 0:
                    text = text[:at] + text[end:]
                case 1:
                    text = text[:end] + text[at:end] + text[end:]
                case 2:
                    text = text[:at] + self.pick(words.CHARACTERS) + text[at:]
                case 3:
                    text = text[:at] + self.word() + text[end:]
                case 4:
                    other = self.pick(texts)
                    cut = self.whole(len(other))
                    text = text[:at] + other[cut : cut + self.whole(80)] + text[end:]
                case _:
                    text = text[:at] + str(self.pick((*words.FLOATS, *words.INTEGERS))) + text[end:]
        return text
