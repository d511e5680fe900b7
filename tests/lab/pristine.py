"""What dom0 sees of a guest's PV devices, and whether it is as if the firmware had never run.

    before = View(guest)                # of a guest that was created paused
    ...
    assert View(guest).traces(before) == []
"""

import json
import re

from lab import HERE

PEEK = (HERE / "peek.py").read_bytes()

# Nodes that a backend publishes when it is connected for the first time, and leaves there
# (blkif.h, "Backend Device Properties").
PUBLISHED = re.compile(r"/backend/(vbd|qdisk)/\d+/\d+/(feature-[a-z-]+|discard-[a-z]+|sectors|"
                       r"sector-size|physical-sector-size|info)$")


class View:
    """Xenstore, grants, event channels and the ring to xenstored of a guest at one moment.

    entries: {what: content}, both text.
    """

    def __init__(self, guest):
        lab, domid = guest.lab, guest.domid
        self.domid, self.pvh = domid, guest.pvh
        keys = lab.debug_keys("ge")
        peek = json.loads(lab.run(f"python3 - {domid}", stdin=PEEK))
        self.ring = peek["store_ring"]
        self.store = self.read_store(lab)
        self.entries = {
            **{f"node {path}": value for path, value in self.store.items()},
            **{f"grant {ref}": entry for ref, entry in peek["grants"].items()},
            **self.mapped_grants(keys),
            **self.event_channels(keys),
        }

    def read_store(self, lab):
        """The guest's part of xenstore, with permissions, and its backends': {path: value}."""
        text = lab.run(f"""
            xenstore-ls -fp /local/domain/{self.domid}
            for kind in $(xenstore-list /local/domain/0/backend); do
                xenstore-ls -f /local/domain/0/backend/$kind/{self.domid} 2>/dev/null
            done; true""")
        return dict(line.split(" = ", 1) for line in text.splitlines())

    def mapped_grants(self, keys):
        """The grants of the guest that somebody has mapped, by Xen's own list."""
        part = re.search(rf"grant-table for remote d{self.domid} .*?(?=grant-table|gnttab_usage)",
                         keys, re.S).group()
        return {f"mapped grant {int(ref, 16)}": " ".join(rest.split())
                for ref, rest in re.findall(r"^\(XEN\) +\[(\w+)\] +(.*)", part, re.M)}

    def event_channels(self, keys):
        """The guest's event channels and dom0's ends of them, by Xen's own list.

        Whether dom0's end is pending or masked is dom0's: its programs look at events when they like.
        """
        entries = {}
        # the console's daemon says at any time that it has taken what a PVH guest wrote
        console = self.pvh and self.store[f"/local/domain/{self.domid}/console/port"].split('"')[1]
        for part in re.split("Event channel information for domain ", keys)[1:]:
            owner = int(part.split(":")[0])
            for port, rest in re.findall(r"^\(XEN\) +(\d+) (\[.*)", part, re.M):
                if console and owner == self.domid and port == console:
                    rest = re.sub(r"^\[\d/", "[*/", rest)
                elif owner == 0:
                    rest = re.sub(r"^\[\d/\d", "[*/*", rest)
                if console and owner == self.domid:
                    # whether any port of 32 is pending, the console's among them
                    rest = re.sub(r"^(\[./.)/\d", r"\1/*", rest)
                if owner == self.domid or (owner == 0 and f" d={self.domid} " in rest):
                    entries[f"event channel {port} of domain {owner}"] = rest
        return entries

    def states(self):
        """The states of each VBD's two ends: {number: (frontend, backend)}."""
        def state(directory):
            return self.store.get(f"{directory}/state", "none").split('"')[1:2]
        place = f"/local/domain/{self.domid}/device/vbd/"
        found = {}
        for path in self.store:
            number = path.removeprefix(place)
            if number.isdigit():
                backend = self.store.get(f"{path}/backend", '""').split('"')[1]
                found[int(number)] = (*state(path), *state(backend))
        return found

    def traces(self, before):
        """What of all this differs from a guest that no firmware has run in (list of text)."""
        found = []
        if (self.ring["requests put"], self.ring["replies put"]) != \
                (self.ring["requests taken"], self.ring["replies taken"]):
            found.append(f"store ring: {self.ring}")
        for what in sorted({*before.entries, *self.entries}):
            old, new = before.entries.get(what), self.entries.get(what)
            if old != new and not (old is None and PUBLISHED.search(what)):
                found.append(f"{what}: {new or 'gone'}, was {old or 'not there'}")
        return found
