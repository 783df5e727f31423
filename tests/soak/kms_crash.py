#!/usr/bin/python3
"""kill -9 of the KMS at random moments under load: nothing acknowledged is lost, nothing accepted is
accepted again.

Each round: admin writes and ticket requests run against the real kms-server, which is killed after a
random time and started again. Then every acknowledged write must be there, the database sound, the
chain of the audit file whole with every ticket that was answered in it, and the messages that were answered are sent once more and
must be refused as replays. The load is closed-loop (one call at a time per worker) and ends with the
last round.

kms_crash.py [--kills N] [--seed S]: prints figures; exit code 0 only if every round was clean.
"""

import argparse
import os
import pathlib
import random
import shutil
import sqlite3
import sys
import tempfile
import threading
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "integration"), str(TESTS / "interop/kms")]
sys.dont_write_bytecode = True

import grpc  # noqa: E402
import house  # noqa: E402
import mikey_ticket as mt  # noqa: E402
import processes  # noqa: E402
import ticket_port  # noqa: E402

KMS = "sip:kms@example.com"
ALICE = "sip:alice@example.com"
BOB = "sip:bob@example.com"
REPLAYED_PER_ROUND = 20
LONGEST_LIFE = 0.5  # seconds of load before a kill


class Lost(AssertionError):
    """The KMS broke a promise."""


class AdminWriter:
    """Creates, suspends, resumes, re-keys and deletes users, and remembers what was acknowledged.

    `expected` maps each URI to the states that are allowed after a crash: one after an
    acknowledgement, two for the write that was under way. None stands for "does not exist".
    """

    ABSENT, ACTIVE, SUSPENDED = None, 1, 2

    def __init__(self, rng):
        self.rng = rng
        self.expected = {}
        self.acknowledged = 0
        self.created = 0

    def step(self, admin):
        settled = [uri for uri, states in self.expected.items()
                   if len(states) == 1 and self.ABSENT not in states]
        if not settled or self.rng.random() < 0.4:
            self.created += 1
            uri = f"sip:user{self.created}@example.com"
            self._write(uri, {self.ABSENT}, self.ACTIVE,
                        lambda: admin.create_user(uri, os.urandom(32)))
            return
        uri = self.rng.choice(settled)
        before = self.expected[uri]
        verb, after = self.rng.choice([("SuspendIdentity", self.SUSPENDED),
                                       ("ResumeIdentity", self.ACTIVE),
                                       ("DeleteIdentity", self.ABSENT), ("SetPsk", None)])
        if verb == "SetPsk":
            [after] = before
            self._write(uri, before, after,
                        lambda: admin.call("SetPsk", uri=uri, psk=os.urandom(32)))
        else:
            self._write(uri, before, after, lambda: admin.call(verb, uri=uri))

    def _write(self, uri, before, after, call):
        self.expected[uri] = before | {after}
        call()
        self.expected[uri] = {after}
        self.acknowledged += 1

    def check(self, identities):
        """Compares with what the KMS holds, and settles the writes that were under way."""
        for uri, states in self.expected.items():
            found = identities[uri].state if uri in identities else self.ABSENT
            if found not in states:
                raise Lost(f"{uri} is {found}, acknowledged was {states}")
            self.expected[uri] = {found}


class TicketRequester:
    """Requests tickets; keeps the messages that were answered."""

    def __init__(self, psk):
        self.psk = psk
        self.answered = []  # (message, ticket request) of this round
        self.granted = 0

    def step(self, port):
        now = time.time()
        wish = mt.Wish(kms=(mt.ID_URI, KMS.encode()), initiator=ALICE.encode(),
                       responders=[BOB.encode()], valid_from=now - 60, valid_to=now + 3600)
        request = mt.build_request_init(self.psk, ALICE.encode(), wish)
        mt.verify_request_resp(request, port.request(request.message))
        self.answered.append(request.message)
        self.granted += 1


class CrashRun:
    """The KMS, its load, and the rounds. close() ends what runs."""

    def __init__(self, folder, seed):
        folder = pathlib.Path(folder)
        self.rng = random.Random(seed)
        self.folder = folder
        stub_folder = folder / "stubs"
        stub_folder.mkdir()
        self.stubs = ticket_port.Stubs(stub_folder)
        self.kms = house.Kms(folder / "kms", identity=KMS)
        psk = os.urandom(32)
        admin = self._admin()
        admin.create_user(ALICE, psk)
        admin.create_user(BOB, os.urandom(32))
        admin.close()
        self.writer = AdminWriter(self.rng)
        self.requester = TicketRequester(psk)
        self.replays_refused = 0

    def close(self):
        self.kms.daemon.kill()

    def _admin(self):
        return ticket_port.AdminPort(self.stubs, self.kms.admin_socket)

    def _tickets(self):
        return ticket_port.TicketPort(self.stubs, self.kms.ticket_address, self.kms.ca)

    def _load(self, worker, port, failures):
        """Steps until the KMS is gone: only its death may end a call."""
        try:
            while True:
                worker.step(port)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                failures.append(f"{type(worker).__name__}: {error.code()}: {error.details()}")
        except Exception as error:  # a test thread must not end silently
            failures.append(f"{type(worker).__name__}: {error!r}")
        finally:
            port.close()

    def round(self):
        """Load, kill, restart, check."""
        failures = []
        self.requester.answered.clear()
        threads = [threading.Thread(target=self._load, args=(worker, port, failures))
                   for worker, port in ((self.writer, self._admin()),
                                        (self.requester, self._tickets()))]
        for thread in threads:
            thread.start()
        time.sleep(self.rng.uniform(0, LONGEST_LIFE))
        self.kms.daemon.kill()
        for thread in threads:
            thread.join()
        if failures:
            raise Lost("; ".join(failures))
        self._check_database()
        self.kms.start()
        admin = self._admin()
        self.writer.check(admin.identities())
        admin.close()
        processes.run_ok("kmsctl", "audit", "verify", self.kms.data / "audit.jsonl")
        granted = sum(line["decision"] == "granted" for line in self.kms.audit())
        if granted < self.requester.granted:
            raise Lost(f"{self.requester.granted} tickets were answered, {granted} are audited")
        self._replay()

    def _check_database(self):
        """As the crash left it, with its write-ahead log: a copy, so that the KMS recovers its own."""
        copy = self.folder / "copy"
        copy.mkdir()
        for file in self.kms.data.glob("kms.db*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, copy / file.name)
        database = sqlite3.connect(copy / "kms.db")
        [[told]] = database.execute("pragma integrity_check").fetchall()
        database.close()
        shutil.rmtree(copy)
        if told != "ok":
            raise Lost(f"the database is damaged: {told}")

    def _replay(self):
        """KMS-6: nothing that was accepted before the kill is accepted again."""
        port = self._tickets()
        for message in self.requester.answered[-REPLAYED_PER_ROUND:]:
            try:
                port.request(message)
            except grpc.RpcError as error:
                if mt.read_error(port.refusal_of(error).mikey_error)[1] != mt.ERROR_INVALID_TS:
                    raise Lost(f"a replay was refused for another reason: {error}") from None
                self.replays_refused += 1
            else:
                raise Lost("a message that was accepted before the kill was accepted again")
        port.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    options = parser.parse_args()
    print(f"kms crash: {options.kills} kills, seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="keystub-soak-") as folder:
        run = CrashRun(folder, options.seed)
        begin = time.monotonic()
        try:
            for number in range(1, options.kills + 1):
                run.round()
                if number % 20 == 0:
                    print(f"  {number} kills, {run.writer.acknowledged} writes, "
                          f"{run.requester.granted} tickets", flush=True)
        finally:
            run.close()
        print(f"figure soak.kms.kills {options.kills}\n"
              f"figure soak.kms.acknowledged_writes {run.writer.acknowledged}\n"
              f"figure soak.kms.tickets {run.requester.granted}\n"
              f"figure soak.kms.replays_refused {run.replays_refused}\n"
              f"figure soak.kms.seconds {time.monotonic() - begin:.0f}")


if __name__ == "__main__":
    main()
