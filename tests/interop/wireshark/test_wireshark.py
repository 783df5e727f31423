"""deploy/wireshark/mikey_ticket.lua in the real tshark, over captures that text2pcap made.

What a field has to hold comes from the inputs and steps of the vectors; what is malformed, from the
decoder in tests/differential.
"""

import base64
import collections
import datetime
import functools
import itertools
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path[:0] = [str(pathlib.Path(__file__).parent), str(ROOT / "tests/differential")]
import message_generator  # noqa: E402
import rfc_decoder  # noqa: E402
from tshark import SCRIPT, SIP_TCP, SIP_UDP, Tshark, key_mgmt, sdp, sip  # noqa: E402

SCENARIOS = json.loads((ROOT / "lib/mikey/vectors/mikey-ticket-1.json").read_text())["scenarios"]
# Every message of every scenario: (scenario, name, octets).
MESSAGES = [(scenario, name, bytes.fromhex(octets)) for scenario, content in SCENARIOS.items()
            for name, octets in content["messages"].items()]

DATA_TYPES = ["Pre-shared", "PSK ver msg", "Public key", "PK ver msg", "D-H init", "D-H resp",
              "Error", "DHHMAC init", "DHHMAC resp", "RSA-R I_MSG", "RSA-R R_MSG",
              "REQUEST_INIT_PSK", "REQUEST_INIT_PK", "REQUEST_RESP", "TRANSFER_INIT",
              "TRANSFER_RESP", "RESOLVE_INIT_PSK", "RESOLVE_INIT_PK", "RESOLVE_RESP"]
LAST, KEMAC, PKE, DH, SIGN, T, ID, CERT, CHASH, V, SP, RAND, ERR = range(13)
TR, IDR, RANDR, TP, TICKET, KEY_DATA, EXT = 13, 14, 15, 16, 17, 20, 21
FLAGS = "DEFGHIJKLMNO"


def message_of(scenario, name):
    return bytes.fromhex(SCENARIOS[scenario]["messages"][name])


def kind_of(name):
    """UPDATE1_TRANSFER_INIT is a TRANSFER_INIT."""
    return "ERROR" if name.startswith("ERROR") else re.sub(r"^UPDATE\d_", "", name)


def shown_time(octets):
    """An NTP timestamp as tshark shows it (RFC 4330 3: the first bit decides the era)."""
    seconds, fraction = int.from_bytes(octets[:4]), int.from_bytes(octets[4:8].ljust(4, b"\0"))
    if not octets[0] & 0x80:
        seconds += 1 << 32
    moment = datetime.datetime(1900, 1, 1) + datetime.timedelta(seconds=seconds)
    return f"{moment:%b %e, %Y %H:%M:%S}.{(fraction * 10 ** 9) >> 32:09d} UTC"


def u16(value):
    return value.to_bytes(2)


def chain(*payloads):
    """(type of the first, octets) of payloads (type, what follows Next Payload)."""
    following = [kind for kind, _ in payloads[1:]] + [LAST]
    octets = b"".join((b"" if kind == SIGN else bytes([after])) + body
                      for (kind, body), after in zip(payloads, following))
    return payloads[0][0] if payloads else LAST, octets


def build(data_type, *payloads, cs_count=0, map_type=1, map_info=b"", version=1):
    first, octets = chain(*payloads)
    return bytes([version, data_type, first, 0, 1, 2, 3, 4, cs_count, map_type]) + map_info + octets


def policy(flags, tp_data, ticket_type=(1, 1, 1)):
    bits = sum(0x800 >> FLAGS.index(letter) for letter in flags) << 5 | 1 << 17
    kind, subtype, version = ticket_type
    return u16(kind) + bytes([subtype, version]) + bits.to_bytes(3) + u16(len(tp_data)) + tp_data


def kemac(*keys, encr_alg=0):
    """NULL encryption and MAC; keys: what follows Next Payload of each key data sub-payload."""
    _, octets = chain(*((KEY_DATA, key) for key in keys))
    return KEMAC, bytes([encr_alg]) + u16(len(octets)) + octets + b"\0"


def key(kind, data, salt=None, validity=b"", kv=0):
    return (bytes([kind << 4 | kv]) + u16(len(data)) + data +
            (b"" if salt is None else u16(len(salt)) + salt) + validity)


TIME = (T, b"\x00" + bytes.fromhex("ed2bc44bfa0ec8d3"))
MAC = (V, b"\x01" + bytes(range(20)))


def for_each_message(test):
    """test(self, scenario, name, inputs, shown) for each message of the vectors."""
    @functools.wraps(test)
    def run(self):
        self.assertEqual(len(self.shown), len(MESSAGES))
        for (scenario, name, _), shown in zip(MESSAGES, self.shown):
            with self.subTest(scenario=scenario, message=name):
                test(self, scenario, name, SCENARIOS[scenario]["inputs"], shown)
    return run


class WithTshark(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tshark = Tshark()
        cls.addClassCleanup(cls.tshark.close)

    def assert_clean(self, capture, **options):
        """Nobody, tshark or the script, has anything to remark on any packet."""
        remarked = self.tshark.run("-r", capture, "-Y", "_ws.expert || _ws.malformed || _ws.lua",
                                   "-T", "fields", "-e", "frame.number", "-e",
                                   "_ws.expert.message", **options)
        self.assertEqual(remarked, "")

    def assert_every_octet_is_shown_once(self, tree, message):
        """The leaves of a tree cover the message from end to end and do not overlap."""
        def is_leaf(field):
            return all(child.get("name").startswith("_ws.") for child in field)

        spans = {(int(leaf.get("pos")), int(leaf.get("size"))) for leaf in tree.iter("field")
                 if is_leaf(leaf) and int(leaf.get("size")) > 0}
        at = 0
        for position, size in sorted(spans):
            self.assertEqual(position, at, f"in {message.hex()}")
            at += size
        self.assertEqual(at, len(message), f"of {message.hex()}")


class Vectors(WithTshark):
    """Every message of lib/mikey/vectors, bare."""

    FIELDS = ["hdr.data_type", "hdr.csb_id", "hdr.prf", "t.time", "t.counter", "trs", "tre", "trr",
              "idri", "idrr", "idrkms", "idrpsk", "randri", "randrr", "randrkms", "rand.data",
              "ticket.type", "ticket.subtype", "ticket.version", "v.mac", "vi.mac", "vr.mac",
              *(f"flag.{letter.lower()}" for letter in FLAGS)]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.capture = cls.tshark.capture([octets for _, _, octets in MESSAGES])
        rows = cls.tshark.fields(cls.capture, [f"mikey_ticket.{name}" for name in cls.FIELDS])
        cls.shown = [{name.removeprefix("mikey_ticket."): values for name, values in row.items()}
                     for row in rows]

    @staticmethod
    def has_ticket(name):
        return name in ("REQUEST_RESP", "TRANSFER_INIT", "RESOLVE_INIT")

    def test_nothing_is_remarked(self):
        self.assert_clean(self.capture)

    def test_every_octet_is_shown_once(self):
        trees = self.tshark.trees(self.capture, "mikey_ticket")
        for (tree,), (_, _, octets) in zip(trees, MESSAGES, strict=True):
            self.assert_every_octet_is_shown_once(tree, octets)

    def test_nothing_is_left_undecoded(self):
        self.assertEqual(self.tshark.run("-r", self.capture, "-Y", "mikey_ticket.undecoded"), "")

    @for_each_message
    def test_data_type_csb_id_and_prf(self, scenario, name, inputs, shown):
        names = {"ERROR": 6, "REQUEST_INIT": 11, "REQUEST_RESP": 13, "TRANSFER_INIT": 14,
                 "TRANSFER_RESP": 15, "RESOLVE_INIT": 16, "RESOLVE_RESP": 18}
        kind = kind_of(name)
        self.assertEqual(shown["hdr.data_type"], [str(names[kind])])
        self.assertEqual(shown["hdr.prf"], [str(inputs["suite"]["prf"])])
        if kind != "ERROR":
            csb_id = inputs[kind.split("_")[0].lower() + "_csb_id"]
            self.assertEqual(shown["hdr.csb_id"], ["0x" + csb_id])

    @for_each_message
    def test_timestamps(self, scenario, name, inputs, shown):
        updates = {"UPDATE1_TRANSFER_INIT": "update1_t1", "UPDATE1_TRANSFER_RESP": "update1_t2",
                   "UPDATE2_TRANSFER_INIT": "update2_t1", "UPDATE2_TRANSFER_RESP": "update2_t2"}
        times = [inputs[updates.get(name, name.lower() + "_t")]]
        if self.has_ticket(name):
            times.append(inputs["ticket_t"])
        if scenario == "k":
            self.assertEqual(shown["t.counter"], [str(int(value, 16)) for value in times])
        else:
            self.assertEqual(shown["t.time"],
                             [shown_time(bytes.fromhex(value)) for value in times])

    @for_each_message
    def test_identities(self, scenario, name, inputs, shown):
        ids = inputs["ids"]
        alice, bob, kms = ids["alice"], ids["bob"], ids["kms"]
        authorized = [bob] if scenario in "mn" else [ids["helpdesk"], bob]
        tpk = ["tpk-7"]
        initiators, responders, servers, keys = {
            "REQUEST_INIT": ([alice, alice], authorized, [kms, kms], ["alice-psk"]),
            "REQUEST_RESP": ([alice], authorized, [kms, kms], tpk),
            "TRANSFER_INIT": ([alice, alice], authorized[:1] + authorized, [kms], tpk),
            "TRANSFER_RESP": ([], [bob], [], []),
            "RESOLVE_INIT": ([alice], [bob, *authorized], [kms, kms], tpk + ["bob-psk"]),
            # IDRr is half of the modifier: it is there when keys are forked.
            "RESOLVE_RESP": ([], [bob] if "randrkms" in inputs else [], [kms], []),
            "UPDATE1_TRANSFER_INIT": ([alice], [bob], [], []),
            "UPDATE1_TRANSFER_RESP": ([], [bob], [], []),
            "UPDATE2_TRANSFER_INIT": ([alice], [bob], [], []),
            "UPDATE2_TRANSFER_RESP": ([alice], [], [], []),
        }.get(name, ([], [], [], []))
        self.assertEqual(shown["idri"], initiators)
        self.assertEqual(shown["idrr"], responders)
        self.assertEqual(shown["idrkms"], servers)
        self.assertEqual(shown["idrpsk"], keys)

    @for_each_message
    def test_rands(self, scenario, name, inputs, shown):
        expected = {
            "REQUEST_INIT": {"randri": "request_randri"},
            "TRANSFER_INIT": {"randri": "transfer_randri"},
            "TRANSFER_RESP": {"randrr": "transfer_randrr", "randrkms": "randrkms"},
            "RESOLVE_INIT": {"randrr": "resolve_randrr"},
            "RESOLVE_RESP": {"randrkms": "randrkms"},
        }.get(name, {})
        for role in ("randri", "randrr", "randrkms"):
            value = inputs.get(expected.get(role))
            self.assertEqual(shown[role], [value] if value else [], role)
        self.assertEqual(shown["rand.data"],
                         [inputs["ticket_rand"]] if self.has_ticket(name) else [])

    @for_each_message
    def test_ticket_policy(self, scenario, name, inputs, shown):
        """Type, subtype and version of the MIKEY and the 3GPP base ticket; flags; validity."""
        if name != "REQUEST_INIT" and not self.has_ticket(name):
            self.assertEqual(shown["ticket.type"], [])
            return
        self.assertEqual([shown[f"ticket.{part}"] for part in ("type", "subtype", "version")],
                         [["2" if scenario in "mn" else "1"], ["1"], ["1"]])
        flags = [letter for letter in FLAGS if shown[f"flag.{letter.lower()}"] == ["1"]]
        self.assertEqual("".join(flags), inputs["ticket_flags"])
        self.assertEqual(shown["trs"], [shown_time(bytes.fromhex(inputs["trs"]))])
        self.assertEqual(shown["tre"], [shown_time(bytes.fromhex(inputs["tre"]))])
        self.assertEqual(shown["trr"], ["3600"])

    @for_each_message
    def test_macs(self, scenario, name, inputs, shown):
        """V of the message, V of the ticket, and Vi and Vr of the Initiator Data."""
        def tags(what):
            return [step["tag"] for step in SCENARIOS[scenario]["steps"]
                    if step["step"] == "mac" and step["what"] == what]

        def data_type(other):
            kind = kind_of(other)
            return {"REQUEST_INIT": "REQUEST_INIT_PSK", "RESOLVE_INIT": "RESOLVE_INIT_PSK",
                    "ERROR": "Error"}.get(kind, kind)

        # Updates and errors come in the order of their steps; the last error has no V.
        of_this_type = [other for other in SCENARIOS[scenario]["messages"]
                        if data_type(other) == data_type(name)]
        number = of_this_type.index(name)
        own = tags(data_type(name) + " V")[number:number + 1]
        self.assertEqual(own == [], name == "ERROR_unauthenticated")
        ticket = tags("ticket V") if self.has_ticket(name) else []
        self.assertEqual(shown["v.mac"], ticket + own)
        forked = name in ("TRANSFER_INIT", "RESOLVE_INIT") and "I" in inputs["ticket_flags"]
        self.assertEqual(shown["vi.mac"], tags("TRANSFER_INIT V")[:1] if forked else [])
        self.assertEqual(shown["vr.mac"], tags("Initiator Data Vr") if forked else [])

    def test_kemacs(self):
        """What is encrypted is shown as it is; the wish of a TP is looked into."""
        encrypted = {step["output"] for content in SCENARIOS.values() for step in content["steps"]
                     if step["step"] == "encrypt"}
        rows = self.tshark.fields(self.capture, [
            "mikey_ticket.kemac.encr_alg", "mikey_ticket.kemac.encr_data", "mikey_ticket.key.data"])
        seen = set()
        for (_, name, _), row in zip(MESSAGES, rows, strict=True):
            algorithms, data, keys = row.values()
            if name == "REQUEST_INIT":
                self.assertEqual(set(algorithms), {"0"} if keys else set())
                self.assertTrue(all(set(key) == {"0"} for key in keys))
            else:
                self.assertEqual(keys, [])
                seen.update(data)
        self.assertEqual(seen, encrypted)

    def test_desired_keys(self):
        names = ["key.type", "key.len", "key.salt_len", "key.spi"]
        wish = self.tshark.fields(self.tshark.capture([message_of("f", "REQUEST_INIT")]),
                                  [f"mikey_ticket.{name}" for name in names])[0]
        inputs = SCENARIOS["f"]["inputs"]
        self.assertEqual(list(wish.values()), [
            ["4", "5", "0"], ["16", "16", "16"], ["14"],
            [inputs["gtgk1_spi"], inputs["gtgk2_spi"], inputs["tgk_spi"]]])


class InSdp(WithTshark):
    """a=key-mgmt at both levels, in SIP over UDP and TCP and in a bare SDP body."""

    LEVEL = ["mikey_ticket.sdp.level", "mikey_ticket.sdp.media", "mikey_ticket.hdr.data_type"]

    def calls(self, level):
        """An INVITE and a 200 for each Ticket Transfer and for each message that is no transfer."""
        for call, (_, name, octets) in enumerate(MESSAGES):
            line = [key_mgmt(octets)]
            body = sdp(session=line, media=[[]]) if level == "session" else sdp(media=[line])
            yield sip(body, call, response=name.endswith("RESP"))

    def assert_all_shown(self, level, around):
        capture = self.tshark.capture(list(self.calls(level)), around)
        self.assert_clean(capture)
        bare = self.tshark.capture([octets for _, _, octets in MESSAGES])
        names = [f"mikey_ticket.{name}" for name in Vectors.FIELDS]
        self.assertEqual(self.tshark.fields(capture, names), self.tshark.fields(bare, names))
        media = ["message 7394 TCP/TLS/MSRP *"] if level == "media" else []
        for row in self.tshark.fields(capture, self.LEVEL):
            self.assertEqual(row["mikey_ticket.sdp.level"], [level])
            self.assertEqual(row["mikey_ticket.sdp.media"], media)

    def test_media_level_over_udp(self):
        self.assert_all_shown("media", SIP_UDP)

    def test_session_level_over_udp(self):
        self.assert_all_shown("session", SIP_UDP)

    def test_media_level_over_tcp(self):
        self.assert_all_shown("media", SIP_TCP)

    def test_session_level_over_tcp(self):
        self.assert_all_shown("session", SIP_TCP)

    def test_a_sip_message_in_several_segments(self):
        whole = sip(sdp(media=[[key_mgmt(message_of("m", "TRANSFER_INIT"))]]), 1)
        segments = [whole[at:at + 400] for at in range(0, len(whole), 400)]
        capture = self.tshark.capture(segments, SIP_TCP)
        rows = self.tshark.fields(capture, self.LEVEL)
        self.assertEqual([row["mikey_ticket.hdr.data_type"] for row in rows],
                         [[]] * (len(segments) - 1) + [["14"]])

    def test_a_bare_body_with_several_lines(self):
        """Each message is shown, with the level and the m= line that it belongs to."""
        body = sdp(session=[key_mgmt(message_of("c", "REQUEST_INIT"))],
                   media=[[key_mgmt(message_of("c", "TRANSFER_INIT")), "a=key-mgmt:keyp1 AAAA"], [],
                          [key_mgmt(message_of("m", "TRANSFER_RESP")),
                           key_mgmt(message_of("i", "ERROR_unauthenticated"))]])
        capture = self.tshark.capture([body.encode()])
        self.assert_clean(capture, bare_as="sdp")
        row = self.tshark.fields(capture, self.LEVEL, bare_as="sdp")[0]
        self.assertEqual(row["mikey_ticket.sdp.level"], ["session", "media", "media", "media"])
        self.assertEqual(row["mikey_ticket.sdp.media"],
                         ["message 7394 TCP/TLS/MSRP *"] + ["message 7396 TCP/TLS/MSRP *"] * 2)
        self.assertEqual(row["mikey_ticket.hdr.data_type"], ["11", "14", "15", "6"])

    def test_the_packet_list_names_the_message(self):
        capture = self.tshark.capture(
            [sip(sdp(media=[[key_mgmt(message_of("m", "TRANSFER_INIT"))]]), 1)], SIP_UDP)
        self.assertRegex(self.tshark.run("-r", capture), r"INVITE .*\[TRANSFER_INIT\]\n$")

    def test_base64_is_read_strictly(self):
        good = base64.b64encode(message_of("i", "ERROR_unauthenticated") + b"\0").decode()
        self.assertTrue(good.endswith("AA=="))
        wrong = {"": "no message follows",
                 " ": "no message follows",
                 f" {good[:-1]}": "not a multiple of 4",
                 f" {good[:-2]}": "not a multiple of 4",
                 f" {good[:8]}-_{good[10:]}": "not a Base64 digit at position 9",
                 f" {good[:8]}=={good[10:]}": "not a Base64 digit at position 9",
                 f"  {good}": "not a multiple of 4",
                 f" {good[:-3]}B==": "bits that encode nothing"}
        body = sdp(media=[[f"a=key-mgmt:mikey{text}"] for text in wrong])
        row = self.tshark.fields(self.tshark.capture([body.encode()]),
                                 ["_ws.expert.message", "mikey_ticket.hdr"], bare_as="sdp")[0]
        self.assertEqual(row["mikey_ticket.hdr"], [])
        self.assertEqual(len(row["_ws.expert.message"]), len(wrong))
        for said, expected in zip(row["_ws.expert.message"], wrong.values()):
            self.assertIn(expected, said)

    def test_other_protocols_and_attributes_are_left_alone(self):
        body = sdp(session=["a=key-mgmt:keyp1 !!", "a=key-mgmt:mikey2 !!"],
                   media=[["a=x-key-mgmt:mikey !!", "a=key-mgmtx:mikey !!"]])
        self.assertEqual(self.tshark.run("-r", self.tshark.capture([body.encode()]), "-Y",
                                         "mikey_ticket || _ws.expert", bare_as="sdp"), "")


class Bare(WithTshark):
    """Messages with no SDP around them."""

    def data_types(self, port, *arguments):
        capture = self.tshark.capture([message_of("m", "TRANSFER_INIT")], ("-u", f"40000,{port}"))
        return self.tshark.run("-r", capture, "-T", "fields", "-e", "mikey_ticket.hdr.data_type",
                               *arguments).strip()

    def test_on_the_port_of_mikey(self):
        self.assertEqual(self.data_types(2269), "14")

    def test_decode_as(self):
        self.assertEqual(self.data_types(4711), "")
        self.assertEqual(self.data_types(4711, "-d", "udp.port==4711,mikey_ticket"), "14")

    def test_the_packet_list_names_every_data_type(self):
        capture = self.tshark.capture([build(data_type, TIME) for data_type in range(19)])
        rows = self.tshark.fields(capture, ["_ws.col.Protocol", "_ws.col.Info"])
        self.assertEqual([(row["_ws.col.Protocol"], row["_ws.col.Info"]) for row in rows],
                         [(["MIKEY"], [name]) for name in DATA_TYPES])

    def test_other_mikey_documents_are_left_to_wireshark(self):
        """RFC 6509: data type 26 is a SAKKE message."""
        message = build(26, (T, b"\x00" + bytes(8)), cs_count=0, map_type=0)
        lines = [key_mgmt(message)]
        for capture, around in ((self.tshark.capture([message]), "mikey_ticket"),
                                (self.tshark.capture([sdp(lines, [lines]).encode()]), "sdp")):
            row = self.tshark.fields(capture, ["mikey.type", "mikey_ticket"], bare_as=around)[0]
            self.assertEqual(set(row["mikey.type"]), {"26"})
            self.assertEqual(row["mikey_ticket"], [])


class Payloads(WithTshark):
    """What the vectors have no message for: the rest of RFC 3830, RFC 4563 and RFC 6043."""

    SPI = b"\x04SPI1"

    def shown(self, *messages):
        """Field names (without mikey_ticket) to values of some clean messages."""
        values = {}
        trees = self.tshark.trees(self.tshark.capture(messages), "mikey_ticket")
        for (tree,), message in zip(trees, messages, strict=True):
            self.assert_every_octet_is_shown_once(tree, message)
            for field in tree.iter("field"):
                name = field.get("name").removeprefix("mikey_ticket.")
                values.setdefault(name, []).append(field.get("show"))
        self.assertEqual([name for name in values if name.startswith("_ws.")], [])
        return values

    def test_public_key_message_with_srtp_id_map(self):
        shown = self.shown(build(
            2, TIME, (RAND, b"\x10" + bytes(16)), (ID, b"\x01" + u16(5) + b"sip:a"),
            (CERT, b"\x00" + u16(3) + b"DER"), (CERT, b"\x01" + u16(10) + b"http://a/b"),
            (CHASH, b"\x00" + bytes(20)), (CHASH, b"\x01" + bytes(16)),
            (CHASH, b"\x02" + bytes(32)),
            (SP, b"\x07\x00" + u16(21) + b"\x00\x01\x02\x06\x04\x00\x00\x01\x00\x09\x01\x00\x0c\x01"
                 b"\x08\x63\x02\xaa\xbb\x0a\x00"),
            (KEMAC, b"\x01" + u16(4) + b"KEYS" + b"\x01" + bytes(20)),
            (PKE, u16(2 << 14 | 6) + b"SEALED"), (SIGN, u16(1 << 12 | 4) + b"SIGN"),
            cs_count=2, map_type=0,
            map_info=b"\x00\x11\x22\x33\x44\x00\x00\x00\x05" + b"\x01" + bytes(8)))
        expected = {
            "cs.policy_no": ["0", "1"], "cs.ssrc": ["0x11223344", "0x00000000"],
            "cs.roc": ["5", "0"], "id.data": ["sip:a"], "cert.data": ["44:45:52"],
            "cert.url": ["http://a/b"], "chash.func": ["0", "1", "2"], "sp.policy_no": ["7"],
            "srtp.encr_alg": ["2"], "srtp.key_derivation_rate": ["256"], "srtp.fec_order": ["0"],
            "srtp.prefix_len": ["8"], "sp.param.type": ["0", "6", "9", "12", "99", "10"],
            "sp.param.value": ["aa:bb"], "kemac.encr_data": ["4b:45:59:53"], "pke.cache": ["2"],
            "pke.len": ["6"], "pke.data": ["53:45:41:4c:45:44"], "sign.type": ["1"],
            "sign.len": ["4"], "sign.signature": ["53:49:47:4e"]}
        self.assertEqual({name: shown.get(name) for name in expected}, expected)

    def test_diffie_hellman(self):
        shown = self.shown(*(build(4, (DH, bytes([group]) + bytes(octets) + b"\x01" + self.SPI))
                             for group, octets in ((0, 192), (1, 96), (2, 128))))
        self.assertEqual((shown["dh.group"], shown["dh.kv"], shown["key.spi"]),
                         (["0", "1", "2"], ["1"] * 3, ["53:50:49:31"] * 3))

    def test_key_data(self):
        """Each type, with a salt where the type says so, and each kind of validity."""
        keys = [key(kind, bytes([kind]) * 16, b"SALT" if kind in (1, 3, 5) else None)
                for kind in range(7)]
        keys.append(key(2, b"K" * 16, None, self.SPI, kv=1))
        keys.append(key(2, b"K" * 16, None, b"\x02ab\x03cde", kv=2))
        shown = self.shown(build(0, TIME, kemac(*keys)))
        self.assertEqual(shown["key.type"], [*"0123456", "2", "2"])
        self.assertEqual(shown["key.salt"], ["53:41:4c:54"] * 3)
        self.assertEqual((shown["key.spi"], shown["key.vf"], shown["key.vt"]),
                         (["53:50:49:31"], ["61:62"], ["63:64:65"]))

    def test_kemac_of_the_public_key_method_begins_with_the_identity(self):
        _, octets = chain((ID, b"\x00" + u16(3) + b"a@b"), (KEY_DATA, key(0, bytes(16))))
        shown = self.shown(build(2, (KEMAC, b"\0" + u16(len(octets)) + octets + b"\0")))
        self.assertEqual((shown["id.data"], shown["key.type"]), (["a@b"], ["0"]))

    def test_extensions(self):
        key_ids = b"\x00\x03DOM" + b"\x01\x02MS" + b"\x02\x00"
        shown = self.shown(build(
            0, (EXT, b"\x00" + u16(2) + b"Vi"), (EXT, b"\x01" + u16(5) + b"mikey"),
            (EXT, b"\x03" + u16(len(key_ids)) + key_ids), (EXT, b"\x03" + u16(0)),
            (EXT, b"\x63" + u16(0))))
        self.assertEqual(shown["ext.type"], ["0", "1", "3", "3", "99"])
        self.assertEqual(shown["ext.sdp_ids"], ["mikey"])
        self.assertEqual(shown["ext.key_id.type"], ["0", "1", "2"])
        self.assertEqual(shown["ext.key_id.data"], ["44:4f:4d", "4d:53"])

    def test_session_data_of_srtp(self):
        """RFC 6043 6.1.1: S says whether ROC and SEQ are there."""
        ssrc, more = b"\x11\x22\x33\x44", b"\x00\x00\x00\x09\x00\x07"
        shown = self.shown(build(
            15, TIME, cs_count=3, map_type=2,
            map_info=b"\x01\x00\x02\x00\x01" + u16(4) + ssrc + b"\x00"
            + b"\x02\x00\x80" + u16(10) + ssrc + more + self.SPI
            + b"\x03\xf1\x00" + u16(2) + b"??" + b"\x00"))
        self.assertEqual(shown["cs.id"], ["1", "2", "3"])
        self.assertEqual(shown["cs.policy_no"], ["0", "1"])
        self.assertEqual((shown["cs.ssrc"], shown["cs.roc"], shown["cs.seq"]),
                         (["0x11223344"] * 2, ["9"], ["7"]))
        self.assertEqual((shown["cs.session_data"], shown["cs.spi"]), (["3f:3f"], ["53:50:49:31"]))

    def test_every_error_number(self):
        message = build(6, TIME, *((ERR, bytes([number, 0, 0])) for number in range(16)))
        tree = self.tshark.run("-r", self.tshark.capture([message]), "-V")
        self.assertEqual(re.findall(r"^    ERR: (.*)$", tree, re.MULTILINE), [
            "Auth failure", "Invalid TS", "Invalid PRF", "Invalid MAC", "Invalid EA", "Invalid HA",
            "Invalid DH", "Invalid ID", "Invalid Cert", "Invalid SP", "Invalid SPpar", "Invalid DT",
            "Unspecified error", "Unsupported message type", "Invalid TICKET", "Invalid TPpar"])

    def test_timestamps_on_both_sides_of_2036(self):
        stamps = [bytes.fromhex(text) for text in ("8000000000000000", "ffffffffffffffff",
                                                   "0000000000000000", "7fffffff80000000")]
        shown = self.tshark.fields(
            self.tshark.capture([build(13, *((T, b"\x00" + stamp) for stamp in stamps),
                                       (T, b"\x03" + stamps[2][:4]), (T, b"\x01" + stamps[1]))]),
            ["mikey_ticket.t.time"])[0]["mikey_ticket.t.time"]
        self.assertEqual(shown, [shown_time(stamp) for stamp in stamps]
                         + [shown_time(stamps[2][:4]), shown_time(stamps[1])])
        self.assertIn("1968", shown[0])
        self.assertIn("2036", shown[2])

    def test_roles_without_a_name_keep_their_values(self):
        shown = self.shown(build(
            13, (TR, b"\x01\x00" + bytes(8)), (TR, b"\x63\x03" + bytes(4)),
            (TR, b"\x04\x02" + bytes(4)), (IDR, b"\x63\x01" + u16(3) + b"a:b"),
            (RANDR, b"\x63\x02zz"), (IDR, b"\x04\x02" + u16(3) + b"\xff\x00\x01")))
        self.assertEqual((shown["idr.data"], shown["randr.data"], shown["tr.counter"]),
                         (["a:b"], ["7a:7a"], ["0"]))
        self.assertEqual((len(shown["tri"]), len(shown["tr.time"])), (1, 1))
        self.assertEqual(shown["id.octets"], ["ff:00:01"])

    def test_ticket_data_of_another_type_is_left_alone(self):
        ticket = policy("DEFHNO", b"\0", (61440, 1, 1)) + u16(4) + b"\xff\xff\xff\xff" + u16(0)
        shown = self.shown(build(14, (TICKET, ticket)))
        self.assertEqual(shown["undecoded"], ["ff:ff:ff:ff"])

    def test_a_ticket_inside_a_ticket_is_not_looked_into(self):
        """RFC 6043 6.10: unexpected payloads in TP Data are ignored."""
        inner = policy("DEFHNO", b"\xff" * 9) + u16(3) + b"\xff" * 3 + u16(2) + b"\xff" * 2
        first, tp_data = chain((TICKET, inner), (IDR, b"\x02\x01" + u16(3) + b"a:b"))
        shown = self.shown(build(11, (TP, policy("DEFHNO", bytes([first]) + tp_data))))
        self.assertEqual(shown["undecoded"], [":".join(["ff"] * n) for n in (9, 3, 2)])
        self.assertEqual(shown["idrr"], ["a:b"])


class Malformed(WithTshark):
    """Expert infos, and what is decoded in spite of them."""

    def remarks(self, messages):
        """For each message the kinds of its expert infos, and their sentences."""
        names = ["mikey_ticket.malformed", "mikey_ticket.unassigned", "mikey_ticket.rule"]
        capture = self.tshark.capture(messages)
        for row in self.tshark.fields(capture, [*names, "_ws.expert.message"]):
            yield [name.removeprefix("mikey_ticket.") for name in names if row[name]], \
                " | ".join(row["_ws.expert.message"])

    def test_what_is_told(self):
        def desired(*payloads):
            first, octets = chain(*payloads)
            return TP, policy("DEFHNO", bytes([first]) + octets)

        def granted(*payloads):
            first, octets = chain(*payloads)
            return TICKET, policy("DEFHNO", bytes([first]) + octets, (3, 1, 1)) + u16(0) + u16(0)

        generic = {"cs_count": 1, "map_type": 2}
        expected = (
            (b"\x01", "malformed", "mikey_ticket.hdr.data_type needs 1 octets, 0 are left"),
            (build(14, TIME, version=2), "malformed", "MIKEY version 2; only 1 exists"),
            (build(14, TIME) + b"\0", "malformed", "1 octets follow the last payload"),
            (build(14, (RANDR, b"\x01\x20short")), "malformed",
             "mikey_ticket.randri needs 32 octets, 5 are left (RFC 6043 6.8)"),
            (build(14, (T, b"\0" + bytes(7))), "malformed", "mikey_ticket.t.time needs 8"),
            (build(14, (IDR, b"\x01\x01\xff\xff")), "malformed", "mikey_ticket.idri needs 65535"),
            (build(14, (TP, policy("DEFHNO", b""))), "malformed", "mikey_ticket.first_payload"),
            (build(14, TIME, map_info=b"\x01\x00\x00" + u16(5) + bytes(5) + b"\0", **generic),
             "malformed", "Session Data of SRTP has 4 octets, or 10 if S is set, not 5"),
            (build(14, (19, b"")), "unassigned", "payload of type 19 (unassigned)"),
            (build(14, (KEY_DATA, b"")), "unassigned", "payload of type 20 (Key data)"),
            (build(14, (KEMAC, b"\0" + u16(1) + b"\x01\0")), "malformed", "mikey_ticket.key"),
            (build(14, (V, b"\x03")), "unassigned", "MAC algorithm 3 is unassigned"),
            (build(14, (T, b"\x04")), "unassigned", "TS Type 4 is unassigned"),
            (build(14, (CHASH, b"\x03")), "unassigned", "hash function 3 is unassigned"),
            (build(4, (DH, b"\x03")), "unassigned", "DH group 3 is unassigned"),
            (build(14, kemac(key(7, b"")[:1])), "unassigned", "key type 7 is unassigned"),
            (build(14, kemac(key(0, b"", kv=3))), "unassigned", "KV 3 is unassigned"),
            (build(14, map_type=3), "unassigned", "CS ID map type 3 is unassigned"),
            (build(14, cs_count=1), "rule", "the Empty map goes with #CS = 0, not 1"),
            (build(11, desired(kemac(key(0, b"secret")))), "rule", "not all zero"),
            (build(11, desired(kemac(key(1, bytes(16), b"salt")))), "rule", "not all zero"),
            (build(14, granted(kemac(key(0, bytes(16))))), "rule", "granted Ticket Policy"))
        remarks = self.remarks([message for message, _, _ in expected])
        for (_, kind, sentence), (kinds, sentences) in zip(expected, remarks, strict=True):
            with self.subTest(sentence):
                self.assertEqual(kinds, [kind], sentences)
                self.assertIn(sentence, sentences)

    def test_flags_that_contradict_each_other(self):
        """RFC 6043 6.10, against all 4096 combinations."""
        def broken(letters):
            has = letters.__contains__
            return sum((not has("D") and not has("L"), has("G") and not has("F"),
                        not has("G") and not has("H"), has("I") and not has("E"),
                        has("K") and not has("D"), has("M") and not has("F")))

        combinations = ["".join(letters) for count in range(13)
                        for letters in itertools.combinations(FLAGS, count)]
        capture = self.tshark.capture([build(11, (TP, policy(letters, b"\0")))
                                       for letters in combinations])
        rows = self.tshark.fields(capture, ["mikey_ticket.rule"])
        self.assertEqual([len(row["mikey_ticket.rule"]) for row in rows],
                         [broken(letters) for letters in combinations])

    def test_what_follows_a_broken_ticket_is_still_decoded(self):
        """The lengths of TICKET fence in what is inside it."""
        genuine = message_of("m", "TRANSFER_INIT")
        at = genuine.index(bytes.fromhex(SCENARIOS["m"]["inputs"]["ticket_rand"]))
        broken = bytearray(genuine)
        broken[at - 1] = 0xFF  # the length of RAND in the Ticket Data
        row = self.tshark.fields(self.tshark.capture([bytes(broken)]), [
            "mikey_ticket.malformed", "mikey_ticket.undecoded", "mikey_ticket.v.mac",
            "mikey_ticket.vr.mac"])[0]
        self.assertEqual([len(values) for values in row.values()], [1, 1, 1, 1])
        self.assertTrue(genuine.hex().endswith(row["mikey_ticket.v.mac"][0]))

    def test_every_cut_message_is_malformed(self):
        """No cut is taken for a whole message."""
        whole = [message_of("c", name) for name in SCENARIOS["c"]["messages"]]
        whole += [message_of("i", "ERROR_about_TRANSFER_INIT"), message_of("l", "TRANSFER_RESP")]
        cuts = [octets[:end] for octets in whole for end in range(1, len(octets))]
        accepted = self.tshark.run("-r", self.tshark.capture(cuts), "-Y", "!mikey_ticket.malformed",
                                   "-T", "fields", "-e", "frame.number")
        self.assertEqual(accepted, "")

    def test_a_huge_message_is_not_taken_apart(self):
        """A million tree items is where Wireshark suspects a dissector of an endless loop."""
        huge = build(14, *[(V, b"\0")] * 40000)
        largest = build(14, *[(V, b"\0")] * 32762)
        (huge_kinds, huge_sentences), (largest_kinds, _) = self.remarks([huge, largest])
        self.assertEqual((huge_kinds, largest_kinds), (["malformed"], []))
        self.assertIn("no more than 65535 are decoded", huge_sentences)


class Generated(WithTshark):
    """Thousands of messages of tests/differential: whatever arrives, the script raises no error,
    and it finds malformed what the decoder there refuses."""

    # What that decoder refuses as well and a dissector shows as it is: payloads that are all right
    # one by one, in a number or an order that they must not have.
    ORDER = re.compile(r"^a second |is the last payload of|cannot directly follow|"
                       r"^Ticket Data without")

    def assert_no_error(self, capture, count, **options):
        details = self.tshark.run("-r", capture, "-V", **options)
        self.assertEqual(len(re.findall(r"^Frame \d+:", details, re.MULTILINE)), count)
        self.assertNotIn("Lua Error", details)
        self.assertNotIn("Dissector bug", details)
        summary = self.tshark.run("-r", capture, **options)
        self.assertEqual(summary.count("\n"), count)
        self.assertNotIn("Lua Error", summary)

    def is_broken(self, octets):
        """If a payload cannot be decoded; None if the reference stopped before it could tell."""
        try:
            for payload in rfc_decoder.decode(octets).payloads:
                if payload.type == TICKET and payload.fields[:3] in ((1, 1, 1), (2, 1, 1)):
                    rfc_decoder.decode_ticket_data(octets, payload)
        except rfc_decoder.Refused as refusal:
            return None if self.ORDER.search(refusal.text) else True
        return False

    def test_well_formed_messages(self):
        messages = [message_generator.well_formed(6043, number) for number in range(400)]
        trees = self.tshark.trees(self.tshark.capture(messages), "mikey_ticket")
        for (tree,), octets in zip(trees, messages, strict=True):
            self.assert_every_octet_is_shown_once(tree, octets)

    def test_mutated_messages(self):
        messages = [octets for octets in (message_generator.mutated(6043, number)
                                          for number in range(4000)) if octets]
        capture = self.tshark.capture(messages)
        self.assert_no_error(capture, len(messages))
        rows = self.tshark.fields(capture, ["mikey_ticket", "mikey_ticket.malformed",
                                            "mikey_ticket.unassigned"])
        verdicts = collections.Counter()
        for octets, row in zip(messages, rows, strict=True):
            is_ours = len(octets) < 2 or octets[1] < len(DATA_TYPES)
            self.assertEqual(bool(row.pop("mikey_ticket")), is_ours, octets.hex())
            broken = self.is_broken(octets)
            if is_ours and broken is not None:
                self.assertEqual(any(row.values()), broken, octets.hex())
                verdicts[broken] += 1
        self.assertGreater(min(verdicts[True], verdicts[False]), 1000)

    def test_lines_of_sdp(self):
        """Mutated messages, half of them in mutated Base64, at both levels."""
        generator = random.Random(4567)
        invites = []
        for call in range(800):
            line = list(key_mgmt(message_generator.mutated(4567, call)))
            if generator.random() < 0.5:
                line[generator.randrange(len(line))] = chr(generator.randrange(32, 127))
            text = "".join(line)
            body = sdp([text], [[]]) if call % 2 else sdp([], [[text, text]])
            invites.append(sip(body, call))
        self.assert_no_error(self.tshark.capture(invites, SIP_UDP), len(invites))


class WithoutTheScript(WithTshark):
    """What tshark 4.0 makes of our messages by itself; docs/wireshark.md says it in words."""

    FIELDS = ["mikey.version", "mikey.type", "mikey.csb_id", "mikey.cs_count",
              "mikey.cs_id_map_type", "mikey.id.data", "_ws.expert.message", "sdp.media"]

    def rows(self, level, messages):
        lines = [[key_mgmt(octets)] for _, _, octets in messages]
        bodies = [sdp(line, [[]]) if level == "session" else sdp([], [line]) for line in lines]
        invites = [sip(body, call) for call, body in enumerate(bodies)]
        capture = self.tshark.capture(invites, SIP_UDP)
        return self.tshark.fields(capture, self.FIELDS, with_script=False, bare_as=None)

    def test_media_level_is_not_looked_into_and_not_complained_about(self):
        """Where our offers have it: no remark on any of them."""
        for row in self.rows("media", MESSAGES):
            self.assertEqual([row[name] for name in self.FIELDS[:7]], [[]] * 7)
            self.assertEqual(row["sdp.media"], ["message 7394 TCP/TLS/MSRP *"])

    def test_session_level_without_crypto_sessions_is_decoded_without_a_warning(self):
        """HDR of all types, T, and IDR up to the first payload that it has no name for."""
        messages = [row for row in MESSAGES if row[2][8] == 0]
        self.assertEqual({octets[1] for _, _, octets in messages}, {6, 11, 13, 16, 18})
        rows = self.rows("session", messages)
        for (scenario, name, octets), row in zip(messages, rows, strict=True):
            with self.subTest(scenario=scenario, message=name):
                self.assertEqual(row["_ws.expert.message"], [])
                self.assertEqual(row["mikey.version"], ["1"])
                self.assertEqual(row["mikey.type"], [str(octets[1])])
                self.assertEqual(row["mikey.csb_id"], ["0x" + octets[4:8].hex()])
                self.assertEqual(row["mikey.cs_count"], ["0"])
                self.assertEqual(row["mikey.cs_id_map_type"], [str(octets[9])])
                self.assertEqual(row["sdp.media"], ["message 7394 TCP/TLS/MSRP *"])
                if name in ("REQUEST_RESP", "RESOLVE_RESP") and scenario != "l":
                    self.assertEqual(row["mikey.id.data"][0],
                                     SCENARIOS[scenario]["inputs"]["ids"]["kms"])

    def test_new_values_are_called_unknown(self):
        body = sdp([key_mgmt(message_of("m", "REQUEST_INIT"))], [[]])
        tree = self.tshark.run("-r", self.tshark.capture([sip(body, 1)], SIP_UDP), "-V",
                               with_script=False, bare_as=None)
        for line in ("Data Type: Unknown (11)", "PRF func: Unknown (1)",
                     "CS ID map type: Unknown (1)", "Next Payload: Unknown (15)"):
            self.assertIn(line, tree)

    def test_rfc_3830_messages_are_decoded_without_a_warning(self):
        message = build(0, TIME, (RAND, b"\x10" + bytes(16)), (ID, b"\x01" + u16(5) + b"sip:a"),
                        (SP, b"\x00\x00" + u16(3) + b"\x00\x01\x01"),
                        (KEMAC, b"\x01" + u16(4) + b"KEYS\x01" + bytes(20)),
                        cs_count=1, map_type=0, map_info=b"\x00" + bytes(8))
        row = self.rows("session", [("", "", message)])[0]
        self.assertEqual((row["mikey.type"], row["mikey.id.data"], row["_ws.expert.message"]),
                         (["0"], ["sip:a"], []))

    def test_session_level_with_crypto_sessions_is_misread(self):
        """It does not skip the GENERIC-ID map, takes it for payloads and then reports Malformed; in
        the first INVITE of a call the whole SDP body is lost with it."""
        messages = [row for row in MESSAGES if row[2][8] > 0]
        self.assertEqual({octets[1] for _, _, octets in messages}, {14, 15})
        for row in self.rows("session", messages):
            self.assertEqual(row["_ws.expert.message"], ["Malformed Packet (Exception occurred)"])
            self.assertEqual(row["sdp.media"], [])

    def test_the_script_mends_that(self):
        lines = [key_mgmt(message_of("m", "TRANSFER_INIT"))]
        capture = self.tshark.capture([sip(sdp(lines, [[]]), 1)], SIP_UDP)
        self.assert_clean(capture)
        row = self.tshark.fields(capture, ["sdp.media", "mikey.type"])[0]
        self.assertEqual(list(row.values()), [["message 7394 TCP/TLS/MSRP *"], []])


class Installed(WithTshark):
    """docs/wireshark.md: the script in the personal folder for Lua plugins."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folders = cls.tshark.report("folders")
        cls.folder = pathlib.Path(re.search(r"Personal Lua Plugins:\s*(\S+)", folders)[1])
        cls.folder.mkdir(parents=True)
        (cls.folder / SCRIPT.name).write_bytes(SCRIPT.read_bytes())

    def test_the_folder_is_the_one_of_the_document(self):
        self.assertEqual(self.folder, self.tshark.home / ".local/lib/wireshark/plugins")

    def test_it_is_loaded_without_being_asked_for(self):
        capture = self.tshark.capture([message_of("m", "TRANSFER_INIT")])
        self.assertEqual(self.tshark.run("-r", capture, "-T", "fields", "-e",
                                         "mikey_ticket.hdr.data_type", with_script=False), "14\n")

    def test_every_field_names_its_clause(self):
        experts = {"mikey_ticket.malformed", "mikey_ticket.unassigned", "mikey_ticket.rule"}
        fields = [row.split("\t") for row in self.tshark.report("fields").splitlines()]
        own = [row for row in fields
               if row[2].startswith("mikey_ticket.") and row[2] not in experts]
        self.assertGreater(len(own), 150)
        for row in own:
            self.assertRegex(row[-1], r"^RFC (3830|4563|4567|6043) [A\d]", row)


class Users(WithTshark):
    def test_for_root_and_for_users(self):
        """As whoever runs the tests, and where that is root as nobody too."""
        capture = self.tshark.capture([message_of("m", "TRANSFER_INIT")])
        users = [{}]
        if os.geteuid() == 0:
            users.append({"user": "nobody", "group": "nogroup", "extra_groups": []})
        for user in users:
            self.assertEqual(self.tshark.run("-r", capture, "-T", "fields", "-e",
                                             "mikey_ticket.hdr.data_type", **user), "14\n")

    def test_debian_lets_root_run_lua_scripts(self):
        """Where this is false the script does nothing for root, as docs/wireshark.md says."""
        settings = pathlib.Path("/usr/share/wireshark/init.lua").read_text()
        self.assertIn("\nrun_user_scripts_when_superuser = true\n", settings)


class Document(WithTshark):
    """What docs/wireshark.md shows is what tshark prints."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.text = (ROOT / "docs/wireshark.md").read_text()

    def test_the_sample_is_real(self):
        """The commands of the document on TRANSFER_INIT of scenario m, and what they print."""
        commands, sample = re.search(r"```sh\n(od .*?)```.*?```text\n(Frame 1.*?)```",
                                     self.text, re.DOTALL).groups()
        (self.tshark.home / "message.bin").write_bytes(message_of("m", "TRANSFER_INIT"))
        done = subprocess.run(["bash", "-e", "-c", commands], env=self.tshark.environment(),
                              cwd=self.tshark.home, check=True, text=True, capture_output=True)
        self.assertEqual(sample.strip(), done.stdout.strip())

    def test_each_display_filter_finds_something(self):
        table = self.text[self.text.index("| filter |"):].split("\n\n")[0]
        filters = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
        self.assertGreater(len(filters), 8)
        packets = [sip(sdp(media=[[key_mgmt(octets)]]), call)
                   for call, (_, _, octets) in enumerate(MESSAGES)]
        packets.append(sip(sdp(media=[[key_mgmt(message_of("m", "TRANSFER_INIT")[:-1])]]), 1000))
        packets.append(sip(sdp(media=[[key_mgmt(build(11, (TP, policy("K", b"\0"))))]]), 1001))
        packets.append(sip(sdp(media=[[]]), 1002))
        capture = self.tshark.capture(packets, SIP_UDP)
        for display_filter in filters:
            found = self.tshark.run("-r", capture, "-Y", display_filter.replace("\\|", "|"))
            self.assertNotIn(found.count("\n"), (0, len(packets)), display_filter)


if __name__ == "__main__":
    unittest.main()
