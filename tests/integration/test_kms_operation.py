"""Running a KMS: reload, backup, doctor, hand-over between two, a disk that is full or read-only."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "interop/kms"),
                str(pathlib.Path(__file__).resolve().parents[1] / "soak")]
import grpc  # noqa: E402
import house  # noqa: E402
import kms_disk  # noqa: E402
import mikey_ticket as mt  # noqa: E402
import processes  # noqa: E402
import ticket_port  # noqa: E402

KMS = "sip:kms@example.com"
ALICE = "sip:alice@example.com"
BOB = "sip:bob@example.com"


def wait_for_log(daemon, text, seconds=10):
    deadline = time.monotonic() + seconds
    while text not in daemon.log():
        if time.monotonic() > deadline:
            raise processes.Failure(f"no {text!r} in the log of {daemon.name}\n{daemon.log()}")
        time.sleep(0.05)


def request_init(psk):
    now = time.time()
    wish = mt.Wish(kms=(mt.ID_URI, KMS.encode()), initiator=ALICE.encode(),
                   responders=[BOB.encode()], valid_from=now - 60, valid_to=now + 3600)
    return mt.build_request_init(psk, ALICE.encode(), wish)


class Program(unittest.TestCase):
    def test_kms_server_allocates_with_jemalloc(self):
        """Nothing in the program names it, so that a linker may leave it out (decision 54)."""
        linked = subprocess.run(["ldd", processes.BIN / "kms-server"], text=True,
                                stdout=subprocess.PIPE, check=True)
        self.assertIn("libjemalloc.so.2", linked.stdout)


class Operation(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="keystub-operation-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.kms = house.Kms(self.folder / "kms", identity=KMS)
        self.addCleanup(lambda: self.kms.daemon.kill())

    def request(self, key):
        return processes.run("kmsctl", "--server", self.kms.ticket_address, "--ca", self.kms.ca,
                             "ticket", "request", "--identity", ALICE, "--kms", KMS,
                             "--psk-file", key, "--responder", BOB)

    def test_the_unit_of_systemd_starts_the_kms(self):
        """Its command, with the notification that Type=notify waits for."""
        unit = (pathlib.Path(__file__).resolve().parents[2] /
                "deploy/systemd/kms-server.service").read_text()
        command = re.search(r"^ExecStart=/usr/bin/(.+)$", unit, re.M).group(1).split()
        self.assertIn("\nType=notify\n", unit)
        self.kms.stop()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(self.folder / "notify"))
            manager.settimeout(20)
            config = command.index("/var/lib/keystub/kms/kms-server.toml")
            command[config] = str(self.kms.config)
            program = subprocess.Popen(
                [processes.BIN / command[0], *command[1:]], stderr=subprocess.DEVNULL,
                env={**os.environ, "NOTIFY_SOCKET": str(self.folder / "notify")})
            try:
                self.assertEqual(manager.recv(64), b"READY=1")
                program.terminate()
                self.assertEqual(manager.recv(64), b"STOPPING=1")
                self.assertEqual(program.wait(timeout=20), 0)
            finally:
                program.kill()
                program.wait()

    # ---- SIGHUP

    def test_sighup_takes_over_what_can_change_and_names_what_cannot(self):
        """KMS-7: limits and log level at once; an address at the next start; a fault changes
        nothing."""
        key = self.kms.create_identity(ALICE, self.folder)
        self.assertEqual(self.request(key).returncode, 0)
        good = self.kms.config.read_text()
        self.kms.config.write_text(
            good.replace("[audit]\n", "[audit]\nmax_size = 4096\n")
            + "[limits]\nper_identity = 1\n[log]\nlevel = \"debug\"\n"
            + "[policy]\nallow_reuse = false\n")
        self.kms.daemon.popen.send_signal(signal.SIGHUP)
        wait_for_log(self.kms.daemon, "configuration reloaded")
        log = self.kms.daemon.log()
        self.assertRegex(log, r'"setting taken over".*limits\.per_identity')
        self.assertRegex(log, r'"setting taken over".*policy\.allow_reuse')
        self.assertRegex(log, r'"setting takes effect at the next start".*audit\.max_size')
        codes = [self.request(key).returncode for _ in range(6)]
        self.assertIn(9, codes)
        wait_for_log(self.kms.daemon, '"level":"debug"')

        self.kms.config.write_text(good + "[surprise]\n")
        self.kms.daemon.popen.send_signal(signal.SIGHUP)
        wait_for_log(self.kms.daemon, "the configuration stays as it was")
        self.assertIn("kms-server.toml:", self.kms.daemon.log())
        self.assertIn(9, [self.request(key).returncode for _ in range(6)])

    # ---- backup

    def test_backup_of_a_serving_kms_is_verified_and_restored(self):
        """KMS-3, KMS-6: what was there is there again; the copy holds no key; the window stays."""
        key = self.kms.create_identity(ALICE, self.folder)
        made = json.loads(self.kms.ctl_ok("--output", "json", "backup", "create", "one"))
        copy = pathlib.Path(made["file"])
        self.assertEqual((made["identities"], made["psks"], made["tpks"]), (1, 1, 1))
        self.assertEqual(copy.stat().st_mode & 0o777, 0o600)
        for name, code in (("one", 7), ("../two", 3), ("", 3)):
            self.assertEqual(self.kms.ctl("backup", "create", name).returncode, code, name)
        verified = json.loads(self.kms.ctl_ok("--output", "json", "backup", "verify", "one"))
        self.assertEqual(verified["identities"], 1)
        self.assertIn("admin.create_backup", [line["operation"] for line in self.kms.audit()])

        self.kms.ctl_ok("identity", "delete", ALICE)
        restore = ("kmsctl", "backup", "restore", copy, "--config", self.kms.config)
        refused = processes.run(*restore)
        self.assertEqual(refused.returncode, 7, refused.stderr)
        self.assertIn("stop the KMS", refused.stderr)
        self.assertEqual(self.request(key).returncode, 4)

        self.kms.stop()
        self.assertIn("stays: nothing that was accepted before", processes.run_ok(*restore))
        (self.kms.data / "replay.window").rename(self.folder / "window")
        self.assertIn("T is not later than start + 60 s is refused", processes.run_ok(*restore))
        (self.folder / "window").rename(self.kms.data / "replay.window")
        self.assertEqual(len(list(self.kms.data.glob("kms.db.before-*"))) >= 1, True)
        self.kms.start()
        self.assertEqual(self.request(key).returncode, 0)
        self.assertIn("admin.restore_backup", [line["operation"] for line in self.kms.audit()])
        processes.run_ok("kmsctl", "audit", "verify", self.kms.data / "audit.jsonl")

    def test_verify_finds_a_damaged_copy_and_a_wrong_kek(self):
        """KMS-3: without a running KMS too."""
        self.kms.create_identity(ALICE, self.folder)
        made = json.loads(self.kms.ctl_ok("--output", "json", "backup", "create", "one"))
        copy = pathlib.Path(made["file"])
        damaged = self.folder / "damaged"
        octets = bytearray(copy.read_bytes())
        octets[len(octets) // 2:len(octets) // 2 + 6000] = bytes(6000)
        damaged.write_bytes(octets)
        verify = ("kmsctl", "backup", "verify", "--config", self.kms.config)
        self.assertEqual(processes.run(*verify, copy).returncode, 0)
        self.assertNotEqual(processes.run(*verify, damaged).returncode, 0)
        self.kms.stop()
        (self.kms.data / "kek").write_bytes(os.urandom(32))
        self.assertEqual(processes.run(*verify, copy).returncode, 5)

    # ---- another KEK

    def test_keys_move_to_another_kek_while_tickets_are_issued(self):
        """KMS-3: nobody notices; afterwards the old KEK opens nothing."""
        keys = [self.kms.create_identity(f"sip:user{i}@example.com", self.folder)
                for i in range(20)]
        key = self.kms.create_identity(ALICE, self.folder)
        self.kms.ctl_ok("backup", "create", "before")
        refused = self.kms.ctl("kek", "rewrap")
        self.assertEqual(refused.returncode, 7)
        self.assertIn("[kek_next]", refused.stderr)

        table = self.folder / "new.toml"
        table.write_text('[kek]\nsource = "passphrase"\nfile = "{0}/scrypt"\n'
                         'passphrase_file = "{0}/words"\n'.format(self.folder))
        words = self.folder / "words"
        words.touch(mode=0o600)
        words.write_text("correct horse battery staple\n")
        processes.run_ok("kms-server", "kek", "create", "--kek", table)
        self.assertEqual(
            processes.run("kms-server", "kek", "create", "--kek", table).returncode, 7)
        old = self.kms.config.read_text()
        both = old + table.read_text().replace("[kek]", "[kek_next]")
        self.kms.config.write_text(both)
        self.kms.daemon.popen.send_signal(signal.SIGHUP)
        wait_for_log(self.kms.daemon, "configuration reloaded")

        def rewrap(*arguments):
            return json.loads(self.kms.ctl_ok("--output", "json", "kek", "rewrap", *arguments))
        self.assertEqual(rewrap("--dry-run"), {"keys": 22, "to_move": 22})
        codes, done = [], threading.Event()

        def load():
            while not done.is_set():
                codes.append(self.request(key).returncode)
        loader = threading.Thread(target=load)
        loader.start()
        try:
            self.assertEqual(rewrap(), {"keys": 22, "moved": 22})
        finally:
            done.set()
            loader.join()
        self.assertEqual(set(codes), {0})
        self.assertEqual(self.kms.ctl("kek", "rewrap").returncode, 7)
        self.assertIn("admin.rewrap_keys", [line["operation"] for line in self.kms.audit()])
        found = json.loads(self.kms.ctl_ok("--output", "json", "doctor"))
        self.assertEqual([one["text"] for one in found if one["check"] == "kek"],
                         ["[kek] as it was at the start does not give the KEK in use any more"])
        self.kms.create_identity("sip:later@example.com", self.folder)
        self.kms.ctl_ok("backup", "create", "after")

        self.kms.stop()
        self.kms.start()
        self.assertIn("make it the table [kek]", self.kms.daemon.log())
        self.assertEqual(self.request(key).returncode, 0)
        self.kms.stop()
        self.kms.config.write_text(old)
        alone = processes.run("kms-server", "run", "--config", self.kms.config)
        self.assertEqual(alone.returncode, 5, alone.stderr)
        with_old = old.split("[kek]\n")
        self.kms.config.write_text(
            with_old[0] + table.read_text() + with_old[1].split("\n", 2)[2])
        verify = ("kmsctl", "backup", "verify", "--config", self.kms.config)
        backups = self.kms.data / "backups"
        self.assertEqual(processes.run(*verify, backups / "after").returncode, 0)
        self.assertEqual(processes.run(*verify, backups / "before").returncode, 5)
        (self.kms.data / "kek").unlink()
        self.kms.start()
        for one in (key, keys[7]):
            uri = ALICE if one is key else "sip:user7@example.com"
            self.assertEqual(processes.run(
                "kmsctl", "--server", self.kms.ticket_address, "--ca", self.kms.ca, "ticket",
                "request", "--identity", uri, "--kms", KMS, "--psk-file", one,
                "--responder", BOB).returncode, 0)

    # ---- doctor

    def findings(self, *arguments):
        done = processes.run("kms-server", "doctor", "--config", self.kms.config, "--json")
        return done.returncode, {(one["check"], one["level"]): one
                                 for one in json.loads(done.stdout)}

    def test_doctor_finds_nothing_wrong_with_a_good_kms_and_names_what_is(self):
        """Running and stopped; each fault has its exit code and says what to do."""
        online = self.kms.ctl("--output", "json", "doctor")
        self.assertEqual(online.returncode, 0, online.stderr + online.stdout)
        checks = {one["check"] for one in json.loads(online.stdout)}
        self.assertEqual(checks, {"file", "kek", "database", "certificate", "clock", "disk",
                                  "audit", "clock here"})
        self.assertEqual(self.findings()[0], 0)
        self.kms.stop()
        self.assertEqual(self.findings()[0], 0)
        gone = self.kms.ctl("--timeout", "2s", "doctor")
        self.assertEqual(gone.returncode, 10)
        self.assertIn("doctor --config", gone.stderr)

        data = self.kms.data
        key, kek = data / "tls/kms.key", (data / "kek").read_bytes()
        key.chmod(0o644)
        code, found = self.findings()
        self.assertEqual(code, 5)
        self.assertIn("chmod 600", found["file", "FAULT"]["advice"])
        key.chmod(0o600)
        fitting = key.read_bytes()
        key.write_bytes((data / "tls/ue.key").read_bytes())
        code, found = self.findings()
        self.assertEqual(code, 3)
        self.assertIn("kms.key does not belong", found["certificate", "FAULT"]["text"])
        key.write_bytes(fitting)
        (data / "kek").write_bytes(os.urandom(32))
        code, found = self.findings()
        self.assertEqual(code, 5)
        self.assertIn("KEK", found["database", "FAULT"]["advice"])
        (data / "kek").write_bytes(kek)
        good = self.kms.config.read_text()
        self.kms.config.write_text(good + "[kek_next]\nsource = \"file\"\nfile = \"gone\"\n")
        code, found = self.findings()
        self.assertIn("kek_next: key file", found["kek", "FAULT"]["text"])
        self.kms.config.write_text(good)
        audit = data / "audit.jsonl"
        audit.rename(data / "audit-of-before.jsonl")
        self.kms.start()
        self.assertIn("another chain of audit lines begins", self.kms.daemon.log())
        self.kms.ctl_ok("identity", "create", ALICE)
        self.kms.ctl_ok("identity", "create", BOB)
        self.kms.stop()
        audit.write_text(audit.read_text().replace("create_identity", "delete_identity", 1))
        code, found = self.findings()
        self.assertEqual(code, 7)
        self.assertIn("audit.jsonl, line 1", found["audit", "FAULT"]["text"])

    # ---- hand-over

    def test_no_call_fails_for_a_client_that_goes_elsewhere_with_a_new_message(self):
        """KMS-6, KMS-7: SIGTERM of one KMS while it answers; a copy of it takes over."""
        psk = os.urandom(32)
        stubs_folder = self.folder / "stubs"
        stubs_folder.mkdir()
        stubs = ticket_port.Stubs(stubs_folder)
        admin = ticket_port.AdminPort(stubs, self.kms.admin_socket)
        admin.create_user(ALICE, psk)
        admin.create_user(BOB, os.urandom(32))
        admin.close()
        self.kms.stop()
        # One identity asks as fast as both KMSs can answer.
        self.kms.config.write_text(self.kms.config.read_text()
                                   + "[limits]\nper_identity = 100000\nper_peer = 100000\n")
        second = self.folder / "second"
        shutil.copytree(self.kms.data, second, ignore=shutil.ignore_patterns("*.sock", "ready"))
        # A window is never copied. This one has accepted nothing yet, so a fresh one is as good.
        config = second / "kms-server.toml"
        config.write_text(config.read_text().replace(self.kms.ticket_address, "127.0.0.1:0"))
        self.kms.start()
        other = processes.Daemon(self.folder, "second-kms", "kms-server", "run", "--config", config,
                                 "--ready-file", second / "ready", ready_file=second / "ready")
        self.addCleanup(other.kill)
        addresses = [self.kms.ticket_address, other.addresses["tickets"]]
        failures, answered = [], [0, 0]
        stop = threading.Event()

        def client():
            ports = [ticket_port.TicketPort(stubs, address, self.kms.ca) for address in addresses]
            at = 0
            while not stop.is_set():
                for _ in range(len(ports)):
                    request = request_init(psk)  # a new message for each attempt: no replay
                    try:
                        mt.verify_request_resp(request, ports[at].request(request.message))
                    except grpc.RpcError as error:
                        if error.code() != grpc.StatusCode.UNAVAILABLE:
                            failures.append(str(error.code()) + " " + error.details())
                        at = 1 - at
                        continue
                    answered[at] += 1
                    break
                else:
                    failures.append("neither KMS answered")
            for port in ports:
                port.close()

        threads = [threading.Thread(target=client) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        self.assertEqual(self.kms.stop(), 0)
        time.sleep(1)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertGreater(min(answered), 0, answered)

    # ---- disks

    @unittest.skipUnless(kms_disk.can_mount(), "mounts a small file system")
    def test_a_full_and_a_read_only_disk_lose_nothing_and_need_nobody(self):
        """KMS-6: the short form of tests/soak/kms_disk.py."""
        run = kms_disk.DiskRun(self.folder / "disk", seed=1)
        self.addCleanup(run.close)
        run.round()
        run.round()
        run.read_only_start()
        self.assertGreater(run.refused, 0)


if __name__ == "__main__":
    unittest.main()
