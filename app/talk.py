"""A visitor's request as it stands: what was said, the picture that counts, and what was struck."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fvrec.rerank.constraints import Constraint, Constraints


@dataclass(frozen=True)
class Talk:
    """text: the turn that is being answered. standing: what stood before it. answered: what stands after it.

    said: every turn so far. struck: fields on which the picture has no say. ignored: pieces that were not understood
    and that the visitor has waved away.
    """

    text: str = ""
    standing: Constraints | None = None
    answered: Constraints | None = None
    picture: bytes | None = None
    struck: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.text or self.picture is not None or self.standing)

    def say(self, text: str, picture: bytes | None = None) -> Talk:
        """Another turn, on top of what stands. A new picture takes the place of the old one."""
        return replace(
            self,
            text=text,
            standing=self.answered,
            picture=self.picture if picture is None else picture,
            struck=self.struck if picture is None else (),
            said=(*self.said, *([text] if text else [])),
        )

    def like(self, picture: bytes) -> Talk:
        """A product's own photo as the reference, without new words."""
        return replace(self, text="", standing=self._words_alone(), picture=picture, struck=())

    def without(self, constraint: Constraint) -> Talk:
        """One wish less: the words of the turn are not read again, as they may say it."""
        left = None if self.answered is None else self.answered.without(constraint)
        struck = (*self.struck, constraint.field) if constraint.origin == "picture" else self.struck
        return replace(self, text="", standing=left, answered=left, struck=struck)

    def without_picture(self) -> Talk:
        """The words alone."""
        return replace(self, picture=None, struck=(), standing=self._words_alone(self.standing))

    def ignoring(self, piece: str) -> Talk:
        """A piece that was not understood is not shown again."""
        return replace(self, ignored=(*self.ignored, piece))

    def answered_by(self, constraints: Constraints) -> Talk:
        """What stands now."""
        return replace(self, answered=constraints)

    def _words_alone(self, constraints: Constraints | None = None) -> Constraints | None:
        standing = constraints or self.answered
        if standing is None:
            return None
        return standing.without(*(one for one in standing.constraints if one.origin == "picture"))
