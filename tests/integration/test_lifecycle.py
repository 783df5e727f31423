"""Daemons as a service manager sees them: ready, healthy, stopped; and their configuration."""

import pathlib
import signal
import socket
import tempfile
import time
import unittest

import house
import processes


class Lifecycle(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="keystub-lifecycle-")
        self.addCleanup(folder.cleanup)
        self.all = house.Everything(pathlib.Path(folder.name))
        self.addCleanup(self.all.stop)
        self.daemons = {"kms-server": self.all.kms, "mrfp-agent": self.all.mrfp,
                        "mrfc-agent": self.all.mrfc}

    def healthy(self, program):
        return processes.run(program, "healthcheck", "--config", self.daemons[program].config)

    def test_health_check_of_each_daemon(self):
        """KMS-7, MRFC-B8: healthy while it runs, and not when it is gone."""
        for program, one in self.daemons.items():
            with self.subTest(program=program):
                done = self.healthy(program)
                self.assertEqual(done.returncode, 0, done.stderr)
        for program in ("mrfc-agent", "mrfp-agent", "kms-server"):
            with self.subTest(program=program, stopped=True):
                self.assertEqual(self.daemons[program].stop(), 0)
                self.assertEqual(self.healthy(program).returncode, 10)

    def test_sigterm_ends_each_daemon_cleanly(self):
        """MRFP-2: also with a call standing; the user sees an orderly end of TLS."""
        session, side = self.all.mrfc.dial_out(self.all.alice, "--timeout", 60, "--expect", 1)
        self.addCleanup(side.stop)
        self.assertEqual(self.all.mrfc.take_answer(session, side).returncode, 0)
        side.wait_event("tls established")
        ready = [one.daemon.ready_file for one in self.daemons.values()]
        self.assertTrue(all(path.exists() for path in ready))
        for program in ("mrfc-agent", "mrfp-agent", "kms-server"):
            with self.subTest(program=program):
                begin = time.monotonic()
                self.assertEqual(self.daemons[program].stop(), 0,
                                 self.daemons[program].daemon.log())
                self.assertLess(time.monotonic() - begin, 12)
        self.assertEqual([path for path in ready if path.exists()], [])
        self.assertEqual(side.wait(20), 10)
        self.assertIn("ended TLS", side.events("failed")[0]["reason"])

    def test_sigint_ends_a_daemon_as_well(self):
        """KMS-7: Ctrl-C."""
        self.all.kms.daemon.popen.send_signal(signal.SIGINT)
        self.assertEqual(self.all.kms.daemon.wait(20), 0)

    def test_mrfp_that_is_killed_and_comes_back(self):
        """MRFC-B5, MRFC-B8: the MRFC works again with the next instance at the same address."""
        self.all.mrfp.daemon.kill()
        failed = self.all.mrfc.ctl("offer", "--peer", self.all.alice.uri)
        self.assertNotEqual(failed.returncode, 0)
        again = processes.Daemon(
            self.all.mrfp.folder, "mrfp-agent-2", "mrfp-agent", "run", "--config",
            self.all.mrfp.config, "--ready-file", self.all.mrfp.folder / "ready",
            ready_file=self.all.mrfp.folder / "ready")
        self.addCleanup(again.stop)
        deadline = time.monotonic() + 20
        while True:  # gRPC's channel backs off before it connects again
            offered = self.all.mrfc.ctl("offer", "--peer", self.all.alice.uri,
                                        "--sdp-out", self.all.folder / "again.sdp")
            if offered.returncode == 0 or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        self.assertEqual(offered.returncode, 0, offered.stderr)

    def test_taken_port_is_named(self):
        """The daemon says which address it cannot take, and ends."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            config = self.all.folder / "taken.toml"
            config.write_text(self.all.mrfp.config.read_text().replace(self.all.mrfp.address,
                                                                       address))
            # Relative paths: none are used in this configuration.
            done = processes.run("mrfp-agent", "run", "--config", config)
            self.assertEqual(done.returncode, 10)
            self.assertIn(address, done.stderr)

    def test_configuration_faults_name_file_and_line(self):
        """Every daemon: unknown keys are errors, with file:line:column; --check-config starts
        nothing."""
        for program, one in self.daemons.items():
            with self.subTest(program=program):
                checked = processes.run(program, "run", "--config", one.config, "--check-config")
                self.assertEqual(checked.returncode, 0, checked.stderr)
                broken = one.config.with_name("broken.toml")
                text = one.config.read_text()
                broken.write_text(text + "\n[surprise]\nkey = 1\n")
                line = len(text.splitlines()) + 2  # where the unknown section begins
                done = processes.run(program, "run", "--config", broken, "--check-config")
                self.assertEqual(done.returncode, 3)
                self.assertIn(f"broken.toml:{line}:", done.stderr)
                self.assertIn("surprise", done.stderr)

    def test_dumped_configuration_is_accepted_again(self):
        """--dump-config prints what is in force, as a file that loads."""
        for program, one in self.daemons.items():
            with self.subTest(program=program):
                dumped = processes.run(program, "run", "--config", one.config, "--dump-config")
                self.assertEqual(dumped.returncode, 0, dumped.stderr)
                again = one.config.with_name("dumped.toml")
                again.write_text(dumped.stdout)
                checked = processes.run(program, "run", "--config", again, "--check-config")
                self.assertEqual(checked.returncode, 0, checked.stderr + dumped.stdout)


if __name__ == "__main__":
    unittest.main()
