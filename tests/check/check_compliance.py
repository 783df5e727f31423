"""Makes docs/compliance.md, and holds the RFCs' demands against the marks beside code and tests.

check_compliance.py --root FOLDER                writes FOLDER/docs/compliance.md
check_compliance.py --root FOLDER --check        writes nothing; exit code 1 when there are findings
check_compliance.py --root FOLDER --rfc FOLDER   compares the lists with the texts of the RFCs
                                                 (rfc6043.txt and so on), which are not part of
                                                 the project
check_compliance.py --self-test                  shows that every finding can be found

The lists are lib/mikey/compliance/rfc*.toml. A mark is the id of a rule in brackets in a comment,
[6043-4.2.1.1-01]: in code beside the line that obeys the rule, in tests directly above the test
that fails when the rule is broken. docs/developers.md has more about both.
"""

import argparse
import collections
import dataclasses
import os
import pathlib
import re
import sys
import tempfile
import tomllib

LISTS = "lib/mikey/compliance"
DOCUMENT = "docs/compliance.md"
# Where marks are looked for. What is under tests is a test, the rest is code.
FOLDERS = ["lib", "kms-server", "kms-client", "mrfc-agent", "ue-agent", "tests"]

# "rule": the text states a duty without a key word.
DUTIES = {"MUST", "MUST NOT", "SHALL", "SHALL NOT", "REQUIRED", "MANDATORY", "rule"}
OPTIONS = {"SHOULD", "SHOULD NOT", "RECOMMENDED", "NOT RECOMMENDED", "MAY", "OPTIONAL"}
# Longest first. MANDATORY is none of RFC 2119, but the MIKEY family uses it as one.
KEYWORD = re.compile(r"\b(MUST NOT|MUST|SHALL NOT|SHALL|SHOULD NOT|SHOULD|NOT RECOMMENDED|"
                     r"RECOMMENDED|REQUIRED|MANDATORY|MAY|OPTIONAL)\b")

RULE_ID = re.compile(r"(\d{4})-([0-9A-Z]+(?:\.\d+)*)-(\d\d)")
# Wider than an id, so that a mistyped mark is found and not overlooked.
MARK = re.compile(r"\[((?:6043|3830|4563)-[^\]\s]*)\]")
TEST = re.compile(r"(?:TEST|TEST_F|TEST_P|TYPED_TEST|TYPED_TEST_P)\(\s*(\w+)\s*,\s*(\w+)\s*\)")


@dataclasses.dataclass(frozen=True)
class Finding:
    place: str
    kind: str
    text: str

    def __str__(self):
        return f"{self.place}: {self.kind}: {self.text}"


@dataclasses.dataclass
class Rule:
    id: str
    level: str
    keywords: list
    text: str
    not_applicable: str
    not_implemented: str
    open: str  # what is missing yet
    code: list = dataclasses.field(default_factory=list)   # files
    tests: list = dataclasses.field(default_factory=list)  # Suite.Name

    @property
    def clause(self):
        return RULE_ID.fullmatch(self.id)[2]

    @property
    def state(self):
        if self.not_applicable:
            return "not applicable"
        if self.not_implemented:
            return "not implemented"
        if self.tests:
            return "tested"
        return "implemented" if self.code and not self.open else "open"


@dataclasses.dataclass
class Document:
    file: str
    name: str
    title: str
    clauses: dict  # number -> title, in the order of the text
    rules: list

    def rules_of(self, clause):
        return [rule for rule in self.rules if rule.clause == clause]


# ---- the lists ---------------------------------------------------------------------------------


def read_list(root, path, findings):
    data = tomllib.loads((root / path).read_text(encoding="utf-8"))
    clauses = {number: clause["title"] for number, clause in data["clause"].items()}
    rules = []
    counts = collections.Counter()
    for rule_id, row in data["rule"].items():
        level = row["level"]
        rule = Rule(rule_id, level, row.get("keywords", [] if level == "rule" else [level]),
                    row["rule"], row.get("not_applicable", ""), row.get("not_implemented", ""),
                    row.get("open", ""))
        match = RULE_ID.fullmatch(rule_id)
        if match is None or f"rfc{match[1]}.toml" != pathlib.Path(path).name:
            findings.append(Finding(path, "id", f"{rule_id} is no id of this file"))
            continue
        counts[match[2]] += 1
        if match[2] not in clauses or int(match[3]) != counts[match[2]]:
            findings.append(Finding(path, "id", f"{rule_id} is out of its clause's order"))
        if level not in DUTIES | OPTIONS:
            findings.append(Finding(path, "level", f"{rule_id}: '{level}' is no level"))
        if rule.not_implemented and level in DUTIES:
            findings.append(Finding(path, "level", f"{rule_id}: a {level} is implemented or has a "
                                                   "reason why it does not apply"))
        rules.append(rule)
    document = data["document"]
    return Document(path, document["name"], document["title"], clauses, rules)


def read_lists(root, findings):
    paths = sorted((root / LISTS).glob("rfc*.toml"), key=lambda path: path.name != "rfc6043.toml")
    return [read_list(root, path.relative_to(root).as_posix(), findings) for path in paths]


# ---- the marks ---------------------------------------------------------------------------------


def source_files(root):
    for folder in FOLDERS:
        for where, folders, names in os.walk(root / folder):
            folders.sort()
            for name in sorted(names):
                if name.endswith((".cc", ".h")):
                    yield (pathlib.Path(where) / name).relative_to(root).as_posix()


def comment_of(line):
    return line.split("//", 1)[1] if "//" in line else ""


def read_marks(root, rules, findings):
    """Enters the marks of all files into `rules` (by id)."""
    for path in source_files(root):
        lines = (root / path).read_text(encoding="utf-8").splitlines()
        is_test = path.startswith("tests/")
        pending = []  # marks of the comment right above
        for number, line in enumerate(lines, 1):
            place = f"{path}:{number}"
            for mark in MARK.findall(comment_of(line)):
                if mark not in rules:
                    findings.append(Finding(place, "unknown-id", f"no list has a rule {mark}"))
                elif is_test:
                    pending.append((place, mark))
                elif path not in rules[mark].code:
                    rules[mark].code.append(path)
            if not pending or line.lstrip().startswith("//"):
                continue
            # A macro's arguments may go on in the next line.
            test = TEST.match(line + " " + (lines[number] if number < len(lines) else ""))
            for mark_place, mark in pending:
                if test is None or test[2].startswith("DISABLED_"):
                    findings.append(Finding(mark_place, "no-test",
                                            f"[{mark}] does not stand directly above a test"))
                else:
                    rules[mark].tests.append(f"{test[1]}.{test[2]}")
            pending = []
        for mark_place, mark in pending:
            findings.append(Finding(mark_place, "no-test",
                                    f"[{mark}] does not stand directly above a test"))


def check_states(documents):
    for document in documents:
        for rule in document.rules:
            excused = rule.not_applicable or rule.not_implemented
            if excused and (rule.code or rule.tests):
                yield Finding(document.file, "excuse",
                              f"{rule.id} is {rule.state}, and yet it has marks")
            elif rule.open and (excused or rule.tests):
                yield Finding(document.file, "excuse",
                              f"{rule.id} is {rule.state}: take out what it says is open")
            elif excused or rule.open:
                continue
            elif rule.level in DUTIES and not rule.tests:
                yield Finding(document.file, "no-test",
                              f"{rule.id}: no test has a mark for this {rule.level}: {rule.text}")
            elif not rule.code and not rule.tests:
                yield Finding(document.file, "no-state",
                              f"{rule.id}: this {rule.level} has neither mark nor reason: "
                              f"{rule.text}")


# ---- the document ------------------------------------------------------------------------------

STATES = ["tested", "implemented", "not implemented", "not applicable", "open"]

INTRODUCTION = """# Compliance

<!-- Made by tests/check/check_compliance.py from lib/mikey/compliance and the marks. -->

What the MIKEY RFCs demand, clause by clause and in our words, and what becomes of it here. An id
like `6043-4.2.1.1-01` names the document, its clause and the statement in it. The same id stands in
brackets beside the code that obeys and above the tests that fail when it does not:
`grep -rn '6043-4.2.1.1-01' lib tests`. The level `rule` is a duty that the text states without a key
word. How the marks work is in [developers.md](developers.md).

- **tested**: the tests named in the row fail when the rule is broken. Every MUST and SHALL that
  applies is tested, or the test run fails.
- **implemented**: there is code for it and no test of its own.
- **not implemented**: a SHOULD or MAY that is not done, with the reason.
- **not applicable**: does not bind this implementation, with the reason.
- **open**: not obeyed yet, or without a test; what is missing stands in the row.
"""


def cell(text):
    return text.replace("|", "\\|")


def table(header, rows):
    yield "| " + " | ".join(header) + " |"
    yield "|" + " --- |" * len(header)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def summary(documents):
    for document in documents:
        for name, levels in (("MUST, SHALL", DUTIES), ("SHOULD, MAY", OPTIONS)):
            rules = [rule for rule in document.rules if rule.level in levels]
            counts = collections.Counter(rule.state for rule in rules)
            yield [document.name, name, str(len(rules))] + [str(counts[state]) for state in STATES]


def row_of(rule):
    reason = rule.not_applicable or rule.not_implemented or ("" if rule.tests else rule.open)
    state = f"{rule.state}: {reason}" if reason else rule.state
    code = ", ".join(f"[{path.rsplit('/', 1)[-1]}](../{path})" for path in sorted(rule.code))
    tests = ", ".join(f"`{name}`" for name in sorted(set(rule.tests)))
    return [rule.id, rule.level, cell(rule.text), cell(state), code, tests]


def compose(documents):
    lines = [INTRODUCTION]
    lines += table(["document", "level", "rules"] + STATES, summary(documents))
    for document in documents:
        lines += ["", f"## {document.name}, {document.title}"]
        for number, title in document.clauses.items():
            lines += ["", f"### {document.name[4:]}-{number} {title}", ""]
            lines += table(["id", "level", "rule", "state", "code", "tests"],
                           map(row_of, document.rules_of(number)))
    return "\n".join(lines) + "\n"


def examine(root):
    """The document as it should be, and the findings."""
    findings = []
    documents = read_lists(root, findings)
    read_marks(root, {rule.id: rule for document in documents for rule in document.rules}, findings)
    findings += check_states(documents)
    return compose(documents), findings


def check(root):
    text, findings = examine(root)
    document = root / DOCUMENT
    if not document.exists() or document.read_text(encoding="utf-8") != text:
        findings.append(Finding(DOCUMENT, "stale",
                                "run tests/check/check_compliance.py --root . and commit the result"))
    return findings


# ---- the texts ---------------------------------------------------------------------------------


def keywords_of_clauses(text):
    """The key words of each clause of an RFC's text, in their order."""
    clauses = {}
    number, body = "", []

    def end_clause():
        found = KEYWORD.findall(" ".join(" ".join(body).split()))
        if found:
            clauses[number] = found

    for line in text.replace("\f", "").splitlines():
        # Feet and heads of pages.
        if re.search(r"\[Page \d+\]$", line) or re.match(r"RFC \d{4} .* \d{4}$", line):
            continue
        heading = re.match(r"(?:Appendix )?([0-9A-Z](?:\d)?(?:\.\d+)*)\.\s+\S", line)
        if heading:
            end_clause()
            number, body = heading[1], []
        body.append(line)
    end_clause()
    return clauses


def compare_with_texts(root, texts):
    findings = []
    for document in read_lists(root, findings):
        name = pathlib.Path(document.file).stem + ".txt"
        found = keywords_of_clauses((texts / name).read_text(encoding="utf-8", errors="replace"))
        for number in list(found) + [clause for clause in document.clauses if clause not in found]:
            listed = [word for rule in document.rules_of(number) for word in rule.keywords]
            if listed != found.get(number, []):
                findings.append(Finding(document.file, "text", f"clause {number} has the key words "
                                        f"{found.get(number, [])}, the list has {listed}"))
    return findings


# ---- the self-test -----------------------------------------------------------------------------

GOOD_LIST = """
[document]
name = "RFC 6043"
title = "Tickets"
[clause."1"]
title = "One"
[rule."6043-1-01"]
level = "MUST"
rule = "Be there."
[rule."6043-1-02"]
level = "SHOULD"
keywords = ["SHOULD", "OPTIONAL"]
rule = "Be fast."
[clause."A.1"]
title = "Appendix"
[rule."6043-A.1-01"]
level = "SHALL NOT"
rule = "Be late."
not_applicable = "nobody waits"
[rule."6043-A.1-02"]
level = "MAY"
rule = "Be early."
not_implemented = "no need"
[rule."6043-A.1-03"]
level = "MUST"
rule = "Be right."
open = "a clock"
"""
GOOD_TREE = {
    "lib/mikey/compliance/rfc6043.toml": GOOD_LIST,
    "lib/mikey/ticket.cc": "int x;  // [6043-1-02]\n",
    "tests/unit/mikey/ticket_test.cc":
        "// MRFC-I5: be there.\n// [6043-1-01] [6043-1-02]\nTEST_F(Ticket,\n       IsThere) {\n}\n",
}
# Each row: what is changed in the good tree, the place and the kind of the finding.
BAD_FILES = [
    ("lib/mikey/compliance/rfc6043.toml",
     GOOD_LIST + '[rule."6043-A.1-05"]\nlevel = "MAY"\nrule = "x"\nnot_implemented = "y"\n', "id"),
    ("lib/mikey/compliance/rfc6043.toml",
     GOOD_LIST + '[rule."6043-7-01"]\nlevel = "MAY"\nrule = "x"\nnot_implemented = "y"\n', "id"),
    ("lib/mikey/compliance/rfc6043.toml", GOOD_LIST.replace("SHOULD", "Should"), "level"),
    ("lib/mikey/compliance/rfc6043.toml", GOOD_LIST.replace("not_applicable", "not_implemented"),
     "level"),
    ("lib/mikey/ticket.cc", "int x;  // [6043-1-03]\n", "unknown-id"),
    ("lib/mikey/ticket.cc", "int x;  // [6043-1-2]\n", "unknown-id"),
    ("lib/mikey/ticket.cc", "int x;  // [6043-A.1-01]\n", "excuse"),
    ("tests/unit/mikey/ticket_test.cc", "", "no-test"),
    ("tests/unit/mikey/ticket_test.cc", "// [6043-1-01]\nint x;\nTEST(Ticket, IsThere) {\n",
     "no-test"),
    ("tests/unit/mikey/ticket_test.cc", "// [6043-1-01]\nTEST(Ticket, DISABLED_IsThere) {\n",
     "no-test"),
    ("tests/unit/mikey/ticket_test.cc", "// [6043-1-01]\n", "no-test"),
    ("lib/mikey/compliance/rfc6043.toml",
     GOOD_LIST.replace('not_implemented = "no need"', ""), "no-state"),
    ("lib/mikey/compliance/rfc6043.toml", GOOD_LIST.replace('open = "a clock"', ""), "no-test"),
    ("tests/unit/mikey/clock_test.cc", "// [6043-A.1-03]\nTEST(Clock, IsRight) {\n", "excuse"),
    ("docs/compliance.md", "# Compliance\n", "stale"),
    ("lib/mikey/late.cc", "int y;  // [6043-1-01]\n", "stale"),
]
GOOD_TEXT = """
RFC 6043                Tickets            March 2011
1.  One
   A ticket MUST be there, and it SHOULD be
   fast (OPTIONAL).
Somebody          Informational          [Page 7]
A.1.  Appendix
   It SHALL
   NOT be late and MAY be early, and it
   MUST be right.
"""


def self_test():
    def in_tree(files, examine_tree):
        with tempfile.TemporaryDirectory() as scratch:
            root = pathlib.Path(scratch)
            for path, text in files.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text)
            return examine_tree(root)

    def document_of(files):
        return in_tree(files, lambda root: examine(root)[0])

    good = {**GOOD_TREE, DOCUMENT: document_of(GOOD_TREE)}
    failures = [f"the good tree has a finding: {found}" for found in in_tree(good, check)]
    for path, text, kind in BAD_FILES:
        findings = in_tree({**good, path: text}, check)
        if not any(found.kind == kind for found in findings):
            failures.append(f"{kind} is not found in {path} with {text!r}")
    row = ("| 6043-1-02 | SHOULD | Be fast. | tested | [ticket.cc](../lib/mikey/ticket.cc) "
           "| `Ticket.IsThere` |")
    if row not in good[DOCUMENT]:
        failures.append(f"the document lacks the row {row}")
    for text, count in ((GOOD_TEXT, 0), (GOOD_TEXT.replace("SHALL", "MAY"), 1),
                        (GOOD_TEXT + "2. Two\n   REQUIRED\n", 1)):
        found = in_tree({**good, "rfc6043.txt": text}, lambda root: compare_with_texts(root, root))
        if len(found) != count:
            failures.append(f"{len(found)} differences to {text!r}, expected {count}")
    for failure in failures:
        print(failure, file=sys.stderr)
    if not failures:
        print(f"check_compliance.py: self-test passed, {len(BAD_FILES)} bad samples")
    return 1 if failures else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=pathlib.Path)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--rfc", type=pathlib.Path)
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    if arguments.self_test:
        return self_test()
    if arguments.root is None:
        parser.error("--root or --self-test")
    if arguments.rfc is not None:
        findings = compare_with_texts(arguments.root, arguments.rfc)
    elif arguments.check:
        findings = check(arguments.root)
    else:
        text, findings = examine(arguments.root)
        (arguments.root / DOCUMENT).write_text(text, encoding="utf-8")
    for finding in findings:
        print(finding)
    print(f"check_compliance.py: {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
