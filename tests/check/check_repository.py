"""Holds the repository against its own rules; each finding is a line `path:line: rule: sentence`.

check_repository.py --root FOLDER [--link-graph FILE]   exit code 1 when there are findings
check_repository.py --self-test                         shows that every rule can fail

The tables below are the machine-readable form of docs/architecture.md.
"""

import argparse
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

# ---- the rooms ---------------------------------------------------------------------------------

# Which rooms each room may include and link. Arrows point one way only: a room that is not named
# here, or a missing arrow, is a finding.
ROOMS = {
    "base": set(),
    "proto": set(),
    "mikey": {"base"},
    "mikey-cli": {"base", "mikey", "sdp"},
    "replay": {"base"},
    "sdp": {"base"},
    "msrp": {"base"},
    "bfcp": {"base"},
    "tlspsk": {"base"},
    "pki": {"base"},
    "service": {"base"},
    "rpc": {"base", "pki", "proto"},
    "kms-server": {"base", "mikey", "replay", "pki", "rpc", "service", "proto"},
    "kms-client": {"base", "mikey", "proto", "rpc"},
    "kmsctl": {"base", "mikey", "proto", "rpc", "kms-client", "service"},
    "mrfc-agent": {"base", "kms-client", "mikey", "replay", "sdp", "rpc", "service", "proto"},
    "mrfp-agent": {"base", "tlspsk", "msrp", "bfcp", "rpc", "service", "proto"},
    "ue-agent": {"base", "kms-client", "mikey", "replay", "sdp", "tlspsk", "msrp", "service"},
}
# Rooms and daemons that must not reach these, however long the way through other targets is.
NEVER_REACH = {
    "mrfp-agent": {"mikey", "replay", "kms-client", "kms-server"},
    "kms-client": {"kms-server", "service"},
    "kmsctl": {"kms-server"},
    "mrfc-agent": {"kms-server", "tlspsk", "msrp"},
    "ue-agent": {"kms-server"},
}
GRPC_FREE = {"base", "mikey", "mikey-cli", "replay", "sdp", "msrp", "bfcp", "tlspsk", "pki",
             "service"}

DAEMON_FOLDERS = {"kms-server", "kms-client", "mrfc-agent", "mrfp-agent", "ue-agent"}


def room_of(path):
    """The room of a file or folder (relative, with /); None outside the rooms."""
    parts = path.split("/")
    if parts[0] == "lib" and len(parts) > 1:
        return "mikey-cli" if parts[1:3] == ["mikey", "cli"] else parts[1]
    if parts[0] == "kms-client" and len(parts) > 1 and parts[1].startswith("kmsctl"):
        return "kmsctl"
    if parts[0] in DAEMON_FOLDERS or parts[0] == "proto":
        return parts[0]
    return None


# ---- what comes from outside -------------------------------------------------------------------

ALL = set(ROOMS)

# Header prefix, who may include it, and why the others may not.
FOREIGN_HEADERS = [
    (r"openssl/(ssl|tls1|ssl3|dtls1|sslerr)\.h", {"tlspsk"}, "libssl lives in lib/tlspsk"),
    (r"openssl/", {"base", "mikey", "tlspsk", "pki", "service", "rpc", "kms-server"},
     "libcrypto is for the rooms that do cryptography"),
    (r"p11-kit/", {"kms-server"}, "PKCS #11 lives in kms-server"),
    (r"sqlite3\.h", {"kms-server"}, "SQLite lives in kms-server"),
    (r"(spdlog|toml\+\+|prometheus)/", {"service"}, "lib/service stands in front of it"),
    (r"civetweb\.h", {"service"}, "lib/service stands in front of it"),
    (r"CLI/", {"service", "mikey-cli"}, "lib/service stands in front of it"),
    (r"(fmt|nlohmann)/", ALL - {"base", "mikey"}, "base and mikey stand on the standard library"),
    (r"(grpc|grpcpp|grpc\+\+)/", ALL - GRPC_FREE - {"proto"}, "this room is free of gRPC"),
    (r"google/protobuf/", ALL - GRPC_FREE - {"proto"}, "this room is free of protobuf"),
    (r"absl/synchronization/mutex\.h", {"rpc"}, "how gRPC locks is a matter of lib/rpc"),
    (r"absl/(?!synchronization/mutex\.h)", set(),
     "Debian builds Abseil with a string_view of its own"),
    (r"sys/(socket|epoll|un|eventfd)\.h|netinet/|netdb\.h|poll\.h",
     {"service", "rpc", "kms-server", "mrfp-agent", "ue-agent", "mrfc-agent"},
     "sockets belong to the daemons, lib/service and lib/rpc"),
]

# CMake target that comes from outside, and who may link it.
FOREIGN_LINKS = [
    (r"OpenSSL::SSL", {"tlspsk"}),
    (r"OpenSSL::Crypto",
     {"base", "mikey", "tlspsk", "pki", "service", "rpc", "kms-server"}),
    (r"SQLite::SQLite3|sqlite3|PkgConfig::SQLITE3?", {"kms-server"}),
    (r"spdlog::.*|tomlplusplus::.*|prometheus-cpp::.*|civetweb::.*|PkgConfig::TOMLPLUSPLUS", {"service"}),
    (r"CLI11::CLI11", {"service", "mikey-cli"}),
    (r"fmt::.*|nlohmann_json::.*", ALL - {"base", "mikey"}),
    (r"gRPC::.*|protobuf::.*", {"proto", "rpc", "kms-server", "kms-client", "kmsctl", "mrfc-agent",
                                "mrfp-agent", "ue-agent"}),
    (r"dl", {"kms-server"}),
    (r"PkgConfig::JEMALLOC", {"kms-server"}),
    (r"absl::synchronization", {"rpc"}),
    (r"Threads::Threads", ALL),
]

# gRPC's headers cost seconds per file: only where calls are made or served.
GRPC_HEADER_FILES = re.compile(
    r"^lib/rpc/|^kms-client/.*\.cc$|_service\.(cc|h)$|_client\.(cc|h)$|(^|/)main\.cc$")
GRPC_INCLUDE = re.compile(r"^(grpc|grpcpp|grpc\+\+)/|\.grpc\.pb\.h$")

# Words that a line of C++ in the rooms must not hold: pattern, files it is allowed in, sentence.
BANNED_CODE = [
    (r"\b(Short|Utf8)?DebugString\s*\(", None, "prints secrets; take the fields one by one"),
    (r"\bstd::(cout|cerr|clog)\b", r"(^|/)main\.cc$|^kms-client/kmsctl|^lib/mikey/(cli|examples)/",
     "rooms do not print; return the text or log it"),
    (r"\b(system_clock|high_resolution_clock)::now\b|\bgettimeofday\b|\bclock_gettime\b|"
     r"\bstd::time\s*\(",
     r"^lib/base/clock\.(h|cc)$|^lib/(rpc|service)/|(^|/)main\.cc$",
     "the clock is handed in (base/clock.h)"),
    # The daemons may measure how long something takes; the rooms below them may not.
    (r"\bsteady_clock::now\b", r"^lib/(base/clock\.|rpc/|service/)|^(?!lib/)",
     "the clock is handed in (base/clock.h)"),
    (r"\bRAND_(priv_)?bytes\b|\bstd::random_device\b|\bstd::mt19937", r"^lib/base/random\.cc$",
     "randomness is handed in (base/random.h)"),
    (r"\bTRY\(", r"\.cc$|^(?!lib/(base|mikey)/)|^lib/base/error\.h$|^lib/mikey/(cli|examples)/",
     "this header is installed, and macros of other projects have no namespace: KEYSTUB_TRY"),
    (r"\b(TODO|FIXME|XXX)\b", None, "finish it, or write an issue"),
    (r"\busing namespace std\s*;", None, "name what you use"),
]

SECRET_FIELD = re.compile(
    r"^\s*(?:repeated\s+|optional\s+)?(?:bytes|string)\s+"
    r"((?:\w+_)?(?:psk|tpk|kek|tek|tgk|gtgk|mpk|key|secret|password|passphrase))\s*=\s*\d+\s*"
    r"(\[[^\]]*\])?\s*;")

# Paths of one machine: the repository stands alone. Cut in two, or this file would hold them.
MACHINE_PATHS = re.compile("(?<![\\w.$}])/wo" + "rk/|\\.\\./sha" + "red|/ro" + "ot/|/ho" + "me/\\w")

SKIPPED_FOLDERS = {".git", "build", "__pycache__", "node_modules"}
TEXT_SUFFIXES = {
    ".cc", ".h", ".py", ".sh", ".md", ".txt", ".cmake", ".json", ".proto", ".toml", ".yaml",
    ".yml", ".sql", "", ".in", ".service", ".conf", ".lua",
}


@dataclasses.dataclass(frozen=True)
class Finding:
    path: str
    line: int
    rule: str
    text: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.rule}: {self.text}"


class Repository:
    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.files = sorted(self._walk())

    def _walk(self):
        for folder, folders, names in os.walk(self.root):
            folders[:] = [name for name in folders if name not in SKIPPED_FOLDERS]
            for name in names:
                yield (pathlib.Path(folder) / name).relative_to(self.root).as_posix()

    def text(self, path):
        try:
            return (self.root / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            return None  # binary: a corpus input, a capture


def is_cpp(path):
    return path.endswith((".cc", ".h"))


def strip_comment(line):
    """A line of C++ without its // comment and without the insides of its string literals."""
    line = re.sub(r'"(?:[^"\\]|\\.)*"', '""', line)
    return line.split("//", 1)[0]


# ---- the rules ---------------------------------------------------------------------------------


def included_room(header):
    """The room that a quoted, rooted include names; None for anything else."""
    if header.endswith(".pb.h"):
        return "proto"
    first = header.split("/", 1)[0]
    if "/" not in header:
        return None
    if first == "mikey" and header.startswith("mikey/cli/"):
        return "mikey-cli"
    if first == "kms-client" and header.startswith("kms-client/kmsctl"):
        return "kmsctl"
    return first if first in ROOMS else None


def check_includes(repository):
    for path in filter(is_cpp, repository.files):
        room = room_of(path)
        if room is None:
            continue
        if room not in ROOMS:
            yield Finding(path, 1, "rooms", f"room '{room}' is not in the table of ROOMS")
            continue
        for number, line in enumerate((repository.text(path) or "").splitlines(), 1):
            match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
            if not match:
                continue
            quoted, header = match[1] == '"', match[2]
            if GRPC_INCLUDE.search(header) and room not in GRPC_FREE and (
                    not GRPC_HEADER_FILES.search(path)):
                yield Finding(path, number, "grpc-headers",
                              f"{header}: only in lib/rpc, *_service, *_client and main.cc")
            if quoted or header.endswith(".pb.h"):
                target = included_room(header)
                if target is None:
                    yield Finding(path, number, "rooted-includes",
                                  f'"{header}" does not start with a room: write "room/file.h"')
                elif target != room and target not in ROOMS[room]:
                    yield Finding(path, number, "rooms", f"{room} may not include {target}")
                continue
            for pattern, allowed, why in FOREIGN_HEADERS:
                if re.match(pattern, header):
                    if room not in allowed:
                        yield Finding(path, number, "foreign-headers",
                                      f"<{header}> in {room}: {why}")
                    break


def check_link_graph(repository, lines):
    """The graph that CMake writes: `NAME TYPE FOLDER LINK;LINK`."""
    room_of_target, links_of = {}, {}
    for line in lines:
        name, _, folder, links = (line.rstrip("\n").split(" ", 3) + [""])[:4]
        room = "kmsctl" if name.startswith("kmsctl") or name.startswith("keystub-kmsctl") else (
            room_of(folder + "/"))
        room_of_target[name] = room
        links_of[name] = [link for link in links.split(";") if link not in ("", "keystub-options")]

    def finding(name, text):
        return Finding("build/link-graph.txt", 1, "link-graph", f"target {name}: {text}")

    if "keystub-base" not in links_of:
        yield finding("keystub-base", "is missing: is this the graph of a configured build?")
    for name, links in links_of.items():
        room = room_of_target[name]
        if room is None:
            continue
        if room not in ROOMS:
            yield finding(name, f"room '{room}' is not in the table of ROOMS")
            continue
        for link in links:
            if link in room_of_target:
                target = room_of_target[link]
                if target is None:
                    yield finding(name, f"links {link}, which belongs to no room")
                elif target != room and target not in ROOMS[room]:
                    yield finding(name, f"{room} may not link {target} ({link})")
            else:
                for pattern, allowed in FOREIGN_LINKS:
                    if re.fullmatch(pattern, link):
                        if room not in allowed:
                            yield finding(name, f"{room} may not link {link}")
                        break
                else:
                    yield finding(name, f"links {link}, which FOREIGN_LINKS does not know")

    def reach(name):
        seen, todo = set(), [name]
        while todo:
            current = todo.pop()
            if current not in seen:
                seen.add(current)
                todo += links_of.get(current, [])
        return seen

    for name in links_of:
        room = room_of_target[name]
        reached = reach(name) - {name}
        # The test binary of a gRPC-free room stays free of it too.
        unit_room = name[len("unit-"):] if name.startswith("unit-") else None
        if room in GRPC_FREE or unit_room in GRPC_FREE:
            for link in sorted(reached):
                if re.match(r"gRPC::|protobuf::", link) or room_of_target.get(link) == "proto":
                    yield finding(name, f"reaches {link}, and has to stay free of gRPC")
        for link in sorted(reached):
            if room_of_target.get(link) in NEVER_REACH.get(room, set()):
                yield finding(name, f"reaches {link}, which {room} must never know")


def check_code(repository):
    for path in filter(is_cpp, repository.files):
        text = repository.text(path)
        if text is None:
            yield Finding(path, 1, "encoding", "is not UTF-8")
            continue
        lines = text.splitlines()
        # A header is the manual of the .cc beside it.
        has_header = path.endswith(".cc") and path[:-2] + "h" in repository.files
        if not has_header and not (lines and lines[0].startswith("//")):
            yield Finding(path, 1, "first-line", "open with a comment that says what the file is for")
        if path.endswith(".h") and "#pragma once" not in lines:
            yield Finding(path, 1, "pragma-once", "a header has #pragma once")
        in_room = room_of(path) is not None
        for number, line in enumerate(lines, 1):
            code = strip_comment(line)
            for pattern, exempt, why in BANNED_CODE:
                unfinished = "TODO" in pattern
                # Tests may ask the time and print; they may not leave work or print messages.
                if not in_room and not unfinished and "DebugString" not in pattern:
                    continue
                match = re.search(pattern, line if unfinished else code)
                if match and not (exempt and re.search(exempt, path)):
                    yield Finding(path, number, "banned", f"{match[0]}: {why}")
        for number in try_behind_a_member(text):
            yield Finding(path, number, "try-in-braces",
                          "GCC 12 leaks the members before a TRY that returns: name its value first")


# The word or sign before an opening brace that begins a block; before any other it is an initializer.
BLOCK_OPENER = re.compile(
    r"([;{}):]|\b(else|do|try|const|noexcept|override|final|mutable)|\)\s*->\s*[\w:<>,\s*&]+"
    r"|\b(namespace|struct|class|enum|union|extern)\b[^;{}()=]*)$")


def try_behind_a_member(text):
    """Lines where a TRY stands in a braced initializer behind another member."""
    # Comments, texts and preprocessor lines give way to spaces, so that line numbers stay.
    code = re.sub(r'//[^\n]*|"(\\.|[^"\\\n])*"|\'(\\.|[^\'\\\n])\'|^[ \t]*#(.*\\\n)*.*',
                  lambda match: re.sub(r"[^\n]", " ", match[0]), text, flags=re.MULTILINE)
    open_signs = []  # and for each the members behind us; None outside of initializers
    for match in re.finditer(r"[{}()\[\],]|\b(KEYSTUB_)?TRY\(", code):
        sign = match[0]
        if sign == "{":
            before = code[max(0, match.start() - 300):match.start()].rstrip()
            open_signs.append(["{", None if not before or BLOCK_OPENER.search(before) else 0])
        elif sign in "([":
            open_signs.append([sign, None])
        elif sign in "})]":
            if open_signs:
                open_signs.pop()
        elif sign == ",":
            if open_signs and open_signs[-1][1] is not None:
                open_signs[-1][1] += 1
        else:
            for opened, members in reversed(open_signs):
                if opened == "{" and members is None:
                    break
                if members:
                    yield code.count("\n", 0, match.start()) + 1
                    break
            open_signs.append(["(", None])


def check_protos(repository):
    for path in repository.files:
        if not path.startswith("proto/keystub/") or not path.endswith(".proto"):
            continue
        for number, line in enumerate((repository.text(path) or "").splitlines(), 1):
            match = SECRET_FIELD.match(line)
            if match and not re.search(r"\(\s*(keystub\.v1\.)?secret\s*\)\s*=\s*true",
                                       match[2] or ""):
                yield Finding(path, number, "secret-field",
                              f"{match[1]} carries a key: mark it [(secret) = true]")


def check_stands_alone(repository):
    for path in repository.files:
        if pathlib.PurePosixPath(path).suffix not in TEXT_SUFFIXES or path.startswith(
                "tests/fuzz/corpus/"):
            continue
        for number, line in enumerate((repository.text(path) or "").splitlines(), 1):
            match = MACHINE_PATHS.search(line)
            if match:
                yield Finding(path, number, "stands-alone", f"names '{match[0]}' of one machine")


def check_documents(repository):
    files = set(repository.files)
    folders = {parent.as_posix() for path in files for parent in pathlib.PurePosixPath(path).parents}
    for path in files:
        if not path.endswith(".md"):
            continue
        for number, line in enumerate((repository.text(path) or "").splitlines(), 1):
            for target in re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", line):
                if re.match(r"[a-z]+:", target):
                    continue
                full = os.path.normpath((pathlib.PurePosixPath(path).parent / target).as_posix())
                if full not in files and full not in folders:
                    yield Finding(path, number, "dead-link", f"{target} does not exist")


# The manual of a library shows the code of its examples, and no other.
MANUALS = {"docs/mikey-library.md": "lib/mikey/examples/"}


def check_snippets(repository):
    """Each ```cpp and ```cmake block of a manual is a run of lines of one example."""
    for path, folder in MANUALS.items():
        if path not in repository.files:
            continue
        examples = []
        for example in repository.files:
            if example.startswith(folder):
                lines = (repository.text(example) or "").splitlines()
                examples.append("\n".join(["", *map(str.strip, lines), ""]))
        text = repository.text(path)
        for block in re.finditer(r"^```(?:cpp|cmake)\n(.*?)^```$", text, re.M | re.S):
            snippet = "\n".join(["", *map(str.strip, block[1].splitlines()), ""])
            if not any(snippet in example for example in examples):
                yield Finding(path, text[:block.start()].count("\n") + 1, "snippet",
                              f"no file of {folder} has these lines, one after the other")


def check_rooms_table(repository):
    """The table of docs/architecture.md says what ROOMS says; base goes without saying."""
    path = "docs/architecture.md"
    if path not in repository.files:
        return
    documented = {}
    for number, line in enumerate(repository.text(path).splitlines(), 1):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        match = re.match(r"`([\w/-]+)`", cells[0])
        if not match or len(cells) != 4:
            continue
        room = match[1] if match[1] in ROOMS else room_of(match[1] + "/")
        documented[room] = number
        known = set(re.findall(r"[\w-]+", cells[2])) - {"base"}
        if room not in ROOMS:
            yield Finding(path, number, "rooms-table", f"'{room}' is not in ROOMS")
        elif known != ROOMS[room] - {"base"}:
            yield Finding(path, number, "rooms-table",
                          f"{room} knows {sorted(ROOMS[room] - {'base'})}, not {sorted(known)}")
    for room in sorted(ROOMS.keys() - documented.keys()):
        yield Finding(path, 1, "rooms-table", f"has no row for {room}")


def check_shell(repository):
    tool = shutil.which("shellcheck")
    if tool is None:
        return
    for path in repository.files:
        text = repository.text(path) or ""
        if not re.match(r"#!(/usr)?/bin/(env )?(ba|da)?sh\b", text):
            continue
        if not os.access(repository.root / path, os.X_OK):
            yield Finding(path, 1, "executable", "a script with a #! line is executable")
        result = subprocess.run([tool, "-f", "gcc", path], cwd=repository.root, text=True,
                                stdout=subprocess.PIPE, check=False)
        for line in result.stdout.splitlines():
            match = re.match(r"[^:]+:(\d+):\d+: (.*)", line)
            if match:
                yield Finding(path, int(match[1]), "shellcheck", match[2])


def check_all(root, link_graph=None):
    repository = Repository(root)
    findings = []
    for check in (check_includes, check_code, check_protos, check_stands_alone, check_documents,
                  check_snippets, check_rooms_table, check_shell):
        findings += check(repository)
    if link_graph is not None:
        findings += check_link_graph(repository, link_graph)
    return findings


# ---- the self-test -----------------------------------------------------------------------------

GOOD_TREE = {
    "lib/base/secret.h": "// Secrets.\n#pragma once\n#include <openssl/crypto.h>\n",
    "lib/base/clock.h": "// Time.\n#pragma once\nauto t = std::chrono::steady_clock::now();\n",
    "lib/mikey/message.cc": '// Messages.\n#include "base/secret.h"\n#include "mikey/message.h"\n',
    "lib/mikey/cli/main.cc": '// A tool.\n#include "sdp/reader.h"\n#include <CLI/CLI.hpp>\n',
    "lib/sdp/reader.cc":
        "// Reads.\nResult<P> f() {\n  auto g = [a, b]() -> Result<int> { return TRY(h(a, b)); };\n"
        "  return P{TRY(g()), a, \"{,\"};  // {a, TRY(b)}\n}\n",
    "lib/tlspsk/engine.cc": "// TLS.\n#include <openssl/ssl.h>\n",
    "kms-server/ticket_service.cc":
        '// A service.\n#include <grpcpp/grpcpp.h>\n#include "keystub/v1/x.grpc.pb.h"\n'
        '#include "kms-server/audit.h"\n#include <sqlite3.h>\n',
    "kms-client/kmsctl/main.cc": '// kmsctl.\n#include "service/log.h"\n',
    "proto/keystub/v1/x.proto":
        "bytes psk = 1 [(secret) = true];\nstring psk_id = 2;\nrepeated bytes psk_ids = 3;\n",
    "run": "#!/usr/bin/env bash\necho fine\n",
    "README.md": "[rooms](lib/base) and [elsewhere](https://example.com)\n",
    "lib/mikey/examples/hello.cc": "// Hello.\nint main() {\n  hello();\n  return 0;\n}\n",
    "docs/mikey-library.md": "```cpp\nhello();\nreturn 0;\n```\n\n```sh\nls\n```\n",
}
GOOD_GRAPH = [
    "keystub-options INTERFACE_LIBRARY  ",
    "keystub-base STATIC_LIBRARY lib/base OpenSSL::Crypto;keystub-options",
    "keystub-mikey STATIC_LIBRARY lib/mikey keystub-base",
    "keystub-rpc STATIC_LIBRARY lib/rpc keystub-base;keystub-proto",
    "keystub-proto STATIC_LIBRARY proto gRPC::grpc++;protobuf::libprotobuf",
    "keystub-kms-client STATIC_LIBRARY kms-client keystub-rpc;keystub-mikey",
    "kmsctl EXECUTABLE kms-client keystub-kms-client;keystub-service",
    "keystub-service STATIC_LIBRARY lib/service keystub-base;spdlog::spdlog",
    "unit-mikey EXECUTABLE tests/unit/mikey keystub-mikey;GTest::gtest_main",
]

# Each row: what is changed in the good tree, and the rule that has to find it.
BAD_FILES = [
    ("lib/base/bad.h", '// B.\n#pragma once\n#include "mikey/message.h"\n', "rooms"),
    ("lib/mikey/bad.cc", '// B.\n#include "replay/window.h"\n', "rooms"),
    ("lib/mikey/bad.cc", '// B.\n#include "keystub/v1/x.pb.h"\n', "rooms"),
    ("lib/unknown/bad.cc", "// B.\n", "rooms"),
    ("kms-client/bad.cc", '// B.\n#include "service/log.h"\n', "rooms"),
    ("kms-server/bad.cc", '// B.\n#include "kms-client/client.h"\n', "rooms"),
    ("mrfp-agent/bad.cc", '// B.\n#include "mikey/message.h"\n', "rooms"),
    ("mrfp-agent/bad.cc", '// B.\n#include "kms-client/client.h"\n', "rooms"),
    ("lib/sdp/bad.cc", '// B.\n#include "reader.h"\n', "rooted-includes"),
    ("lib/sdp/bad.cc", '// B.\n#include "../base/secret.h"\n', "rooted-includes"),
    ("kms-server/bad.cc", "// B.\n#include <openssl/ssl.h>\n", "foreign-headers"),
    ("mrfc-agent/bad.cc", "// B.\n#include <sqlite3.h>\n", "foreign-headers"),
    ("lib/mikey/bad.cc", "// B.\n#include <fmt/format.h>\n", "foreign-headers"),
    ("lib/mikey/bad.cc", "// B.\n#include <sys/socket.h>\n", "foreign-headers"),
    ("lib/service/bad.cc", "// B.\n#include <grpcpp/grpcpp.h>\n", "foreign-headers"),
    ("lib/rpc/bad.h", "// B.\n#pragma once\n#include <absl/strings/cord.h>\n", "foreign-headers"),
    ("kms-server/bad.cc", "// B.\n#include <spdlog/spdlog.h>\n", "foreign-headers"),
    ("kms-server/handler.cc", "// B.\n#include <grpcpp/grpcpp.h>\n", "grpc-headers"),
    ("mrfc-agent/offer.h", '// B.\n#pragma once\n#include "keystub/v1/x.grpc.pb.h"\n',
     "grpc-headers"),
    ("lib/mikey/bad.cc", "// B.\nauto t = std::chrono::system_clock::now();\n", "banned"),
    ("lib/sdp/bad.cc", "// B.\nauto t = std::chrono::steady_clock::now();\n", "banned"),
    ("kms-server/bad.cc", "// B.\nauto t = system_clock::now();\n", "banned"),
    ("lib/mikey/bad.cc", "// B.\nRAND_bytes(p, 4);\n", "banned"),
    ("lib/sdp/bad.cc", "// B.\nstd::cout << 1;\n", "banned"),
    ("kms-server/bad.cc", "// B.\nlog(m.Short" + "DebugString());\n", "banned"),
    ("tests/unit/bad.cc", "// B.\nlog(m." + "DebugString());\n", "banned"),
    ("lib/sdp/bad.cc", "// B.\n// TO" + "DO: finish\n", "banned"),
    ("lib/mikey/bad.h", "// B.\n#pragma once\nauto x = TRY(f());\n", "banned"),
    ("lib/sdp/bad.cc", "// B.\nResult<P> f() { return P{a(), TRY(b())}; }\n", "try-in-braces"),
    ("lib/sdp/bad.cc", "// B.\nResult<P> f() {\n  const P p = {.a = a(),\n    .b = g(TRY(b()))};\n}\n",
     "try-in-braces"),
    ("lib/sdp/bad.cc", "// B.\nauto f() -> Result<P> {\n  h({a, {TRY(b())}});\n}\n",
     "try-in-braces"),
    ("tests/bad.cc", "// B.\nResult<P> f() {\n  P p{a, [] { return 1; }, TRY(b())};\n}\n",
     "try-in-braces"),
    ("lib/sdp/bad.cc", "int x;\n", "first-line"),
    ("lib/sdp/bad.h", "// B.\nint x;\n", "pragma-once"),
    ("proto/keystub/v1/bad.proto", "bytes psk = 4;\n", "secret-field"),
    ("proto/keystub/v1/bad.proto", "  repeated bytes shared_tpk = 4 [deprecated = true];\n",
     "secret-field"),
    ("proto/keystub/v1/bad.proto", "string private_key = 4;\n", "secret-field"),
    ("docs/bad.md", "see /wo" + "rk/main\n", "stands-alone"),
    ("docs/bad.md", "see ../sha" + "red/design\n", "stands-alone"),
    ("docs/bad.md", "[gone](nowhere.md)\n", "dead-link"),
    ("docs/mikey-library.md", "```cpp\nhello(1);\n```\n", "snippet"),
    ("docs/mikey-library.md", "```cpp\nint main() {\nreturn 0;\n```\n", "snippet"),
    ("docs/architecture.md", "| `lib/sdp` | `keystub-sdp` | mikey | |\n", "rooms-table"),
    ("docs/architecture.md", "| `lib/sdp` | `keystub-sdp` | base | |\n", "rooms-table"),
    ("deploy/bad.sh", "#!/bin/bash\nrm -rf $1\n", "shellcheck"),
]
BAD_GRAPHS = [
    "keystub-mikey2 STATIC_LIBRARY lib/mikey keystub-rpc",
    "keystub-sdp STATIC_LIBRARY lib/sdp OpenSSL::Crypto",
    "keystub-sdp STATIC_LIBRARY lib/sdp gRPC::grpc++",
    "keystub-sdp STATIC_LIBRARY lib/sdp somelib",
    "keystub-kms STATIC_LIBRARY kms-server OpenSSL::SSL",
    "mrfp-agent EXECUTABLE mrfp-agent keystub-mikey",
    "keystub-client2 STATIC_LIBRARY kms-client keystub-service",
    "keystub-what STATIC_LIBRARY lib/what keystub-base",
    "unit-sdp EXECUTABLE tests/unit/sdp keystub-rpc",
]


def self_test():
    def findings_of(files, graph):
        with tempfile.TemporaryDirectory() as scratch:
            for path, text in files.items():
                file = pathlib.Path(scratch) / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
                if text.startswith("#!"):
                    file.chmod(0o755)
            return check_all(scratch, graph)

    failures = []
    findings = findings_of(GOOD_TREE, GOOD_GRAPH)
    if findings:
        failures.append("the good tree has findings:\n  " + "\n  ".join(map(str, findings)))
    for path, text, rule in BAD_FILES:
        if rule == "shellcheck" and shutil.which("shellcheck") is None:
            continue
        findings = findings_of({**GOOD_TREE, path: text}, GOOD_GRAPH)
        if not any(found.path == path and found.rule == rule for found in findings):
            failures.append(f"{rule} does not find {text!r} in {path}")
    for line in BAD_GRAPHS:
        findings = findings_of(GOOD_TREE, GOOD_GRAPH + [line])
        if not any(found.rule == "link-graph" and line.split()[0] in found.text
                   for found in findings):
            failures.append(f"link-graph does not find '{line}'")
    if not any(found.rule == "link-graph" for found in findings_of(GOOD_TREE, [])):
        failures.append("link-graph accepts an empty graph")
    for failure in failures:
        print(failure, file=sys.stderr)
    if not failures:
        print(f"check_repository.py: self-test passed, {len(BAD_FILES) + len(BAD_GRAPHS)} bad samples")
    return 1 if failures else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root")
    parser.add_argument("--link-graph")
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    if arguments.self_test:
        return self_test()
    if arguments.root is None:
        parser.error("--root or --self-test")
    graph = None
    if arguments.link_graph:
        graph = pathlib.Path(arguments.link_graph).read_text(encoding="utf-8").splitlines()
    findings = check_all(arguments.root, graph)
    for finding in findings:
        print(finding)
    print(f"check_repository.py: {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
