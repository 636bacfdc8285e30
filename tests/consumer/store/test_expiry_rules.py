"""Rules are read for what they expire; ours go among those of others, which stay as they are."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from consumer.store.expiry_rules import NAMESPACE, merged, read_rules
from consumer.store.facts import Expiry

OURS = [Expiry("inputs/", 1), Expiry("a/b/", 7)]
DAYS = "<Expiration><Days>3</Days></Expiration>"
OLD = (
    "<NoncurrentVersionExpiration><NoncurrentDays>2</NoncurrentDays></NoncurrentVersionExpiration>"
)


def _config(*rules: str, status: str = "Enabled") -> bytes:
    inner = "".join(f"<Rule>{rule}<Status>{status}</Status></Rule>" for rule in rules)
    return f'<LifecycleConfiguration xmlns="{NAMESPACE}">{inner}</LifecycleConfiguration>'.encode()


def _rules(xml: bytes) -> list[ElementTree.Element]:
    space = f"{{{NAMESPACE}}}"
    root = ElementTree.fromstring(xml)
    assert root.tag == f"{space}LifecycleConfiguration"
    for element in root.iter():
        element.tag = element.tag.removeprefix(space)
    return root.findall("Rule")


def _names(xml: bytes) -> list[str | None]:
    return [rule.findtext("ID") for rule in _rules(xml)]


@pytest.mark.parametrize(
    ("rule", "prefix"),
    [
        ("<Filter><Prefix>x/</Prefix></Filter>", "x/"),
        ("<Filter><And><Prefix>x/</Prefix></And></Filter>", "x/"),
        ("<Prefix>x/</Prefix>", "x/"),
        ("<Filter></Filter>", ""),
        ("<Filter><Prefix></Prefix></Filter>", ""),
        ("", ""),
    ],
)
def test_a_rule_expires_what_its_prefix_says_in_every_format(rule: str, prefix: str) -> None:
    assert read_rules(_config(rule + DAYS)).expiries == (Expiry(prefix, 3),)
    found = read_rules(_config(rule + OLD))
    assert (found.expiries, found.old_versions) == ((), (Expiry(prefix, 2),))


@pytest.mark.parametrize(
    "rule",
    [
        "<Filter><Tag><Key>a</Key><Value>1</Value></Tag></Filter>" + DAYS,
        "<Filter><ObjectSizeGreaterThan>9</ObjectSizeGreaterThan></Filter>" + DAYS,
        "<Filter><And><Prefix>x/</Prefix><ObjectSizeLessThan>9</ObjectSizeLessThan></And></Filter>"
        + DAYS,
        "<Filter><Prefix>x/</Prefix></Filter><Expiration><Date>2030-01-01</Date></Expiration>",
    ],
)
def test_what_expires_a_part_of_its_prefix_or_at_a_date_is_no_rule_by_prefix(rule: str) -> None:
    found = read_rules(_config(rule))
    assert (found.expiries, found.old_versions) == ((), ())


def test_a_rule_that_is_switched_off_expires_nothing() -> None:
    assert read_rules(_config("<Prefix>x/</Prefix>" + DAYS, status="Disabled")).expiries == ()


def test_ours_are_made_whole_in_a_bucket_without_any() -> None:
    inputs, deep = _rules(merged(None, OURS, None))
    tags = ("ID", "Status", "Filter/Prefix", "Expiration/Days")
    assert [[rule.findtext(tag) for tag in tags] for rule in (inputs, deep)] == [
        ["face2face-inputs", "Enabled", "inputs/", "1"],
        ["face2face-a-b", "Enabled", "a/b/", "7"],
    ]
    assert [rule.find("NoncurrentVersionExpiration") for rule in (inputs, deep)] == [None, None]
    for rule in _rules(merged(None, OURS, 2)):
        assert rule.findtext("NoncurrentVersionExpiration/NoncurrentDays") == "2"


def test_ours_of_before_are_replaced_by_name_whatever_they_did() -> None:
    before = merged(None, OURS, 2)
    after = merged(before, OURS, None)
    assert _names(after) == ["face2face-inputs", "face2face-a-b"]
    assert read_rules(after).old_versions == ()


def test_a_rule_that_only_expires_our_prefix_is_replaced_and_any_other_stays() -> None:
    ours = "<Filter><Prefix>inputs/</Prefix></Filter>"
    xml = _config(
        f"<ID>replaced</ID>{ours}{DAYS}",
        f"<ID>also old versions</ID>{ours}{DAYS}{OLD}",
        f"<ID>old versions alone</ID>{ours}{OLD}",
        f"<ID>markers</ID>{ours}<Expiration><ExpiredObjectDeleteMarker>true"
        "</ExpiredObjectDeleteMarker></Expiration>",
        f"<ID>another prefix</ID><Filter><Prefix>backups/</Prefix></Filter>{DAYS}",
        f"<ID>everything</ID><Filter></Filter>{DAYS}",
    )
    assert _names(merged(xml, OURS, None)) == [
        "also old versions",
        "old versions alone",
        "markers",
        "another prefix",
        "everything",
        "face2face-inputs",
        "face2face-a-b",
    ]


def test_a_page_in_the_lifecycle_s_place_is_no_bucket_without_rules() -> None:
    for read in (read_rules, lambda page: merged(page, OURS, None)):
        with pytest.raises(ElementTree.ParseError, match="html"):
            read(b"<html><body>Sign in</body></html>")
