"""lib/mikey/vectors/keystub-mikey-1.json as somebody else uses it: its schema, and every derivation,
MAC and encryption computed anew in another language, from the RFCs and the file's README alone."""

import functools
import hashlib
import hmac
import json
import pathlib
import sys
import unittest

import jsonschema
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/differential"))
import rfc_decoder  # noqa: E402

FILE = json.loads((ROOT / "lib/mikey/vectors/keystub-mikey-1.json").read_text())
SCHEMA = json.loads((ROOT / "lib/mikey/vectors/keystub-mikey-1.schema.json").read_text())

# RFC 3830 4.1.3 and 4.1.4, RFC 6043 5.1 and A.2: which key a label makes.
TEK, ENCR, AUTH, SALT = 0x2AD01C64, 0x150533E1, 0x2D22AC75, 0x29B88916
SESSION_SALT = 0x39A2C14B
MPKI, MPKR, MPKR_FORKED, TGK_FORKED = 0x220E99A2, 0x1F4D675B, 0x2B288856, 0x1512B54A
AES_KW_128 = 2  # RFC 6043 table 6.6
COUNTER, NTP_UTC_32 = 2, 3  # RFC 6043 6.3
SRTP = 0
TGKS, TEKS = (0, 1), (2, 3)  # RFC 6043 table 6.15: with and without salt


class Suite:
    """RFC 6043 12.1: the algorithms that go together."""

    def __init__(self, numbers):
        self.digest = {0: hashlib.sha1, 1: hashlib.sha256}[numbers["prf"]]
        self.key_octets = {0: 16, 1: 32}[numbers["prf"]]
        self.mac_octets = self.digest().digest_size
        self.encr_alg = numbers["encr_alg"]
        self.salt_octets = 8 if self.encr_alg == AES_KW_128 else 14

    def mac(self, key, octets):
        return hmac.new(key, octets, self.digest).digest()

    def prf(self, inkey, label_of_key, octets):
        """RFC 3830 4.1.2; inkeys of up to 256 bits are one block."""
        out, a = b"", label_of_key
        while len(out) < octets:
            a = self.mac(inkey, a)
            out += self.mac(inkey, a + label_of_key)
        return out[:octets]

    def key(self, inkey, label_of_key):
        return self.prf(inkey, label_of_key, self.key_octets)

    def message_keys(self, inkey, label_of):
        return {"auth_key": self.prf(inkey, label_of(AUTH), self.mac_octets),
                "encr_key": self.key(inkey, label_of(ENCR)),
                "salt_key": self.prf(inkey, label_of(SALT), self.salt_octets)}


def number(value, octets):
    return value.to_bytes(octets, "big")


def with_length(octets):
    return number(len(octets), 1) + octets


def label(constant, cs_id=b"\xff", csb_id=b"\xff" * 4, phase=0, rest=b""):
    return number(constant, 4) + cs_id + csb_id + number(phase, 1) + rest


def decrypt(suite, keys, csb_id, t, encr_data):
    """RFC 3830 4.2.3. AES-CM: IV = (S XOR (0x0000 || CSB ID || T)) || 0x0000, a short T with its 32
    bits where those of a long one have their meaning. AES-KW (RFC 3394): the salt is the IV."""
    encr_key, salt = keys["encr_key"], keys["salt_key"]
    if suite.encr_alg == AES_KW_128:
        return unwrap(encr_key, salt, encr_data)
    iv = bytes(a ^ b for a, b in zip(salt, bytes(2) + csb_id + t)) + bytes(2)
    return Cipher(algorithms.AES(encr_key), modes.CTR(iv)).decryptor().update(encr_data)


def unwrap(key, iv, wrapped):
    """RFC 3394 2.2.2, with an IV of one's own."""
    block = Cipher(algorithms.AES(key), modes.ECB()).decryptor()
    a, *r = (wrapped[at:at + 8] for at in range(0, len(wrapped), 8))
    for step in range(6 * len(r), 0, -1):
        i = (step - 1) % len(r)
        mixed = number(int.from_bytes(a, "big") ^ step, 8)
        plain = block.update(mixed + r[i])
        a, r[i] = plain[:8], plain[8:]
    assert a == iv, "the key wrap does not verify"
    return b"".join(r)


def keys_in(plain):
    """The keys in the plain text of a KEMAC: a list of (type, key, salt, SPI)."""
    reader = rfc_decoder.Reader(plain, 0, len(plain), "KEMAC", "RFC 3830 6.2")
    found = []
    for payload in rfc_decoder.decode_sub_payloads(reader):
        key_type, kv, *spans, (spi_span,) = payload.fields
        assert kv == 1, "KV is SPI"
        key, salt, spi = (plain[span.offset:][:span.length] if span else b""
                          for span in (*spans, spi_span))
        found.append((key_type, key, salt, spi))
    return found


def octets_in(value):
    """The same structure, with every string of hex digits as octets."""
    if isinstance(value, dict):
        return {name: octets_in(member) for name, member in value.items()}
    if isinstance(value, list):
        return [octets_in(member) for member in value]
    try:
        return bytes.fromhex(value)
    except (TypeError, ValueError):
        return value


def der(name):
    """A certificate of the file as it travels in CERT."""
    pem = FILE["test_keys"][name]["certificate"].encode()
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


class Exchange:
    def __init__(self, entry):
        self.suite = Suite(entry["inputs"]["suite"])
        self.flags = entry["inputs"]["policy"]["flags"]
        self.inputs = octets_in(entry["inputs"])
        self.messages = octets_in(entry["messages"])
        self.keys = octets_in(entry["message_keys"])
        self.results = octets_in(entry["results"])
        self.who = {role: uri.encode() for role, uri in self.inputs["identities"].items()}
        self.session_keys = self.keys_of(self.inputs["ticket"]["session_keys"])
        # Keys that the ends put into the Ticket Transfer themselves.
        self.supplied = {"TRANSFER_INIT": self.keys_of(self.inputs.get("initiator_keys", [])),
                         "TRANSFER_RESP": self.keys_of(self.inputs.get("responder_keys", []))}

    @staticmethod
    def keys_of(keys):
        return [(key["type"], key["key"], key.get("salt", b""), key["spi"]) for key in keys]

    def keys_in_kemac(self, name, csb_id, t, encr_data):
        """The keys in the KEMAC of a message or of the ticket, with the T beside it."""
        t = {COUNTER: bytes(4) + t, NTP_UTC_32: t + bytes(4)}.get(self.inputs["ts_type"], t)
        return keys_in(decrypt(self.suite, self.keys[name], csb_id, t, encr_data))

    def forking(self):
        return "I" in self.flags

    def fork(self, constant, key):
        """RFC 6043 5.1.1."""
        rest = (number(len(self.who["responder"]), 2) + self.who["responder"] +
                with_length(self.inputs["resolve"]["randr_kms"]))
        return self.suite.key(key, label(constant, rest=rest))

    def forked_keys(self):
        if not self.forking():
            return self.session_keys
        return [(kind, self.fork(TGK_FORKED, key) if kind in TGKS else key, salt, spi)
                for kind, key, salt, spi in self.session_keys]

    def context(self, name):
        """What the keys of a message are made of (RFC 6043 5.1.2): inkey, CSB ID, phase, RANDRi,
        RANDRr."""
        exchange, init_or_resp, *second = name.split("_")
        phase = {"INIT": 1, "RESP": 2}[init_or_resp]
        values = self.inputs["_".join([exchange.lower(), *second])]
        randr_i, randr_r = values.get("randr_i", b""), values.get("randr_r", b"")
        if exchange in ("REQUEST", "RESOLVE"):
            inkey = self.shared_with_kms(exchange)
        elif phase == 1:
            inkey, randr_r = self.results["mpki"], b""  # RANDRr comes with the answer
        else:
            inkey = self.results["mpkr_forked" if self.forking() else "mpki"]
        return inkey, values["csb_id"], phase, randr_i, randr_r

    def certified(self, name):
        """What the sender of an initial message with SIGN has; None if it has a PSK."""
        return self.inputs.get({"REQUEST_INIT": "pk_i", "RESOLVE_INIT": "pk_r"}.get(name))

    def shared_with_kms(self, exchange):
        """The PSK, or the envelope key in its place."""
        end = {"REQUEST": "i", "RESOLVE": "r"}[exchange]
        if f"pk_{end}" in self.inputs:
            return self.inputs[f"pk_{end}"]["envelope_key"]
        return self.inputs[f"psk_{end}"]["key"]

    def payload(self, name, kind):
        """The only payload of a kind in a message."""
        payload, = (payload for payload in rfc_decoder.decode(self.messages[name]).payloads
                    if payload.type == kind)
        return payload

    def octets(self, name, span):
        return self.messages[name][span.offset:span.offset + span.length]


def for_each_exchange(test):
    @functools.wraps(test)
    def run(self):
        for name, entry in FILE["exchanges"].items():
            with self.subTest(exchange=name):
                test(self, Exchange(entry))
    return run


class InAnotherLanguage(unittest.TestCase):
    @for_each_exchange
    def test_keys_of_tickets(self, one):
        """RFC 6043 A.2."""
        ticket, suite = one.inputs["ticket"], one.suite
        rand = with_length(ticket["rand"])
        made = suite.message_keys(one.inputs["tpk"]["key"],
                                  lambda constant: label(constant, phase=5, rest=rand))
        self.assertEqual(made, one.keys["ticket"])
        self.assertEqual(suite.key(ticket["mpk"], label(MPKI, phase=6, rest=rand)),
                         one.results["mpki"])
        if one.forking():
            self.assertEqual(suite.key(ticket["mpk"], label(MPKR, phase=6, rest=rand)),
                             one.results["mpkr"])

    @for_each_exchange
    def test_tickets(self, one):
        """RFC 6043 A.1: the MAC is over all of the ticket, the keys are under the ticket's own."""
        ticket, size = one.results["ticket"], one.suite.mac_octets
        self.assertEqual(one.suite.mac(one.keys["ticket"]["auth_key"], ticket[:-size]),
                         ticket[-size:])
        payload = one.payload("TRANSFER_INIT", rfc_decoder.TICKET)
        message = one.messages["TRANSFER_INIT"]
        self.assertEqual(message[payload.offset + 1:][:len(ticket)], ticket)
        kemac, = (inner for inner in rfc_decoder.decode_ticket_data(message, payload)
                  if inner.type == rfc_decoder.KEMAC)
        self.assertEqual(
            one.keys_in_kemac("ticket", b"\xff" * 4, one.inputs["ticket"]["t"],
                              one.octets("TRANSFER_INIT", kemac.fields[1])),
            [(6, one.inputs["ticket"]["mpk"], b"", one.inputs["ticket"]["mpk_spi"]),
             *one.session_keys])

    @for_each_exchange
    def test_keys_of_messages(self, one):
        """RFC 6043 5.1.2."""
        self.assertEqual(list(one.keys), ["ticket", *one.messages])
        for name in one.messages:
            inkey, csb_id, phase, randr_i, randr_r = one.context(name)
            rands = with_length(randr_i) + with_length(randr_r)
            made = one.suite.message_keys(
                inkey, lambda constant, csb_id=csb_id, phase=phase, rands=rands:
                label(constant, csb_id=csb_id, phase=phase, rest=rands))
            for key, octets in one.keys[name].items():
                self.assertEqual(made[key], octets, f"{name} {key}")

    @for_each_exchange
    def test_macs_of_messages(self, one):
        """RFC 6043 5.5, as the README puts it."""
        for name, message in one.messages.items():
            if one.certified(name):
                continue
            size = one.suite.mac_octets
            covered = message[:-size]
            if name.startswith("TRANSFER_INIT"):
                data = one.payload(name, rfc_decoder.TICKET).fields[-1]
                covered = (message[:data.offset - 2] +
                           message[data.offset + data.length:-size] +
                           one.who["initiator"] + one.who["responder"])
            elif "_INIT" in name:
                sender = {"REQUEST_INIT": "initiator", "RESOLVE_INIT": "responder"}[name]
                covered += one.who[sender] + one.who["kms"]
            else:
                covered += one.messages[name.replace("RESP", "INIT")]
            self.assertEqual(one.suite.mac(one.keys[name]["auth_key"], covered), message[-size:],
                             name)

    @for_each_exchange
    def test_signatures_and_envelopes(self, one):
        """RFC 6043 4.2.1.3, 4.2.3.3 and 5.5, RFC 3830 6.3 to 6.8."""
        for name, sender in (("REQUEST_INIT", "initiator"), ("RESOLVE_INIT", "responder")):
            held = one.certified(name)
            if not held:
                continue
            message, sha = one.messages[name], {20: hashes.SHA1, 32: hashes.SHA256}[
                one.suite.mac_octets]()
            payloads = rfc_decoder.decode(message).payloads
            certificates = [one.octets(name, payload.fields[1]) for payload in payloads
                            if payload.type == rfc_decoder.CERT]
            self.assertEqual(certificates, [der(name) for name in held["certificates"]])

            s_type, signature = one.payload(name, rfc_decoder.SIGN).fields
            self.assertEqual(s_type, held["signature_type"])
            pss = padding.PSS(padding.MGF1(sha), sha.digest_size)
            x509.load_der_x509_certificate(certificates[0]).public_key().verify(
                one.octets(name, signature),
                message[:signature.offset] + one.who[sender] + one.who["kms"],
                pss if s_type == 1 else padding.PKCS1v15(), sha)

            _, value = one.payload(name, rfc_decoder.CHASH).fields
            digest = one.suite.digest(der("kms")).digest()
            self.assertEqual(one.octets(name, value), digest)
            cache, envelope = one.payload(name, rfc_decoder.PKE).fields
            self.assertEqual(cache, 0)
            kms = load_pem_private_key(FILE["test_keys"]["kms"]["private_key"].encode(), None)
            numbers = kms.private_numbers()
            opened = pow(int.from_bytes(one.octets(name, envelope), "big"), numbers.d,
                         numbers.public_numbers.n)
            self.assertEqual(number(opened, 256),
                             b"\x00\x02" + held["padding"] + b"\x00" + held["envelope_key"])

    @for_each_exchange
    def test_initiator_data(self, one):
        """RFC 6043 6.10: with key forking Vi repeats the MAC of V, Vr covers it under MPKr."""
        message, size = one.messages["TRANSFER_INIT"], one.suite.mac_octets
        data = one.octets("TRANSFER_INIT",
                          one.payload("TRANSFER_INIT", rfc_decoder.TICKET).fields[-1])
        if not one.forking():
            self.assertEqual(data, b"")
            return
        self.assertEqual(data[3:3 + size], message[-size:])
        auth_key = one.suite.prf(one.results["mpkr"], label(AUTH, phase=4), size)
        self.assertEqual(one.suite.mac(auth_key, data[:-size]), data[-size:])

    @for_each_exchange
    def test_keys_in_messages(self, one):
        mpki, mpkr = one.results["mpki"], one.results.get("mpkr")
        carried = {"REQUEST_RESP": ([mpki, mpkr], one.session_keys),
                   "RESOLVE_RESP": ([mpki, one.results.get("mpkr_forked")], one.forked_keys()),
                   **{name: ([], keys) for name, keys in one.supplied.items() if keys}}
        for name in one.messages:
            has_kemac = rfc_decoder.KEMAC in (
                payload.type for payload in rfc_decoder.decode(one.messages[name]).payloads)
            self.assertEqual(has_kemac, name in carried, name)
            if not has_kemac:
                continue
            mpks, session_keys = carried[name]
            exchange, init_or_resp = name.lower().split("_")
            values = one.inputs[exchange]
            spi = one.inputs["ticket"]["mpk_spi"]
            encr_data = one.octets(name, one.payload(name, rfc_decoder.KEMAC).fields[1])
            self.assertEqual(
                one.keys_in_kemac(name, values["csb_id"], values[f"t_{init_or_resp}"], encr_data),
                [*((6, mpk, b"", spi) for mpk in mpks if mpk), *session_keys], name)

    @for_each_exchange
    def test_forked_keys_and_teks(self, one):
        """RFC 6043 5.1.1 and 5.1.3."""
        if one.forking():
            self.assertEqual(one.results["mpkr_forked"],
                             one.fork(MPKR_FORKED, one.results["mpkr"]))
            self.assertEqual([key for _, key, _, _ in one.forked_keys()],
                             [key["key"] for key in one.results["forked_keys"]])
        by_spi = {spi: (kind, key, salt) for kind, key, salt, spi in
                  [*one.forked_keys(), *one.supplied["TRANSFER_INIT"],
                   *one.supplied["TRANSFER_RESP"]]}
        sessions = one.inputs.get("answered_sessions", one.inputs["crypto_sessions"])
        for second in ("", "_2"):
            if "transfer" + second not in one.inputs:
                continue
            transfer = one.inputs["transfer" + second]
            rands = (with_length(transfer["randr_i"] if "H" in one.flags else b"") +
                     with_length(transfer.get("randr_r", b"")))
            results = one.results["crypto_sessions" + second]
            self.assertEqual(len(sessions), len(results))
            for session, result in zip(sessions, results):
                kind, tek, salt = by_spi[session["spi"]]
                if kind not in TEKS:
                    tgk, cs_id = tek, number(session["cs_id"], 1)
                    tek = one.suite.key(tgk, label(TEK, cs_id=cs_id, phase=3, rest=rands))
                    if session["prot_type"] == SRTP and not salt:
                        salt = one.suite.prf(
                            tgk, label(SESSION_SALT, cs_id=cs_id, phase=3, rest=rands), 14)
                self.assertEqual((result["cs_id"], result["tek"], result.get("salt", b"")),
                                 (session["cs_id"], tek, salt))


class ErrorMessages(unittest.TestCase):
    def test_those_with_v_are_under_the_auth_key_of_the_message_in_error(self):
        """RFC 6043 5.4."""
        for error in FILE["errors"]:
            with self.subTest(error=error["id"]):
                one, octets = Exchange(FILE["exchanges"][error["exchange"]]), octets_in(error)["octets"]
                message = rfc_decoder.decode(octets)
                has_v = message.payloads[-1].type == rfc_decoder.V
                auth_key, size = one.keys[error["about"]]["auth_key"], one.suite.mac_octets
                genuine = has_v and one.suite.mac(auth_key, octets[:-size]) == octets[-size:]
                self.assertEqual(genuine, error["outcome"].get("authenticated", False))
                if "error_nos" in error["outcome"]:
                    self.assertEqual([payload.fields[0] for payload in message.payloads
                                      if payload.type == rfc_decoder.ERR],
                                     error["outcome"]["error_nos"])


class Schema(unittest.TestCase):
    VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

    def test_the_schema_is_one(self):
        jsonschema.Draft202012Validator.check_schema(SCHEMA)

    def test_the_file_follows_its_schema(self):
        errors = [f"{error.json_path}: {error.message}"
                  for error in self.VALIDATOR.iter_errors(FILE)]
        self.assertEqual(errors, [])

    def test_the_schema_refuses_what_it_does_not_know(self):
        """A member without a description is one that nobody can use."""
        name = next(iter(FILE["exchanges"]))
        for change in (lambda file: file.update(extra=1),
                       lambda file: file["exchanges"][name].update(extra=1),
                       lambda file: file["exchanges"][name]["inputs"].update(extra=1),
                       lambda file: file["exchanges"][name]["messages"].update(T="00"),
                       lambda file: file["refusals"][0].pop("refused"),
                       lambda file: file["refusals"][0].update(octets="0g")):
            changed = json.loads(json.dumps(FILE))
            change(changed)
            self.assertFalse(self.VALIDATOR.is_valid(changed))

    def test_every_refusal_has_a_name_and_a_difference_of_its_own(self):
        """What is refused is another message than the one of the exchange, or finds another
        receiver."""
        ids = [refusal["id"] for refusal in FILE["refusals"]]
        self.assertEqual(len(ids), len(set(ids)))
        for refusal in FILE["refusals"]:
            original = FILE["exchanges"][refusal["exchange"]]["messages"][refusal["message"]]
            self.assertEqual(refusal["octets"] == original, "instead" in refusal, refusal["id"])


if __name__ == "__main__":
    unittest.main()
