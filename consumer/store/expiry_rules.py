"""The XML of a bucket's lifecycle: read for what it expires, and merged with rules of ours.

Rules of others are kept element by element as the server gave them. A model of the rules would
drop what it does not know, and a rule without its prefix, its least size or its tags expires more
than its owner ever asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from xml.etree import ElementTree

from consumer.store.facts import Expiry, Rules

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_ROOT = "LifecycleConfiguration"
_ACTIONS = frozenset(
    {
        "Expiration",
        "Transition",
        "NoncurrentVersionExpiration",
        "NoncurrentVersionTransition",
        "AbortIncompleteMultipartUpload",
        "DelMarkerExpiration",
        "AllVersionsExpiration",
    }
)


def read_rules(xml: bytes) -> Rules:
    """What the enabled rules expire by prefix alone.

    A rule that also asks for tags or sizes expires a part of its prefix, and is left out.

    Raises:
        xml.etree.ElementTree.ParseError: this is no lifecycle configuration.
    """
    enabled = [rule for rule in _rules(xml) if rule.findtext("Status") == "Enabled"]
    return Rules(
        tuple(_days(enabled, "Expiration/Days")),
        tuple(_days(enabled, "NoncurrentVersionExpiration/NoncurrentDays")),
    )


def merged(xml: bytes | None, rules: Sequence[Expiry], old_versions_days: int | None) -> bytes:
    """The configuration with these rules in it; all others stay as they are.

    Args:
        xml: what the bucket has; None for nothing.
        rules: ours. They replace those of their names, and those that do nothing but expire the
            same prefix.
        old_versions_days: days after which a replaced or removed version goes; None says nothing.

    Raises:
        xml.etree.ElementTree.ParseError: `xml` is no lifecycle configuration.
    """
    names, prefixes = {_name(rule) for rule in rules}, {rule.prefix for rule in rules}
    root = ElementTree.Element(_ROOT, xmlns=NAMESPACE)
    root.extend(
        rule
        for rule in (_rules(xml) if xml else ())
        if rule.findtext("ID") not in names and not _only_expires(rule, prefixes)
    )
    root.extend(_made(rule, old_versions_days) for rule in rules)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _rules(xml: bytes) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(xml)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    if root.tag != _ROOT:
        raise ElementTree.ParseError(f"<{root.tag}> is no lifecycle configuration")
    return root.findall("Rule")


def _days(rules: Iterable[ElementTree.Element], path: str) -> Iterator[Expiry]:
    for rule in rules:
        prefix, days = _prefix(rule), rule.findtext(path)
        if prefix is not None and days is not None and days.isdecimal():
            yield Expiry(prefix, int(days))


def _prefix(rule: ElementTree.Element) -> str | None:
    """The prefix of a rule, "" for the whole bucket; None where it takes only some of it."""
    chosen = rule.find("Filter")
    if chosen is None:  # the first version of the format, which servers still take
        return rule.findtext("Prefix", "")
    both = chosen.find("And")
    chosen = chosen if both is None else both
    if any(element.tag != "Prefix" for element in chosen):
        return None
    return chosen.findtext("Prefix", "")


def _only_expires(rule: ElementTree.Element, prefixes: set[str]) -> bool:
    actions = [element for element in rule if element.tag in _ACTIONS]
    return (
        _prefix(rule) in prefixes
        and [action.tag for action in actions] == ["Expiration"]
        and [limit.tag for limit in actions[0]] == ["Days"]
    )


def _name(rule: Expiry) -> str:
    return f"face2face-{rule.prefix.strip('/').replace('/', '-')}"


def _made(rule: Expiry, old_versions_days: int | None) -> ElementTree.Element:
    made = ElementTree.Element("Rule")
    ElementTree.SubElement(made, "ID").text = _name(rule)
    ElementTree.SubElement(made, "Status").text = "Enabled"
    chosen = ElementTree.SubElement(made, "Filter")
    ElementTree.SubElement(chosen, "Prefix").text = rule.prefix
    expiration = ElementTree.SubElement(made, "Expiration")
    ElementTree.SubElement(expiration, "Days").text = str(rule.days)
    if old_versions_days is not None:
        old = ElementTree.SubElement(made, "NoncurrentVersionExpiration")
        ElementTree.SubElement(old, "NoncurrentDays").text = str(old_versions_days)
    return made
