#!/usr/bin/env python3
"""Events against the Open Cybersecurity Schema Framework, as far as schema.json tells of it.

Usage: ocsf.py FILE...     events as JSON Lines; - is the standard input.  Exit 1 if one is not as the schema has it.
       ocsf.py --self-test

schema.json holds facts of the schema (names, types, requirements, enumerations; version and commit stand in it) of the classes and
objects that are used.  An attribute that is not in it is a mistake, also one whose object is not described: then describe it.
"""
import hashlib
import ipaddress
import json
import os
import sys

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "schema.json"), encoding="utf-8") as _file:
    SCHEMA = json.load(_file)

WHOLE = {"integer_t": 1 << 31, "long_t": 1 << 63, "timestamp_t": 1 << 63, "port_t": 1 << 16}
TEXTS = {"string_t", "username_t", "file_hash_t", "hostname_t", "email_t", "url_t", "ip_t", "uuid_t", "process_name_t", "json_t"}


def canonical(event):
    """RFC 8785 of what has no other numbers than whole ones."""
    return json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


class Check:
    def __init__(self):
        self.problems = []

    def say(self, path, words):
        self.problems.append(f"{path or 'event'}: {words}")

    def value(self, path, value, kind):
        if kind.startswith("[]"):
            if not isinstance(value, list) or not value:
                return self.say(path, "is no list with something in it")
            for index, one in enumerate(value):
                self.value(f"{path}[{index}]", one, kind[2:])
        elif kind in WHOLE:
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < WHOLE[kind]:
                self.say(path, f"{value!r} is no {kind}")
        elif kind == "boolean_t":
            if not isinstance(value, bool):
                self.say(path, f"{value!r} is no {kind}")
        elif kind in TEXTS:
            if not isinstance(value, str):
                return self.say(path, f"{value!r} is no {kind}")
            if kind == "ip_t":
                try:
                    ipaddress.ip_address(value)
                except ValueError:
                    self.say(path, f"{value!r} is no address")
        elif kind == "object":
            if not isinstance(value, dict):
                self.say(path, "is no object")
        elif kind in SCHEMA["objects"]:
            self.object(path, value, SCHEMA["objects"][kind])
        else:
            self.say(path, f"its type {kind} is not described in schema.json")

    def object(self, path, value, shape, fixed=None):
        if not isinstance(value, dict):
            return self.say(path, "is no object")
        prefix = path + "." if path else ""
        for name, one in value.items():
            fact = shape["attributes"].get(name)
            if fact is None:
                self.say(prefix + name, "the schema has no such attribute here")
                continue
            self.value(prefix + name, one, fact[1])
            names = (fixed or {}).get(name) or (fact[2] if len(fact) > 2 else None)
            if names is None:
                continue
            if str(one) not in names:
                self.say(prefix + name, f"{one!r} is not in its enumeration")
                continue
            sibling = SCHEMA["siblings"].get(name)
            if sibling in value and one != 99 and value[sibling] != names[str(one)]:
                self.say(prefix + sibling, f"{value[sibling]!r} is not the caption of {one}: {names[str(one)]!r}")
            if one == 99 and sibling and not value.get(sibling):
                self.say(prefix + name, f"99 without {sibling}")
        for name, fact in shape["attributes"].items():
            if fact[0] == "required" and name not in value:
                self.say(prefix + name, "is required")
        if shape["at_least_one"] and not any(name in value for name in shape["at_least_one"]):
            self.say(path, f"needs at least one of {shape['at_least_one']}")


def problems_of(event):
    """What is wrong with it, in words; empty: nothing."""
    check = Check()
    shape = SCHEMA["classes"].get(str(event.get("class_uid"))) if isinstance(event, dict) else None
    if shape is None:
        return ["event: its class is not described in schema.json"]
    category = shape["category"]
    fixed = {"class_uid": {str(event["class_uid"]): shape["name"]}, "category_uid": {str(category[0]): category[1]}}
    check.object("", event, shape, fixed)
    if event.get("type_uid") != event["class_uid"] * 100 + event.get("activity_id", 0):
        check.say("type_uid", "is not class_uid * 100 + activity_id")
    if event.get("type_name") != f"{shape['name']}: {event.get('activity_name')}":
        check.say("type_name", "is not the class and the activity")
    metadata = event.get("metadata") if isinstance(event.get("metadata"), dict) else {}
    if metadata.get("version") != SCHEMA["version"]:
        check.say("metadata.version", f"is not {SCHEMA['version']}, which this looks at")
    for profile, names in SCHEMA["profiles"].items():
        if profile not in metadata.get("profiles", []) and any(name in event for name in names):
            check.say("metadata.profiles", f"{profile} is used and not named")
    return check.problems


def broken_chain(events):
    """What of the profile record_integrity does not hold over a whole export; empty: nothing."""
    problems, before = [], {}
    for event in events:
        bare = json.loads(json.dumps(event))
        attestation = bare["attestation_list"][0]
        fingerprint = attestation.pop("fingerprint")
        if hashlib.sha256(canonical(bare)).hexdigest() != fingerprint["value"]:
            problems.append(f"{event['metadata']['uid']}: its fingerprint is of something else")
        if attestation.get("prev_event") != before.get(attestation["chain_uid"]):
            problems.append(f"{event['metadata']['uid']}: it does not name the event before it")
        before[attestation["chain_uid"]] = {"uid": event["metadata"]["uid"], "type_uid": event["type_uid"], "fingerprint": fingerprint}
    return problems


def self_test(events):
    """A change of each kind is seen."""
    event = next(one for one in events if one["class_uid"] == 6005 and one["disposition_id"] == 1)
    assert not problems_of(event)
    changes = {
        "no such attribute": lambda e: e.update(statement="x"),
        "metadata.who: the schema has no": lambda e: e["metadata"].update(who="x"),
        "actor: is required": lambda e: e.pop("actor"),
        "query_info.query_string: is required": lambda e: e["query_info"].pop("query_string"),
        "is no timestamp_t": lambda e: e.update(time="now"),
        "is no integer_t": lambda e: e.update(severity_id="1"),
        "is not in its enumeration": lambda e: e.update(disposition_id=50),
        "is not the caption": lambda e: e.update(disposition="Let through"),
        "99 without": lambda e: (e.update(disposition_id=99), e.pop("disposition")),
        "is no address": lambda e: e["src_endpoint"].update(ip="here"),
        "is no port_t": lambda e: e["src_endpoint"].update(port=70000),
        "needs at least one of": lambda e: (e.pop("database", None), e.pop("table", None)),
        "is not class_uid": lambda e: e.update(type_uid=1),
        "is not the class and": lambda e: e.update(type_name="x"),
        "is used and not named": lambda e: e["metadata"].update(profiles=["record_integrity"]),
        "which this looks at": lambda e: e["metadata"].update(version="1.0.0"),
        "is no list": lambda e: e.update(attestation_list={}),
        "is not described": lambda e: e.update(observables=[{"name": "x"}]),
    }
    for words, change in changes.items():
        changed = json.loads(json.dumps(event))
        change(changed)
        found = problems_of(changed)
        assert any(words in one for one in found), f"{words}: {found}"
    assert not broken_chain(events)
    changed = json.loads(json.dumps(events))
    changed[1]["time"] += 1
    assert len(broken_chain(changed)) == 1, "a changed event"
    assert broken_chain(events[:1] + events[2:]), "a removed one"


def main(arguments):
    is_test = "--self-test" in arguments
    events = []
    for path in [one for one in arguments if one != "--self-test"]:
        with (sys.stdin if path == "-" else open(path, encoding="utf-8")) as file:
            events += [json.loads(line) for line in file]
    wrong = [(event, problem) for event in events for problem in problems_of(event)]
    for event, problem in wrong[:50]:
        print(f"{event.get('metadata', {}).get('uid')}: {problem}")
    chain = [] if wrong else broken_chain(events)
    print("\n".join(chain[:50] + [f"{len(events)} events, {len(wrong) + len(chain)} problems"]))
    if is_test:
        self_test(events)
    return 1 if wrong or chain or not events else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
