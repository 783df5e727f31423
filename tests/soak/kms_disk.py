#!/usr/bin/python3
"""A KMS on a disk that fills up again and again, or is read-only: clear refusals, nothing lost.

The data folder lies on a small tmpfs of its own. Each round fills the disk under load, waits until the
KMS has refused and reports NOT_SERVING, makes room, and expects it to serve again without anybody's
help; every acknowledged write is there, the audit chain is whole, and every ticket that was answered
stands in it. A tmpfs cannot turn read-only under a process that writes, so a read-only disk is met at
the start; tests/unit/kms/disk_fault_test.cc breaks the disk under SQLite in the other ways. Needs the
right to mount (root).

kms_disk.py [--rounds N] [--seed S]: prints figures; exit code 0 only if every round was clean.
"""

import argparse
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "integration"), str(TESTS / "interop/kms"), str(TESTS / "soak")]
sys.dont_write_bytecode = True

import grpc  # noqa: E402
import house  # noqa: E402
import kms_crash  # noqa: E402
import processes  # noqa: E402
import ticket_port  # noqa: E402

DISK_SIZE = "128m"  # the replay window takes 32 of them
PATIENCE = 20  # seconds
# What a KMS says while its disk is broken.
REFUSALS = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)


def can_mount():
    """Whether a tmpfs may be mounted here, shown by doing it."""
    if os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory(prefix="keystub-mount-") as folder:
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder],
                          capture_output=True, check=False).returncode != 0:
            return False
        return subprocess.run(["umount", folder], check=False).returncode == 0


class DiskRun:
    """The KMS on its disk, its load, and the rounds. close() ends what runs and unmounts."""

    def __init__(self, folder, seed):
        self.folder = pathlib.Path(folder)
        self.disk = self.folder / "disk"
        self.disk.mkdir(parents=True)
        self.kms = None
        self.filler = self.disk / "filler"
        rng = random.Random(seed)
        stub_folder = self.folder / "stubs"
        stub_folder.mkdir()
        self.stubs = ticket_port.Stubs(stub_folder)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_SIZE},mode=700", "tmpfs",
                        self.disk], check=True)
        try:
            self._begin(rng)
        except BaseException:
            self.close()
            raise

    def _begin(self, rng):
        self.kms = house.Kms(self.disk / "kms", identity=kms_crash.KMS)
        # The process's own files must not fail with the disk.
        self.kms.stop()
        text = self.kms.config.read_text()
        self.socket = self.folder / "admin.sock"
        self.kms.config.write_text(
            text.replace('unix_socket = "admin.sock"', f'unix_socket = "{self.socket}"')
            + '\n[health]\ninterval = "100ms"\n')
        self.kms.admin_socket = self.socket
        self._start()
        psk = os.urandom(32)
        admin = self._admin()
        admin.create_user(kms_crash.ALICE, psk)
        admin.create_user(kms_crash.BOB, os.urandom(32))
        admin.close()
        self.writer = kms_crash.AdminWriter(rng)
        self.requester = kms_crash.TicketRequester(psk)
        self.refused = 0
        self.recovery_seconds = []

    def _start(self):
        self.kms.daemon = processes.Daemon(
            self.folder, "kms-server", "kms-server", "run", "--config", self.kms.config,
            "--ready-file", self.folder / "ready", ready_file=self.folder / "ready")
        self.kms.ticket_address = self.kms.daemon.addresses["tickets"]

    def close(self):
        if self.kms is not None:
            self.kms.daemon.kill()
        subprocess.run(["umount", self.disk], check=False)

    def _admin(self):
        return ticket_port.AdminPort(self.stubs, self.socket)

    def _healthy(self):
        return processes.run("kms-server", "healthcheck", "--config",
                             self.kms.config).returncode == 0

    def _wait(self, condition, what):
        begin = time.monotonic()
        while not condition():
            if time.monotonic() - begin > PATIENCE:
                raise kms_crash.Lost(f"{what}: not in {PATIENCE} s\n{self.kms.daemon.log()[-3000:]}")
            time.sleep(0.05)
        return time.monotonic() - begin

    def _fill(self):
        with open(self.filler, "wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while file.write(bytes(size)) == size:
                        pass
                except OSError:
                    pass

    def _load(self, worker, port, stop, failures):
        """Steps until told to stop; refusals are counted and must be clear."""
        try:
            while not stop.is_set():
                try:
                    worker.step(port)
                except grpc.RpcError as error:
                    if error.code() not in REFUSALS or not error.details():
                        failures.append(f"{type(worker).__name__}: {error.code()}: "
                                        f"{error.details()}")
                    self.refused += 1
                    time.sleep(0.01)
        except Exception as error:  # a test thread must not end silently
            failures.append(f"{type(worker).__name__}: {error!r}")
        finally:
            port.close()

    def read_only_start(self):
        """A KMS on a read-only disk says so and ends; on a writable one it starts as ever."""
        if self.kms.stop() != 0:
            raise kms_crash.Lost(self.kms.daemon.log())
        subprocess.run(["mount", "-o", "remount,ro", self.disk], check=True)
        try:
            done = processes.run("kms-server", "run", "--config", self.kms.config)
        finally:
            subprocess.run(["mount", "-o", "remount,rw", self.disk], check=True)
        if done.returncode != 10 or str(self.disk) not in done.stderr:
            raise kms_crash.Lost(f"on a read-only disk: {done.returncode} {done.stderr}")
        self._start()
        self._wait(self._healthy, "SERVING on a writable disk")

    def round(self):
        """Load, full disk, refusals, room again, recovery, checks."""
        stop, failures = threading.Event(), []
        self.requester.answered.clear()
        threads = [threading.Thread(target=self._load, args=(worker, port, stop, failures))
                   for worker, port in (
                       (self.writer, self._admin()),
                       (self.requester, ticket_port.TicketPort(
                           self.stubs, self.kms.ticket_address, self.kms.ca)))]
        for thread in threads:
            thread.start()
        try:
            time.sleep(0.2)
            before = self.refused
            self._fill()
            self._wait(lambda: self.refused > before, "a refusal")
            self._wait(lambda: not self._healthy(), "NOT_SERVING")
        finally:
            self.filler.unlink(missing_ok=True)
        self.recovery_seconds.append(self._wait(self._healthy, "SERVING again"))
        granted = self.requester.granted
        self._wait(lambda: self.requester.granted > granted, "a ticket again")
        stop.set()
        for thread in threads:
            thread.join()
        if failures:
            raise kms_crash.Lost("; ".join(failures[:5]))
        admin = self._admin()
        self.writer.check(admin.identities())
        admin.close()
        processes.run_ok("kmsctl", "audit", "verify", self.kms.data / "audit.jsonl")
        audited = sum(line["decision"] == "granted" for line in self.kms.audit())
        if audited < self.requester.granted:
            raise kms_crash.Lost(f"{self.requester.granted} tickets were answered, {audited} are "
                                 "audited")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    if not can_mount():
        sys.exit("kms disk: needs the right to mount a tmpfs (root)")
    print(f"kms disk: {options.rounds} rounds, seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="keystub-soak-") as folder:
        run = DiskRun(folder, options.seed)
        try:
            for _ in range(options.rounds):
                run.round()
            run.read_only_start()
        finally:
            run.close()
        print(f"figure soak.kms_disk.rounds {options.rounds}\n"
              f"figure soak.kms_disk.refusals {run.refused}\n"
              f"figure soak.kms_disk.acknowledged_writes {run.writer.acknowledged}\n"
              f"figure soak.kms_disk.tickets {run.requester.granted}\n"
              f"figure soak.kms_disk.slowest_recovery_s {max(run.recovery_seconds):.2f}")


if __name__ == "__main__":
    main()
