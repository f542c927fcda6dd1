"""What a group of people, or of pictures, is: values of one attribute or of several."""

from dataclasses import dataclass

NOT_SAID = "(not said)"  # the value of an attribute that a picture does not have: a group of its own


@dataclass(frozen=True, order=True)
class Group:
    """All pictures with these values of attributes.

    >>> Group((("race", "Indian"), ("age", "20-29"))).name
    'race Indian, age 20-29'
    """

    values: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        """The group in words."""
        return ", ".join(f"{attribute} {value}" for attribute, value in self.values)

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes that it is made of."""
        return tuple(attribute for attribute, _ in self.values)

    @property
    def depth(self) -> int:
        """How many attributes it crosses."""
        return len(self.values)
