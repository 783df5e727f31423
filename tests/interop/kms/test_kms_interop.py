"""A client in another language, built from the RFCs alone, against the real kms-server."""

import json
import os
import pathlib
import queue
import sys
import tempfile
import time
import unittest

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "integration"))
import authority  # noqa: E402
import house  # noqa: E402
import mikey_ticket as mt  # noqa: E402
import ticket_port  # noqa: E402

VECTORS = ticket_port.ROOT / "lib/mikey/vectors/mikey-ticket-1.json"
ALICE = "sip:alice@example.com"
BOB = "sip:user1@example.com"


class KmsInterop(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.vector = json.loads(VECTORS.read_text())["scenarios"]["m"]
        cls.psk = bytes.fromhex(cls.vector["inputs"]["psk_i"])
        cls.folder = tempfile.TemporaryDirectory(prefix="keystub-interop-")
        cls.addClassCleanup(cls.folder.cleanup)
        path = pathlib.Path(cls.folder.name)
        cls.kms = house.Kms(path / "kms", identity=cls.vector["inputs"]["ids"]["kms"])
        cls.addClassCleanup(cls.kms.stop)
        users = authority.Authority(path / "users", "users")
        cls.kms_pair = users.issue("sip:kms@example.com", "kms")
        cls.alice_pair = users.issue(ALICE, "alice")
        cls.kms.configure_certificates(*cls.kms_pair, users.certificate)
        stub_folder = path / "stubs"
        stub_folder.mkdir()
        cls.stubs = ticket_port.Stubs(stub_folder)
        admin = ticket_port.AdminPort(cls.stubs, cls.kms.admin_socket)
        cls.addClassCleanup(admin.close)
        # The sender of the vector, with its key under its name.
        admin.create_user(ALICE, cls.psk, b"alice-psk")
        admin.create_user(BOB, os.urandom(32))
        cls.port = ticket_port.TicketPort(cls.stubs, cls.kms.ticket_address, cls.kms.ca)
        cls.addClassCleanup(lambda: cls.port.close())

    def wish(self, **changes):
        now = time.time()
        parts = {"kms": (mt.ID_NAI, self.vector["inputs"]["ids"]["kms"].encode()),
                 "initiator": ALICE.encode(), "responders": [BOB.encode()],
                 "valid_from": now - 60, "valid_to": now + 3600}
        return mt.Wish(**(parts | changes))

    def build(self, psk=None, psk_id=b"alice-psk", suite=mt.SUITE_256, timestamp=None, **changes):
        # RFC 6043 12.1: RANDRi is as long as the PSK, whatever the suite.
        return mt.build_request_init(psk or self.psk, psk_id, self.wish(**changes), suite,
                                     timestamp, randr_i=os.urandom(len(self.psk)))

    def refused(self, message):
        with self.assertRaises(grpc.RpcError) as caught:
            self.port.request(message)
        error = caught.exception
        return error.code(), self.port.refusal_of(error), error

    # ---- Ticket Request

    def test_own_request_init_gets_a_request_resp_that_verifies(self):
        """KMS-1: MAC and KEMAC of REQUEST_RESP; the policy as wished, with the times granted."""
        request = self.build()
        granted = mt.verify_request_resp(request, self.port.request(request.message))
        self.assertEqual(granted.policy.ticket_type, (2, 1, 1))
        self.assertEqual(granted.policy.flags, "DEFGHINO")
        self.assertEqual(granted.policy.initiator, ALICE.encode())
        self.assertEqual(granted.policy.responders, [BOB.encode()])
        self.assertGreater(granted.policy.valid_to, time.time() + 3000)
        self.assertEqual([len(granted.mpk_i), len(granted.mpk_r)], [32, 32])
        self.assertNotEqual(granted.mpk_i, granted.mpk_r)
        [(kind, key, spi)] = granted.session_keys
        self.assertEqual((kind, len(key), spi), (mt.KEY_TGK, 32, b"\x00\x00\x00\x01"))
        self.assertNotEqual(key, bytes(32))

    def test_request_init_with_a_certificate_gets_a_request_resp_that_verifies(self):
        """KMS-1: REQUEST_INIT_PK, under both suites; a signature that is wrong proves nobody."""
        kms = x509.load_pem_x509_certificate(self.kms_pair[0].read_bytes())
        chain = [x509.load_pem_x509_certificate(self.alice_pair[0].read_bytes())]
        key = load_pem_private_key(self.alice_pair[1].read_bytes(), None)
        for suite in (mt.SUITE_256, mt.SUITE_128):
            request = mt.build_request_init_pk(key, chain, kms, self.wish(), suite)
            granted = mt.verify_request_resp(request, self.port.request(request.message))
            self.assertEqual(granted.policy.initiator, ALICE.encode())
            self.assertEqual(len(granted.mpk_i), suite.key_octets)
        message = mt.build_request_init_pk(key, chain, kms, self.wish()).message
        code, _, _ = self.refused(message[:-1] + bytes([message[-1] ^ 1]))
        self.assertEqual(code, grpc.StatusCode.UNAUTHENTICATED)

    def test_128_bit_suite_on_request(self):
        """KMS-1: PRF MIKEY-1, AES-CM-128 and HMAC-SHA-1-160 together."""
        request = self.build(suite=mt.SUITE_128)
        granted = mt.verify_request_resp(request, self.port.request(request.message))
        self.assertEqual(len(granted.mpk_i), 16)

    def test_policy_is_cut_down_and_says_so(self):
        """KMS-1: a month is more than is granted: TRe comes down and flag K tells."""
        request = self.build(valid_to=time.time() + 31 * 86400)
        granted = mt.verify_request_resp(request, self.port.request(request.message))
        self.assertIn("K", granted.policy.flags)
        self.assertLess(granted.policy.valid_to, time.time() + 30 * 86400)
        self.assertGreater(granted.policy.valid_to, time.time())

    def test_contradicting_flags_are_refused(self):
        """KMS-1: RFC 6043 6.10, I implies E."""
        code, _, _ = self.refused(self.build(flags="DFGHINO").message)
        self.assertEqual(code, grpc.StatusCode.INVALID_ARGUMENT)

    # ---- Replay and clock (KMS-6)

    def test_unchanged_octets_of_a_vector_get_invalid_ts(self):
        """KMS-6: the sender is known, its MAC right, the timestamp years away."""
        message = bytes.fromhex(self.vector["messages"]["REQUEST_INIT"])
        code, refusal, _ = self.refused(message)
        self.assertEqual(code, grpc.StatusCode.OUT_OF_RANGE)
        csb_id, number, has_mac = mt.read_error(refusal.mikey_error)
        self.assertEqual(number, mt.ERROR_INVALID_TS)
        self.assertEqual(csb_id, message[4:8])
        self.assertTrue(has_mac, "the sender proved itself: the Error message is authenticated")
        self.assertLess(abs(refusal.server_time.seconds - time.time()), 30)

    def test_replay_is_refused(self):
        """KMS-6: the same octets a second time."""
        request = self.build()
        self.port.request(request.message)
        code, refusal, _ = self.refused(request.message)
        self.assertEqual(code, grpc.StatusCode.OUT_OF_RANGE)
        self.assertEqual(mt.read_error(refusal.mikey_error)[1], mt.ERROR_INVALID_TS)

    def test_replay_is_refused_after_kill_and_restart(self):
        """KMS-6: kill -9 right after the answer; the same octets to the next process."""
        request = self.build()
        self.port.request(request.message)
        self.kms.daemon.kill()
        self.kms.start()
        # The channel may still be backing off from the connection that broke.
        port = ticket_port.TicketPort(self.stubs, self.kms.ticket_address, self.kms.ca)
        self.addCleanup(port.close)
        with self.assertRaises(grpc.RpcError) as caught:
            port.request(request.message)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.OUT_OF_RANGE)
        fresh = self.build()
        mt.verify_request_resp(fresh, port.request(fresh.message))
        type(self).port.close()
        type(self).port = ticket_port.TicketPort(self.stubs, self.kms.ticket_address, self.kms.ca)

    def test_clock_skew_on_both_sides(self):
        """KMS-6: a minute either way is allowed, an hour is not."""
        now = time.time()
        self.port.request(self.build(timestamp=mt.ntp_utc(now - 30)).message)
        for wrong in (now - 3600, now + 3600):
            code, _, _ = self.refused(self.build(timestamp=mt.ntp_utc(wrong)).message)
            self.assertEqual(code, grpc.StatusCode.OUT_OF_RANGE)

    # ---- Senders that prove nothing (KMS-7)

    def test_unknown_identity_and_wrong_key_look_the_same(self):
        """KMS-7: nobody learns who exists."""
        attempts = {
            "wrong key": self.build(psk=os.urandom(32)),
            "unknown key id": self.build(psk_id=b"nobody's"),
            "unknown identity": self.build(initiator=b"sip:nobody@example.com"),
        }
        seen = []
        for what, request in attempts.items():
            code, refusal, error = self.refused(request.message)
            self.assertEqual(code, grpc.StatusCode.UNAUTHENTICATED, what)
            refusal.ClearField("server_time")
            seen.append((error.details(), refusal.SerializeToString()))
        self.assertEqual(len(set(seen)), 1, seen)

    def test_garbage_is_refused_as_invalid(self):
        """KMS-7: what cannot be parsed, and what belongs to the other call."""
        resolve_init = bytes.fromhex(self.vector["messages"]["RESOLVE_INIT"])
        for message in (b"", b"\x01", os.urandom(200), self.build().message[:-1], resolve_init):
            code, _, _ = self.refused(message)
            self.assertEqual(code, grpc.StatusCode.INVALID_ARGUMENT, message.hex())

    # ---- The stream

    def exchange_request(self, sequence, mikey):
        return self.stubs.ticket.ExchangeRequest(sequence=sequence, mikey=mikey)

    def test_stream_answers_every_sequence_and_ends_after_half_close(self):
        """KMS-1, KMS-2: several messages at once, a refusal among them, then OK."""
        requests = {sequence: self.build() for sequence in (7, 1, 400)}
        wrong = self.build(psk=os.urandom(32))
        sent = [self.exchange_request(sequence, request.message)
                for sequence, request in requests.items()]
        sent.insert(1, self.exchange_request(2, wrong.message))
        call = self.port.exchange(iter(sent))
        answers = {answer.sequence: answer for answer in call}
        self.assertEqual(call.code(), grpc.StatusCode.OK)
        self.assertEqual(set(answers), {1, 2, 7, 400})
        for sequence, request in requests.items():
            mt.verify_request_resp(request, answers[sequence].mikey)
        self.assertEqual(answers[2].WhichOneof("outcome"), "refusal")
        self.assertEqual(answers[2].refusal.code, grpc.StatusCode.UNAUTHENTICATED.value[0])

    def test_stream_refuses_a_replay_of_a_unary_call(self):
        """KMS-6: one memory for both."""
        request = self.build()
        self.port.request(request.message)
        [answer] = self.port.exchange(iter([self.exchange_request(1, request.message)]))
        self.assertEqual(answer.refusal.code, grpc.StatusCode.OUT_OF_RANGE.value[0])

    def test_stream_with_a_duplicate_sequence_ends_with_invalid_argument(self):
        """A sequence is unique among those outstanding."""
        # Many of them, so that the first is still outstanding when its duplicate is read.
        sent = [self.exchange_request(9, self.build().message) for _ in range(200)]
        call = self.port.exchange(iter(sent))
        with self.assertRaises(grpc.RpcError):
            for _ in call:
                pass
        self.assertEqual(call.code(), grpc.StatusCode.INVALID_ARGUMENT)

    def test_stream_sequence_may_be_used_again_after_its_answer(self):
        """One at a time under the same sequence."""
        waiting = queue.Queue()
        call = self.port.exchange(iter(waiting.get, None))
        for _ in range(3):
            request = self.build()
            waiting.put(self.exchange_request(5, request.message))
            answer = next(call)
            self.assertEqual(answer.sequence, 5)
            mt.verify_request_resp(request, answer.mikey)
        waiting.put(None)
        self.assertEqual(list(call), [])
        self.assertEqual(call.code(), grpc.StatusCode.OK)


if __name__ == "__main__":
    unittest.main()
