"""What a picture must say of itself to be taken: attributes such as consent and licence, with the values that are allowed."""

from dataclasses import dataclass

from secondlook.pipeline.core.errors import UserError


@dataclass(frozen=True)
class Requirement:
    """An attribute that a picture must have; `allowed`: its values, exactly as they are written, empty for any."""

    attribute: str
    allowed: tuple[str, ...] = ()

    def broken(self, value: str | None) -> tuple[str, str] | None:
        """Why a picture with this value can't be taken, a reason of REASONS and a detail for people; None where it can.

        >>> Requirement("consent", ("yes", "signed")).broken("no")
        ('not permitted', "consent is 'no', and [ingest] require allows yes, signed")
        >>> Requirement("consent").broken(" ")
        ('attribute missing', 'it has no consent, which [ingest] require asks for')
        """
        said = (value or "").strip()
        if not said:
            return "attribute missing", f"it has no {self.attribute}, which [ingest] require asks for"
        if self.allowed and said not in self.allowed:
            return (
                "not permitted",
                f"{self.attribute} is {said!r}, and [ingest] require allows {', '.join(self.allowed)}",
            )
        return None


def requirements(text: str) -> tuple[Requirement, ...]:
    """Requirements as `[ingest] require` writes them; raises UserError where it can't be read.

    >>> requirements("consent=yes|signed, license")
    (Requirement(attribute='consent', allowed=('yes', 'signed')), Requirement(attribute='license', allowed=()))
    """
    wanted: dict[str, Requirement] = {}
    for part in text.split(",") if text.strip() else ():
        name, given, values = (piece.strip() for piece in part.partition("="))
        allowed = tuple(value.strip() for value in values.split("|") if value.strip())
        if not name or (given and not allowed):
            raise UserError(
                f"[ingest] require takes attributes with commas between, such as `consent=yes|signed, license`, got {text!r}"
            )
        if name in wanted:
            raise UserError(f"[ingest] require names {name} twice, in {text!r}")
        wanted[name] = Requirement(name, allowed)
    return tuple(wanted.values())
