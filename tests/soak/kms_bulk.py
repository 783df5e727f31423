#!/usr/bin/python3
"""A million identities into a KMS in one go: how long it takes, and that memory stays bounded.

Makes a CSV file of users with a key each (in the order of their URIs, or shuffled, which is harder for
the database's indexes), imports it with kmsctl into a new KMS, exports it again, and looks at the
memory of both programs all the while. The import has to end in memory that does not depend on how
many identities there are.

kms_bulk.py [--identities N] [--shuffle]: prints figures; exit code 0 only if all identities are there
and neither program took more memory than it may.
"""

import argparse
import base64
import json
import pathlib
import random
import sys
import tempfile
import threading
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "integration")]
sys.dont_write_bytecode = True

import house  # noqa: E402
import processes  # noqa: E402

MOST_MIB = {"kmsctl": 64, "kms-server": 128}
HOURS = 3600


def rss_anon_mib(pid):
    """Of a running process, now; 0 when it has ended."""
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0


class MemoryWatch:
    """The largest RssAnon of some processes while it is entered, looked at ten times a second."""

    def __init__(self, **pids):
        self.pids = pids
        self.peak = dict.fromkeys(pids, 0)
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._watch)

    def _watch(self):
        while not self.stopped.wait(0.1):
            for name, pid in self.pids.items():
                self.peak[name] = max(self.peak[name], rss_anon_mib(pid))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()


def write_users(path, count, shuffle):
    rng = random.Random(1)
    order = list(range(count))
    if shuffle:
        rng.shuffle(order)
    path.touch(mode=0o600)
    with open(path, "w") as file:
        file.write("uri,psks\n")
        for number in order:
            key = base64.b64encode(rng.randbytes(32)).decode()
            file.write(f"sip:user{number:08}@example.com,{key}\n")


def run_kmsctl(kms, folder, name, *arguments):
    """kmsctl to its end: (its JSON, seconds, its largest memory, the KMS's)."""
    begin = time.monotonic()
    process = processes.Process(folder, name, "kmsctl", "--socket", kms.admin_socket, "--output",
                                "json", "identity", *arguments)
    with MemoryWatch(kmsctl=process.pid, kms=kms.daemon.pid) as memory:
        code = process.wait(HOURS)
    seconds = time.monotonic() - begin
    if code != 0:
        raise processes.Failure(f"kmsctl {name} ended with {code}\n{process.log()}")
    return json.loads(process.output()), seconds, memory.peak["kmsctl"], memory.peak["kms"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--identities", type=int, default=1_000_000)
    parser.add_argument("--shuffle", action="store_true", help="URIs in no order")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="keystub-soak-") as name:
        folder = pathlib.Path(name)
        users, export = folder / "users.csv", folder / "export.csv"
        write_users(users, options.identities, options.shuffle)
        kms = house.Kms(folder / "kms", identity="sip:kms@example.com")
        try:
            before = rss_anon_mib(kms.daemon.pid)
            done, import_s, import_ctl, import_kms = run_kmsctl(kms, folder, "import", "import",
                                                                users)
            again, again_s, _, _ = run_kmsctl(kms, folder, "again", "import", users)
            _, export_s, export_ctl, export_kms = run_kmsctl(kms, folder, "export", "export",
                                                             "--file", export)
        finally:
            kms.stop()
        with open(export) as file:
            exported = sum(1 for _ in file) - 1
        octets = (kms.data / "kms.db").stat().st_size
    print(f"figure soak.kms_bulk.identities {done['created']}\n"
          f"figure soak.kms_bulk.import_s {import_s:.1f}\n"
          f"figure soak.kms_bulk.import_per_s {options.identities / import_s:.0f}\n"
          f"figure soak.kms_bulk.import_kmsctl_rss_anon_mib {import_ctl:.1f}\n"
          f"figure soak.kms_bulk.import_kms_rss_anon_mib {import_kms:.1f} (before: {before:.1f})\n"
          f"figure soak.kms_bulk.import_again_s {again_s:.1f}\n"
          f"figure soak.kms_bulk.export_s {export_s:.1f}\n"
          f"figure soak.kms_bulk.export_kmsctl_rss_anon_mib {export_ctl:.1f}\n"
          f"figure soak.kms_bulk.export_kms_rss_anon_mib {export_kms:.1f}\n"
          f"figure soak.kms_bulk.database_mib {octets / 2**20:.0f}", flush=True)
    faults = []
    if (done["created"], again["done_before"], exported) != (options.identities,) * 3:
        faults.append("not every identity is there")
    if max(import_ctl, export_ctl) > MOST_MIB["kmsctl"]:
        faults.append(f"kmsctl took more than {MOST_MIB['kmsctl']} MiB")
    if max(import_kms, export_kms) > MOST_MIB["kms-server"]:
        faults.append(f"kms-server took more than {MOST_MIB['kms-server']} MiB")
    if faults:
        sys.exit("kms bulk: " + "; ".join(faults))


if __name__ == "__main__":
    main()
