"""The manual page has an entry for each message of the layer that a user sees (level 1)."""

import re

from project import PROJECT

SOURCES = sorted((PROJECT / "src/xen").rglob("*.c"))
PVH_NOTES = PROJECT / "src/xen/pvh/start.c"     # the PVH entry prints each text there is in it
PAGE = PROJECT / "docs/seabios-xenpv.7"
STRINGS = r'((?:"(?:[^"\\]|\\.)*"\s*)+)'


def joined(literals):
    """The text of C string literals that stand behind each other."""
    return re.sub(r"\\(.)", lambda match: {"n": ""}.get(match[1], match[1]),
                  "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', literals)))


def messages():
    """The formats of all messages; one that ends in a %s reason, once with each of its reasons."""
    found = []
    everything = "".join(source.read_text() for source in SOURCES)
    for source in SOURCES:
        text = source.read_text()
        # a function that puts a reason, `why`, into a message: its callers have the text
        for function, body in re.findall(r"^(\w+)\([^)]*\bchar \*why\b[^)]*\)\n\{(.*?)^\}", text,
                                         re.M | re.S):
            reasons = re.findall(rf"\b{function}\(\w+, {STRINGS}", everything)
            assert reasons, function
            # xenbus_fail() puts a device's name in front of what it is given
            kept = ['"xen: %s: %s"'] * ("xenbus_fail(" in body)
            for message in kept + re.findall(rf"dprintf\(1, {STRINGS}", body):
                before, _, after = joined(message).rpartition("%s")
                found += [before + joined(reason) + after for reason in reasons]
            text = text.replace(body, "")
        found += ["xen: %s: " + joined(message)
                  for message in re.findall(rf"\bxenbus_fail\([^;\"]+, {STRINGS}", text)]
        found += [joined(message) for message in re.findall(rf"dprintf\(1, {STRINGS}", text)
                  if joined(message) not in ("", "xen: %s: ")]
    return found + ["pvh: " + text for text in re.findall(r'"(\w+ [^"\n]*)"',
                                                          PVH_NOTES.read_text())]


def entries():
    """The headings of the page's section MESSAGES, without the markup."""
    section = re.search(r"^\.SH MESSAGES\n(.*?)^\.SH ", PAGE.read_text(), re.M | re.S)[1]
    return [line.replace(r"\(dq", '"').replace("\\", "")
            for line in re.findall(r"^\.T[PQ]\n\.B (.*)$", section, re.M)]


def pattern(message):
    """What matches a heading: the fixed text of the message, a word for each conversion."""
    parts = re.split(r"%[-0-9.]*l*[a-z]", message)
    return r"\w+".join(map(re.escape, parts)) + r"\n?"


def test_each_message_has_an_entry_and_each_entry_a_message():
    said, known = messages(), entries()
    assert len(said) > 40
    assert "pvh: start_info is none" in said
    unknown = [message for message in said
               if not any(re.fullmatch(pattern(message), entry) for entry in known)]
    stale = [entry for entry in known
             if not any(re.fullmatch(pattern(message), entry) for message in said)]
    assert (unknown, stale) == ([], [])


def test_each_setting_has_an_entry():
    options = re.findall(r"^ *config (\w+)$", (PROJECT / "Kconfig.xen").read_text(), re.M)
    text = PAGE.read_text()
    assert options
    assert [name for name in options if f".B CONFIG_{name}\n" not in text] == []


def test_each_setting_of_the_toolstack_has_an_entry_here_and_in_the_readme():
    table = re.search(r"^} known\[\] = \{\n(.*?)^};", (PROJECT / "src/xen/settings.c").read_text(),
                      re.M | re.S)[1]
    names = re.findall(r'^    \{ "(\S+)",', table, re.M)
    page = PAGE.read_text().replace("\\", "")
    section = re.search(r"^\.SH SETTINGS\n(.*?)^\.SH ", page, re.M | re.S)[1]
    readme = re.search(r"^## Settings\n(.*?)^## ", (PROJECT / "README.md").read_text(),
                       re.M | re.S)[1]
    known = re.findall(r"^\.T[PQ]\n\.B (\S+)$", section, re.M)
    shown = [name for row in re.findall(r"^\| (`(?:bootorder|etc/).*?) \|", readme, re.M)
             for name in re.findall(r"`(\S+?)`", row)]
    assert names
    assert sorted(known) == sorted(names)
    assert sorted(shown) == sorted(names)


def test_each_command_of_the_monitor_has_an_entry():
    table = re.search(r"monitor_commands\[\] = \{\n(.*?)^};",
                      (PROJECT / "src/xen/moncmd.c").read_text(), re.M | re.S)[1]
    names = re.findall(r'^    \{ "(\w+)",', table, re.M)
    section = re.search(r'^\.SH "XEN MONITOR"\n(.*?)^\.SH ', PAGE.read_text(), re.M | re.S)[1]
    assert names
    assert sorted(re.findall(r"^\.T[PQ]\n\.B (\w+)", section, re.M)) == sorted(names)
