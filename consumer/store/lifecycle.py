"""The bucket's expiry rules: what `deploy/lifecycle.yaml` wants, and what the server has.

Servers drop fields of lifecycle rules silently, so that `apply` reads back what it set. Rules of
others in the same bucket stay. A server without lifecycle rules is an answer (`supported` is
false) and no error: there the sweeper removes what is overdue (`consumer.store.sweeping`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from consumer.shipped_files import read_yaml, shipped
from consumer.store.facts import Expiry, NoLifecycle
from consumer.store.storage import Storage
from schemas.refs import check_key

OLD_VERSIONS_DAYS = 1
"""In a bucket that keeps versions, expiry only hides an object; a day later its bytes go, too."""
_ADVICE = "run `face2face lifecycle apply`"


class LifecycleFileError(ValueError):
    """The file cannot be used; the text names it and says what is wrong in it."""


def _check_prefix(value: str) -> str:
    if not value.endswith("/"):
        raise ValueError(f"prefix {value!r} must end with '/', or it would match its neighbours")
    return check_key(value.rstrip("/")) + "/"


class WantedRule(BaseModel):
    """One rule as it shall be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prefix: Annotated[str, AfterValidator(_check_prefix)]
    days: Annotated[int, Field(ge=1, le=36_500)]


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: Annotated[list[WantedRule], Field(min_length=1, max_length=100)]


@dataclass(frozen=True, slots=True)
class RuleState:
    """One wanted rule beside what the server has for its prefix."""

    prefix: str
    wanted_days: int
    found_days: int | None
    state: Literal["ok", "missing", "differs"]


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in a bucket."""

    bucket: str
    supported: bool
    """False: this server has no lifecycle rules."""
    rules: tuple[RuleState, ...]
    others: tuple[Expiry, ...] = ()
    """Expiry rules on other prefixes; they are left alone."""
    versions: Literal["none", "expire", "stay"] = "none"
    """Whether the bucket keeps old versions of objects, and what becomes of them."""

    @property
    def ok(self) -> bool:
        """True when every wanted rule is there as wanted, and what expires is gone."""
        kept = self.versions == "stay"
        return self.supported and not kept and all(rule.state == "ok" for rule in self.rules)

    @property
    def warnings(self) -> list[str]:
        """What an operator must know, one sentence each."""
        if not self.supported:
            return [
                f"the server of bucket {self.bucket!r} has no lifecycle rules: nothing expires "
                "there by itself; the service sweeps there (F2F_SWEEP=auto), and so does "
                "`face2face lifecycle sweep --apply`"
                + (f"; {self._versions_stay()}" if self.versions == "stay" else "")
            ]
        wrong = [_difference(rule) for rule in self.rules if rule.state != "ok"]
        rules = (
            f"the bucket's expiry rules are not as wanted: {', '.join(wrong)}; {_ADVICE}, and "
            "where that does not last, set F2F_SWEEP=always"
        )
        return [rules] * bool(wrong) + (
            [f"{self._versions_stay()}; {_ADVICE}"] if self.versions == "stay" else []
        )

    def _versions_stay(self) -> str:
        return (
            f"bucket {self.bucket!r} keeps versions: what expires or is removed there stays as an "
            "old version, with its bytes"
        )

    def as_json(self) -> dict[str, Any]:
        """The report for `--json`."""
        return {**asdict(self), "ok": self.ok, "warnings": self.warnings}


def _difference(rule: RuleState) -> str:
    found = "no rule" if rule.found_days is None else f"the server says {rule.found_days} d"
    return f"{rule.prefix} {rule.wanted_days} d ({found})"


def default_path() -> Path:
    """The file that comes with this installation."""
    return shipped(__file__, "lifecycle.yaml")


def read(path: Path) -> list[Expiry]:
    """Read and check a file.

    Raises:
        LifecycleFileError: it is missing or not valid, or names a prefix twice.
    """
    rules = read_yaml(path, _File, LifecycleFileError).rules
    prefixes = [rule.prefix for rule in rules]
    twice = sorted({prefix for prefix in prefixes if prefixes.count(prefix) > 1})
    if twice:
        raise LifecycleFileError(f"{path}: named twice: {', '.join(twice)}")
    return [Expiry(rule.prefix, rule.days) for rule in rules]


async def check(storage: Storage, bucket: str, wanted: list[Expiry]) -> Report:
    """Compare the server's rules with the wanted ones.

    Raises:
        Fault: the store does not answer, or refuses.
    """
    keeps = await storage.keeps_versions(bucket)
    try:
        found = await storage.get_lifecycle(bucket)
    except NoLifecycle:
        return _unsupported(bucket, wanted, keeps)
    days = {rule.prefix: rule.days for rule in reversed(_shortest_first(found.expiries))}
    mine = {rule.prefix for rule in wanted}
    gone = [rule.prefix for rule in found.old_versions]
    stay = keeps and not all(any(map(prefix.startswith, gone)) for prefix in mine)
    return Report(
        bucket,
        True,
        tuple(_state(rule, days.get(rule.prefix)) for rule in wanted),
        tuple(rule for rule in found.expiries if rule.prefix not in mine),
        "stay" if stay else "expire" if keeps else "none",
    )


async def apply(storage: Storage, bucket: str, wanted: list[Expiry]) -> Report:
    """Set the wanted rules, and report what the server then gives back.

    Where the bucket keeps versions, the rules also remove old versions of the same objects.

    Raises:
        Fault: the store does not answer, or refuses.
    """
    keeps = await storage.keeps_versions(bucket)
    try:
        await storage.set_lifecycle(bucket, wanted, OLD_VERSIONS_DAYS if keeps else None)
    except NoLifecycle:
        return _unsupported(bucket, wanted, keeps)
    return await check(storage, bucket, wanted)


def _unsupported(bucket: str, wanted: list[Expiry], keeps: bool) -> Report:
    states = tuple(_state(rule, None) for rule in wanted)
    return Report(bucket, False, states, versions="stay" if keeps else "none")


def _shortest_first(rules: Sequence[Expiry]) -> list[Expiry]:
    """Of several rules on one prefix the server obeys the shortest."""
    return sorted(rules, key=lambda rule: rule.days)


def _state(rule: Expiry, found: int | None) -> RuleState:
    if found is None:
        return RuleState(rule.prefix, rule.days, None, "missing")
    return RuleState(rule.prefix, rule.days, found, "ok" if found == rule.days else "differs")
