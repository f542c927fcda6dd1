"""The versions of a lake: one row each in the catalog's database, the only thing that a commit writes last.

UNIQUE (job, inputs) makes a job exactly once in effect; the primary key makes two commits at once take turns.
"""

import contextlib
import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from secondlook.pipeline.core.errors import UserError

_metadata = sa.MetaData()
VERSIONS = sa.Table(
    "secondlook_versions",
    _metadata,
    sa.Column("lake", sa.String(512), primary_key=True),
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("job", sa.String(64), nullable=False),
    sa.Column("inputs", sa.String(64), nullable=False),
    sa.Column("created", sa.String(32), nullable=False),
    sa.Column("tables", sa.Text, nullable=False),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("run", sa.Text, nullable=False),
    sa.UniqueConstraint("lake", "job", "inputs"),
)
FORGET = "forget"  # the job that erases from all versions: what was computed before it must not come after it
# Drawn once for a lake, for names that nobody can guess who does not read the lake.
SECRETS = sa.Table(
    "secondlook_secrets",
    _metadata,
    sa.Column("lake", sa.String(512), primary_key=True),
    sa.Column("secret", sa.String(64), nullable=False),
)


@dataclass(frozen=True)
class Version:
    """One state of the whole lake: what users name in --as-of.

    `seq` is the number that the rows of this version's job carry; `tables` the snapshot of every table.
    """

    id: int
    seq: int
    job: str
    inputs: str
    created: str
    tables: Mapping[str, int]
    summary: Mapping[str, Any] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)


def digest(values: Mapping[str, Any]) -> str:
    """Hash of a job's inputs: equal inputs, equal digest, whatever the order of the keys."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class Versions:
    """The versions of one lake, as its catalog's database holds them."""

    def __init__(self, engine: sa.Engine, lake: str) -> None:
        self.engine, self.lake = engine, lake
        _metadata.create_all(engine)

    def secret(self) -> bytes:
        """32 random bytes that are this lake's own and stay the same: a key for names that others must not guess."""
        query = sa.select(SECRETS.c.secret).where(SECRETS.c.lake == self.lake)
        with self.engine.connect() as connection:
            known = connection.execute(query).scalar()
        if known is None:
            with contextlib.suppress(sa.exc.IntegrityError), self.engine.begin() as connection:  # another was faster
                connection.execute(SECRETS.insert().values(lake=self.lake, secret=secrets.token_hex(32)))
            with self.engine.connect() as connection:
                known = connection.execute(query).scalar_one()
        return bytes.fromhex(known)

    def all(self) -> list[Version]:
        """All versions that are kept, oldest first."""
        return self.select(VERSIONS.c.id >= 0)

    def head(self) -> Version | None:
        """The newest version, or None in a lake that nothing was committed to."""
        newest = sa.select(sa.func.max(VERSIONS.c.id)).where(VERSIONS.c.lake == self.lake).scalar_subquery()
        found = self.select(VERSIONS.c.id == newest)
        return found[0] if found else None

    def at(self, reference: str | int | None = None) -> Version:
        """The version that a user names: a number, `head`, `head~2`, or None for the newest.

        Raises UserError where there is none of that name.
        """
        head = self.head()
        if head is None:
            raise UserError("the lake is empty; `secondlook ingest SOURCE` is the first step")
        text = str(reference if reference is not None else "head").strip().lower()
        back = text.removeprefix("head~") if text.startswith("head~") else "0" if text == "head" else None
        number = back if back is not None else text.removeprefix("v")
        if not number.isdecimal():
            raise UserError(f"a version is a number, head or head~N; got {reference!r}")
        wanted = head.id - int(number) if back is not None else int(number)
        found = self.select(VERSIONS.c.id == wanted) if 0 < wanted <= head.id else []
        if not found:
            oldest = self.all()[0].id
            raise UserError(f"there is no version {reference}; this lake has {oldest} to {head.id}")
        return found[0]

    def find(self, job: str, inputs: Mapping[str, Any]) -> Version | None:
        """The version that this job made of these inputs, if it did."""
        return self.made(job, digest(inputs))

    def made(self, job: str, inputs: str) -> Version | None:
        """The version that this job made of inputs of this digest, if it did."""
        found = self.select((VERSIONS.c.job == job) & (VERSIONS.c.inputs == inputs))
        return found[0] if found else None

    def newest(self, job: str, version: Version | None = None) -> Version | None:
        """The newest version that this job made, at or before the given one."""
        until = VERSIONS.c.id <= version.id if version else sa.true()
        found = self.select((VERSIONS.c.job == job) & until)
        return found[-1] if found else None

    def elsewhere(self) -> list[str]:
        """URLs of the other lakes that the same catalog holds versions of."""
        query = sa.select(VERSIONS.c.lake).where(VERSIONS.c.lake != self.lake).distinct()
        with self.engine.connect() as connection:
            return sorted(connection.execute(query).scalars())

    def select(self, where: Any) -> list[Version]:
        """Versions that a condition on the columns of VERSIONS picks, oldest first."""
        query = sa.select(VERSIONS).where(VERSIONS.c.lake == self.lake).where(where).order_by(VERSIONS.c.id)
        with self.engine.connect() as connection:
            rows = connection.execute(query).all()
        return [
            Version(
                r.id, r.seq, r.job, r.inputs, r.created, json.loads(r.tables), json.loads(r.summary), json.loads(r.run)
            )
            for r in rows
        ]

    def insert(self, version: Version) -> None:
        """Make it a version, in one transaction; sqlalchemy.exc.IntegrityError where number or inputs are taken."""
        with self.engine.begin() as connection:
            connection.execute(VERSIONS.insert().values(self._row(version)))

    def _row(self, version: Version) -> dict[str, Any]:
        text = {name: json.dumps(getattr(version, name), sort_keys=True) for name in ("tables", "summary", "run")}
        plain = {name: getattr(version, name) for name in ("id", "seq", "job", "inputs", "created")}
        return {"lake": self.lake, **plain, **text}

    def rewrite(self, changed: Iterable[Version], added: Version) -> None:
        """Insert a version and give earlier ones other tables, summaries and runs, in one transaction; raises as `insert`."""
        with self.engine.begin() as connection:
            connection.execute(VERSIONS.insert().values(self._row(added)))  # first: it takes the turn
            for one in changed:
                told = {name: value for name, value in self._row(one).items() if name in ("tables", "summary", "run")}
                mine = (VERSIONS.c.lake == self.lake) & (VERSIONS.c.id == one.id)
                connection.execute(VERSIONS.update().where(mine).values(**told))

    def remove(self, ids: list[int]) -> None:
        """Forget versions: they can't be read by --as-of any more."""
        with self.engine.begin() as connection:
            connection.execute(VERSIONS.delete().where(VERSIONS.c.lake == self.lake).where(VERSIONS.c.id.in_(ids)))
