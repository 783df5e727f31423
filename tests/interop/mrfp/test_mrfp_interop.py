"""The real mrfp-agent against openssl and gnutls (MRFP-1, MRFP-3 to MRFP-8, MRFC-B8)."""

import os
import pathlib
import re
import socket
import sys
import tempfile
import unittest

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "integration"))
import far_ends  # noqa: E402
import house  # noqa: E402
import mp_port  # noqa: E402
import processes  # noqa: E402

VERSIONS = ("1.2", "1.3")
PEER_PATH = "msrps://198.51.100.7:2855/peer7;tcp"
OTHER_PATH = "msrps://198.51.100.8:2855/peer8;tcp"


def msrp_send(to_path, from_path, transaction, message_id, body, extra=""):
    return (f"MSRP {transaction} SEND\r\nTo-Path: {to_path}\r\nFrom-Path: {from_path}\r\n"
            f"Message-ID: {message_id}\r\nByte-Range: 1-{len(body)}/{len(body)}\r\n{extra}"
            f"Content-Type: text/plain\r\n\r\n{body}\r\n-------{transaction}$\r\n").encode()


class MrfpInterop(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="keystub-interop-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        stubs = cls.folder / "stubs"
        stubs.mkdir()
        cls.pb = mp_port.load_stubs(stubs)
        cls.authority = mp_port.Authority(cls.folder)
        cls.authority.issue("mrfp", "IP:127.0.0.1")
        cls.mrfc = cls.authority.issue("mrfc", "URI:sip:mrfc@example.com")
        cls.stranger = cls.authority.issue("stranger", "URI:sip:stranger@example.com")
        cls.daemon = cls.start_daemon("mrfp", {})
        cls.address = cls.daemon.addresses["control"]
        cls.port = cls.connect(cls.address)

    @classmethod
    def start_daemon(cls, name, changes):
        sections = {
            "control": {"listen": "127.0.0.1:0", "certificate": "mrfp.pem",
                        "private_key": "mrfp.key", "client_ca": "ca.pem",
                        "client_names": ["sip:mrfc@example.com"]},
            "media": {"ip": "127.0.0.1"},
            "limits": {"event_history": 200},
            "timeouts": {"handshake": "3s"},
            "log": {"level": "debug"},
        }
        for section, keys in changes.items():
            sections.setdefault(section, {}).update(keys)
        config = cls.folder / f"{name}.toml"
        config.write_text(house.toml(sections))
        daemon = processes.Daemon(cls.folder, name, "mrfp-agent", "run", "--config", config,
                                  "--ready-file", cls.folder / f"{name}.ready",
                                  ready_file=cls.folder / f"{name}.ready")
        cls.addClassCleanup(daemon.stop)
        return daemon

    @classmethod
    def connect(cls, address, certificate=None):
        port = mp_port.MpPort(cls.pb, address, cls.authority.ca, *(certificate or cls.mrfc))
        cls.addClassCleanup(port.close)
        return port

    def setUp(self):
        self.events = self.port.watch()
        self.addCleanup(self.events.call.cancel)

    def far_end(self, far_end):
        self.addCleanup(far_end.close)
        return far_end

    def serve(self, context="", identity="mikey-ticket;1;1;0011223344556677", path=PEER_PATH,
              **changes):
        """A TLS server stream with a fresh key: the stream and the key."""
        psk = os.urandom(32)
        stream = self.port.reserve(context)
        self.port.configure(stream, [(identity, psk)], path=path, **changes)
        self.addCleanup(self.release_quietly, stream)
        return stream, identity, psk

    def release_quietly(self, stream):
        try:
            self.port.release(stream)
        except grpc.RpcError:
            pass

    def assert_refused(self, code, call, *arguments, **named):
        with self.assertRaises(grpc.RpcError) as caught:
            call(*arguments, **named)
        self.assertEqual(caught.exception.code(), code, caught.exception)
        return caught.exception.details()

    def exchange(self, far_end, stream, path=PEER_PATH):
        """An MSRP SEND over this far end: answered 200, and echoed."""
        far_end.send(msrp_send(stream.msrp.local_path, path, "tran4567", "message01", "hello"))
        far_end.wait_for(b"MSRP tran4567 200 OK\r\n")
        received = far_end.wait_for(b"hello\r\n-------")
        self.assertIn(f"To-Path: {path}\r\n".encode(), received)

    # MRFP-3, MRFP-6, MRFP-8
    def test_MRFP_3_serves_openssl_and_gnutls_clients(self):
        for client in (far_ends.openssl_client, far_ends.gnutls_client):
            for version in VERSIONS:
                with self.subTest(client=client.__name__, version=version):
                    stream, identity, psk = self.serve()
                    far_end = self.far_end(client(stream.local.port, identity, psk, version))
                    self.exchange(far_end, stream)
                    established = self.events.wait(stream, "established").established
                    self.assertEqual(established.tls_version, f"TLSv{version}")
                    self.assertEqual(established.psk_identity, identity)
                    self.assertEqual(established.dialog_id, "dialog")
                    far_end.close()
                    self.events.wait(stream, "released")

    # MRFP-6: every TLS 1.2 suite that OpenSSL's command has too, and both of TLS 1.3.
    def test_MRFP_6_every_cipher_suite_with_openssl(self):
        names = re.findall(r'= "([A-Z0-9_-]+)";', (mp_port.ROOT / "lib/tlspsk/cipher_suites.h")
                           .read_text())
        self.assertGreater(len(names), 6)
        default = [name for name in names if name != "PSK-AES128-CBC-SHA"]
        for name in default:
            with self.subTest(suite=name):
                stream, identity, psk = self.serve(suites=[name])
                version = "1.3" if name.startswith("TLS_") else "1.2"
                self.exchange(self.far_end(far_ends.openssl_client(
                    stream.local.port, identity, psk, version)), stream)
                established = self.events.wait(stream, "established").established
                self.assertEqual(established.cipher_suite, name)

    # MRFP-1, MRFP-3, MRFP-4, MRFC-B5
    def test_MRFP_4_is_tls_client_of_openssl(self):
        for version in VERSIONS:
            with self.subTest(version=version):
                identity, psk = "mikey-ticket;9;1;8899aabbccddeeff", os.urandom(32)
                far_end, port = far_ends.openssl_server(identity, psk, version)
                self.far_end(far_end)
                stream = self.port.reserve()
                self.port.configure(stream, [(identity, psk)], client=True,
                                    remote=("127.0.0.1", port), path=PEER_PATH)
                self.port.start(stream)
                established = self.events.wait(stream, "established").established
                self.assertEqual(established.tls_version, f"TLSv{version}")
                # The active side's empty SEND comes first.
                far_end.wait_for(b" SEND\r\n")
                self.exchange(far_end, stream)
                self.port.release(stream)
                self.events.wait(stream, "released")
                far_end.wait_end()

    # MRFP-1, MRFP-3, MRFP-4
    def test_MRFP_4_is_tls_client_of_gnutls(self):
        for version in VERSIONS:
            with self.subTest(version=version):
                identity, psk = "mikey-ticket;9;1;8899aabbccddeeff", os.urandom(32)
                far_end, port = far_ends.gnutls_server(self.folder, identity, psk, version)
                self.far_end(far_end)
                # The server only shows what it gets, and its echo is not MSRP: a message from
                # another leg waits for the connection, so that it is there before the echo.
                near, near_identity, near_psk = self.serve()
                sender = self.far_end(far_ends.openssl_client(near.local.port, near_identity,
                                                              near_psk, version))
                stream = self.port.reserve(near.context_id)
                self.port.configure(stream, [(identity, psk)], client=True,
                                    remote=("127.0.0.1", port), path=OTHER_PATH)
                sender.send(msrp_send(near.msrp.local_path, PEER_PATH, "tran4567", "message01",
                                      "hello gnutls"))
                sender.wait_for(b"MSRP tran4567 200 OK\r\n")
                self.port.start(stream)
                established = self.events.wait(stream, "established").established
                self.assertEqual(established.tls_version, f"TLSv{version}")
                shown = far_end.wait_for(b"hello gnutls")
                self.assertIn(b" SEND\r\nTo-Path: " + OTHER_PATH.encode(), shown)

    # MRFP-5
    def test_MRFP_5_refuses_another_streams_key(self):
        for client in (far_ends.openssl_client, far_ends.gnutls_client):
            for version in VERSIONS:
                with self.subTest(client=client.__name__, version=version):
                    mine, identity, psk = self.serve(identity="stream-a")
                    _, other_identity, other_psk = self.serve(identity="stream-b")
                    for wrong in ((other_identity, other_psk), (identity, other_psk)):
                        thief = self.far_end(client(mine.local.port, *wrong, version))
                        self.assertNotEqual(thief.wait_end(), 0, thief.received)
                        self.assertNotIn(b" 200 OK", thief.received)
                    failure = self.events.wait(mine, "tls_failure").tls_failure
                    self.assertFalse(failure.final)
                    # The right peer still gets in.
                    self.exchange(self.far_end(client(mine.local.port, identity, psk, version)),
                                  mine)

    def test_refuses_a_client_without_a_psk(self):
        for version in VERSIONS:
            with self.subTest(version=version):
                stream, _, _ = self.serve()
                far_end = self.far_end(
                    far_ends.openssl_certificate_client(stream.local.port, version))
                self.assertNotEqual(far_end.wait_end(), 0)
                self.assertFalse(self.events.wait(stream, "tls_failure").tls_failure.final)

    def test_a_handshake_waits_for_its_key(self):
        identity, psk = "late", os.urandom(32)
        stream = self.port.reserve()
        self.port.configure(stream, [], path=PEER_PATH)
        far_end = self.far_end(far_ends.openssl_client(stream.local.port, identity, psk, "1.3"))
        far_end.send(msrp_send(stream.msrp.local_path, PEER_PATH, "tran4567", "message01", "hi"))
        self.port.modify(stream, [("other", os.urandom(32), "d1"), (identity, psk, "d2")])
        self.assertEqual(self.events.wait(stream, "established").established.dialog_id, "d2")
        far_end.wait_for(b"MSRP tran4567 200 OK\r\n")
        # The final answer picks the other dialog: this one ends, the port listens on.
        self.port.modify(stream, [("other", os.urandom(32), "d1")])
        far_end.wait_end()
        self.assertFalse(self.events.wait(stream, "tls_failure").tls_failure.final)

    # MRFP-8
    def test_MRFP_8_two_legs_relay(self):
        a, a_identity, a_psk = self.serve(identity="leg-a", path=PEER_PATH)
        b, b_identity, b_psk = self.serve(a.context_id, identity="leg-b", path=OTHER_PATH)
        alice = self.far_end(far_ends.openssl_client(a.local.port, a_identity, a_psk, "1.3"))
        bob = self.far_end(far_ends.gnutls_client(b.local.port, b_identity, b_psk, "1.2"))
        self.events.wait(a, "established")
        self.events.wait(b, "established")
        alice.send(msrp_send(a.msrp.local_path, PEER_PATH, "tranalice", "messageA1", "hi bob",
                             "Success-Report: yes\r\n"))
        at_bob = bob.wait_for(b"hi bob\r\n-------")
        alice.wait_for(b"MSRP tranalice 200 OK\r\n")
        self.assertIn(b"Message-ID: messageA1\r\n", at_bob)
        self.assertIn(f"To-Path: {OTHER_PATH}\r\nFrom-Path: {b.msrp.local_path}\r\n".encode(),
                      at_bob)
        self.assertNotIn(b"tranalice", at_bob)
        transaction = re.search(rb"MSRP (\S+) SEND", at_bob).group(1).decode()
        bob.send(f"MSRP {transaction} 200 OK\r\nTo-Path: {b.msrp.local_path}\r\n"
                 f"From-Path: {OTHER_PATH}\r\n-------{transaction}$\r\n".encode())
        bob.send(f"MSRP report01 REPORT\r\nTo-Path: {b.msrp.local_path}\r\nFrom-Path: {OTHER_PATH}"
                 "\r\nMessage-ID: messageA1\r\nByte-Range: 1-6/6\r\nStatus: 000 200 OK\r\n"
                 "-------report01$\r\n".encode())
        report = alice.wait_for(b"Status: 000 200")
        paths = f"To-Path: {PEER_PATH}\r\nFrom-Path: {a.msrp.local_path}\r\n"
        self.assertIn(paths.encode(), report)
        bob.send(msrp_send(b.msrp.local_path, OTHER_PATH, "tranbob01", "messageB1", "hi alice"))
        alice.wait_for(b"hi alice\r\n-------")
        bob.wait_for(b"MSRP tranbob01 200 OK\r\n")

    # MRFP-2
    def test_MRFP_2_release_ends_tls_and_tcp(self):
        stream, identity, psk = self.serve()
        far_end = self.far_end(far_ends.openssl_client(stream.local.port, identity, psk, "1.3"))
        self.exchange(far_end, stream)
        self.port.release(stream)
        # An orderly end: s_client saw close_notify.
        self.assertEqual(far_end.wait_end(), 0, far_end.received)
        with self.assertRaises(OSError):
            socket.create_connection(("127.0.0.1", stream.local.port), 1)

    # MRFP-7
    def test_MRFP_7_renegotiation_is_refused(self):
        stream, identity, psk = self.serve()
        far_end = self.far_end(far_ends.FarEnd(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{stream.local.port}", "-psk",
             psk.hex(), "-psk_identity", identity, "-tls1_2", "-cipher", "PSK"]))
        far_end.wait_for(b"Verify return code")
        far_end.send(b"R\n")
        far_end.wait_for(b"RENEGOTIATING")
        self.assertNotEqual(far_end.wait_end(), 0)
        self.assertIn(b"no renegotiation", far_end.received)

    # MRFC-B8
    def test_MRFC_B8_the_mp_is_mutual_tls(self):
        for certificate, code in ((self.stranger, grpc.StatusCode.PERMISSION_DENIED),
                                  ((None, None), grpc.StatusCode.UNAVAILABLE)):
            port = mp_port.MpPort(self.pb, self.address, self.authority.ca, *certificate)
            self.addCleanup(port.close)
            self.assert_refused(code, port.reserve)
            self.assert_refused(code, port.list)
            with self.assertRaises(grpc.RpcError) as caught:
                list(port.watch().call)
            self.assertEqual(caught.exception.code(), code)

    def test_requests_that_cannot_be_have_a_clear_status(self):
        code, pb, port = grpc.StatusCode, self.pb, self.port
        self.assert_refused(code.UNIMPLEMENTED, port.reserve, transport=pb.TRANSPORT_TCP_TLS_BFCP)
        self.assert_refused(code.INVALID_ARGUMENT, port.reserve, transport=0)
        self.assert_refused(code.NOT_FOUND, port.reserve, "no-such-context")
        self.assert_refused(code.INVALID_ARGUMENT, port.reserve, local_ip="localhost")
        stream = port.reserve()
        self.addCleanup(self.release_quietly, stream)
        self.assert_refused(code.FAILED_PRECONDITION, port.start, stream)
        self.assert_refused(code.FAILED_PRECONDITION, port.modify, stream, [("a", bytes(32))])
        self.assertIn("PSK-NULL-SHA", self.assert_refused(
            code.INVALID_ARGUMENT, port.configure, stream, [], suites=["PSK-NULL-SHA"]))
        self.assertIn("16 to 64", self.assert_refused(
            code.INVALID_ARGUMENT, port.configure, stream, [("a", bytes(8))]))
        self.assert_refused(code.INVALID_ARGUMENT, port.configure, stream, [("a", bytes(32))],
                            client=True)
        self.assert_refused(code.INVALID_ARGUMENT, port.configure, stream, [("a", bytes(32))],
                            client=True, remote=("example.com", 80))
        self.assert_refused(code.INVALID_ARGUMENT, port.configure, stream, [("a", bytes(32))],
                            client=True, remote=("127.0.0.1", 70000))
        port.configure(stream, [], client=True, remote=("127.0.0.1", 9))
        self.assertIn("exactly one key", self.assert_refused(code.FAILED_PRECONDITION, port.start,
                                                             stream))
        port.release(stream)
        self.assert_refused(code.NOT_FOUND, port.release, stream)

    def test_list_and_watch_fit_together(self):
        stream, identity, psk = self.serve()
        listed = self.port.list()
        status = next(s for s in listed.streams if s.stream_id == stream.stream_id)
        self.assertEqual(status.state, self.pb.STREAM_STATE_CONFIGURED)
        self.assertEqual(status.trace_id, "interop-1")
        self.assertEqual(status.local, stream.local)
        far_end = self.far_end(far_ends.openssl_client(stream.local.port, identity, psk, "1.3"))
        established = self.events.wait(stream, "established")
        self.assertEqual(established.instance_id, listed.instance_id)
        self.assertGreater(established.sequence, listed.sequence)
        self.assertEqual(established.trace_id, "interop-1")
        # From the list on nothing is missed.
        again = self.port.watch(listed.sequence + 1)
        self.addCleanup(again.call.cancel)
        self.assertEqual(again.wait(stream, "established"), established)
        status = next(s for s in self.port.list().streams if s.stream_id == stream.stream_id)
        self.assertEqual(status.state, self.pb.STREAM_STATE_ESTABLISHED)
        self.assertEqual(status.session.psk_identity, identity)
        far_end.close()

    def test_events_that_are_no_longer_kept_are_out_of_range(self):
        daemon = self.start_daemon("mrfp-short", {"limits": {"event_history": 2}})
        port = self.connect(daemon.addresses["control"])
        for _ in range(4):
            port.release(port.reserve())
        self.assertEqual(port.watch(1).wait_end(), grpc.StatusCode.OUT_OF_RANGE)
        sequence = port.list().sequence
        self.assertEqual(sequence, 4)
        watcher = port.watch(sequence)
        stream = port.reserve()
        port.release(stream)
        watcher.wait(stream, "released")
        self.assertEqual([event.sequence for event in watcher.events], [4, 5])
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(watcher.wait_end(), grpc.StatusCode.UNAVAILABLE)

    def test_stops_in_order_with_streams_open(self):
        daemon = self.start_daemon("mrfp-stop", {})
        port = self.connect(daemon.addresses["control"])
        watcher = port.watch()
        stream, psk = port.reserve(), os.urandom(32)
        port.configure(stream, [("me", psk)], path=PEER_PATH)
        far_end = self.far_end(far_ends.openssl_client(stream.local.port, "me", psk, "1.3"))
        self.exchange(far_end, stream)
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(watcher.wait_end(), grpc.StatusCode.UNAVAILABLE)
        self.assertEqual(far_end.wait_end(), 0)
        self.assertFalse(daemon.ready_file.exists())

    def test_healthcheck_and_configuration_verbs(self):
        port = far_ends.free_port()
        daemon = self.start_daemon("mrfp-health", {"control": {"listen": f"127.0.0.1:{port}"}})
        config = self.folder / "mrfp-health.toml"
        processes.run_ok("mrfp-agent", "healthcheck", "--config", config)
        processes.run_ok("mrfp-agent", "run", "--config", config, "--check-config")
        dumped = processes.run_ok("mrfp-agent", "run", "--config", config, "--dump-config")
        self.assertIn(f"127.0.0.1:{port}", dumped)
        daemon.stop()
        self.assertEqual(processes.run("mrfp-agent", "healthcheck", "--config", config).returncode,
                         10)
        config.write_text(config.read_text().replace("[media]", "[media]\nports = 3"))
        broken = processes.run("mrfp-agent", "run", "--config", config, "--check-config")
        self.assertEqual(broken.returncode, 3)
        self.assertIn("ports", broken.stderr)

    def test_keys_are_never_logged_and_memory_is_not_dumped(self):
        stream, identity, psk = self.serve()
        far_end = self.far_end(far_ends.openssl_client(stream.local.port, identity, psk, "1.2"))
        self.exchange(far_end, stream)
        log = self.daemon.log()
        self.assertIn("stream established", log)
        self.assertNotIn(psk.hex(), log.lower())
        limits = pathlib.Path(f"/proc/{self.daemon.pid}/limits").read_text()
        self.assertRegex(limits, r"Max core file size\s+0\s+0")

    def test_metrics(self):
        daemon = self.start_daemon("mrfp-metrics", {"metrics": {"listen": "127.0.0.1:0"}})
        port = self.connect(daemon.addresses["control"])
        port.reserve()
        host, _, number = daemon.addresses["metrics"].rpartition(":")
        with socket.create_connection((host, int(number)), 5) as connection:
            connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            page = b""
            while chunk := connection.recv(65536):
                page += chunk
        self.assertIn(b"keystub_mrfp_streams 1", page)


if __name__ == "__main__":
    unittest.main()
