"""The Ticket Request exchange of MIKEY-TICKET from the initiator's side, both variants, and what the
keys of a Ticket Transfer are for whoever holds the ticket protection key.

Written from RFC 6043 and RFC 3830 alone, in another language and with other libraries than the
product, so that a misreading on one side does not cancel out on the other. Only what the interop
tests need: building REQUEST_INIT, verifying and decrypting REQUEST_RESP, reading Error messages,
opening a ticket and following its keys up to the TEK.
"""

import dataclasses
import hashlib
import hmac
import os
import struct
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding

# RFC 3830 6.1, RFC 6043 6.1
DATA_ERROR = 6
DATA_REQUEST_INIT_PSK = 11
DATA_REQUEST_INIT_PK = 12
DATA_REQUEST_RESP = 13

LAST, KEMAC, T, V, RAND, ERR, TR, IDR, RANDR, TP, TICKET = 0, 1, 5, 9, 11, 12, 13, 14, 15, 16, 17
PKE, SIGN, CERT, CHASH = 2, 4, 7, 8
KEY_DATA, EXTENSION = 20, 21

ROLE_INITIATOR, ROLE_RESPONDER, ROLE_KMS, ROLE_PSK = 1, 2, 3, 4
ID_NAI, ID_URI, ID_BYTE_STRING = 0, 1, 2
KEY_TGK, KEY_MPK = 0, 6

ERROR_AUTH_FAILURE, ERROR_INVALID_TS = 0, 1

FLAG_BITS = {letter: 0x800 >> index for index, letter in enumerate("DEFGHIJKLMNO")}

NTP_EPOCH = 2208988800  # seconds from 1900 to 1970


class Refused(Exception):
    """A message that this side refuses, with the reason."""


@dataclasses.dataclass(frozen=True)
class Suite:
    prf: int
    encr: int
    mac: int
    hash_name: str
    key_octets: int
    mac_octets: int


SUITE_128 = Suite(prf=0, encr=1, mac=1, hash_name="sha1", key_octets=16, mac_octets=20)
SUITE_256 = Suite(prf=1, encr=3, mac=2, hash_name="sha256", key_octets=32, mac_octets=32)


def _hmac(suite, key, data):
    return hmac.new(key, data, suite.hash_name).digest()


def prf(suite, inkey, label, octets):
    """RFC 3830 4.1.2, with SHA-256 in the place of SHA-1 for PRF-HMAC-SHA-256 (RFC 6043 6.1)."""
    rounds = -(-octets // suite.mac_octets)
    out = bytes(rounds * suite.mac_octets)
    for start in range(0, len(inkey), 32):
        block = inkey[start:start + 32]
        stream, a = b"", label
        for _ in range(rounds):
            a = _hmac(suite, block, a)
            stream += _hmac(suite, block, a + label)
        out = bytes(x ^ y for x, y in zip(out, stream))
    return out[:octets]


def message_keys(suite, psk, csb_id, phase, randr_i):
    """RFC 6043 5.1.2: (encr_key, auth_key, salt_key) of one message of a Ticket Request."""
    tail = b"\xff" + csb_id + bytes([phase, len(randr_i)]) + randr_i + b"\x00"
    return (prf(suite, psk, bytes.fromhex("150533e1") + tail, suite.key_octets),
            prf(suite, psk, bytes.fromhex("2d22ac75") + tail, suite.mac_octets),
            prf(suite, psk, bytes.fromhex("29b88916") + tail, 14))


def aes_cm(key, salt, csb_id, timestamp, data):
    """RFC 3830 4.2.3; the 16 octets of IV are the first counter block."""
    iv = int.from_bytes(salt, "big") ^ int.from_bytes(b"\x00\x00" + csb_id + timestamp, "big")
    counter = iv.to_bytes(14, "big") + b"\x00\x00"
    context = Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor()
    return context.update(data) + context.finalize()


def ntp_utc(unix_time=None):
    """64 bits: seconds since 1900 and a fraction."""
    now = time.time() if unix_time is None else unix_time
    seconds = int(now)
    fraction = int((now - seconds) * 2**32)
    return struct.pack("!II", (seconds + NTP_EPOCH) & 0xFFFFFFFF, fraction)


def ntp_utc_32(unix_time):
    return struct.pack("!I", (int(unix_time) + NTP_EPOCH) & 0xFFFFFFFF)


class _Chain:
    """Payloads joined by their Next Payload octets."""

    def __init__(self):
        self.payloads = []

    def add(self, kind, body):
        self.payloads.append((kind, body))

    def first(self):
        return self.payloads[0][0] if self.payloads else LAST

    def octets(self, then=LAST):
        """`then`: the payload that follows."""
        kinds = [kind for kind, _ in self.payloads[1:]] + [then]
        return b"".join(bytes([following]) + body
                        for following, (_, body) in zip(kinds, self.payloads))


def _idr(role, id_type, data):
    return bytes([role, id_type]) + struct.pack("!H", len(data)) + data


@dataclasses.dataclass
class Wish:
    """The Ticket Policy that an initiator asks for (RFC 6043 6.10)."""

    kms: tuple           # (ID type, data)
    initiator: bytes     # URI
    responders: list     # URIs
    valid_from: float    # seconds since 1970
    valid_to: float
    flags: str = "DEFGHINO"
    ticket_type: tuple = (2, 1, 1)
    key_spi: bytes = b"\x00\x00\x00\x01"
    rekeying_seconds: int = 0  # TRr; 0: left out

    def encode(self, suite):
        data = _Chain()
        data.add(IDR, _idr(ROLE_KMS, *self.kms))
        data.add(IDR, _idr(ROLE_INITIATOR, ID_URI, self.initiator))
        data.add(TR, b"\x02\x03" + ntp_utc_32(self.valid_from))
        data.add(TR, b"\x03\x03" + ntp_utc_32(self.valid_to))
        if self.rekeying_seconds:
            data.add(TR, b"\x04\x03" + struct.pack("!I", self.rekeying_seconds))
        key = (bytes([LAST, KEY_TGK << 4 | 1]) + struct.pack("!H", suite.key_octets) +
               bytes(suite.key_octets) + bytes([len(self.key_spi)]) + self.key_spi)
        data.add(KEMAC, b"\x00" + struct.pack("!H", len(key)) + key + b"\x00")
        for uri in self.responders:
            data.add(IDR, _idr(ROLE_RESPONDER, ID_URI, uri))
        tp_data = bytes([data.first()]) + data.octets()
        # PRF func in 7 bits, flags D to O in 12, 5 reserved.
        word = suite.prf << 17 | sum(FLAG_BITS[flag] for flag in self.flags) << 5
        kind, subtype, version = self.ticket_type
        return (struct.pack("!HBB", kind, subtype, version) + word.to_bytes(3, "big") +
                struct.pack("!H", len(tp_data)) + tp_data)


@dataclasses.dataclass
class RequestInit:
    """A REQUEST_INIT and what its sender has to remember."""

    message: bytes
    suite: Suite
    key: bytes  # the pre-shared key or the envelope key
    csb_id: bytes
    randr_i: bytes
    timestamp: bytes


def build_request_init(psk, psk_id, wish, suite=SUITE_256, timestamp=None, csb_id=None,
                       randr_i=None):
    """HDR, T, RANDRi, IDRi, IDRkms, TP, IDRpsk, V. `timestamp` is 8 octets of NTP-UTC."""
    csb_id = csb_id or os.urandom(4)
    randr_i = randr_i or os.urandom(suite.key_octets)
    timestamp = timestamp or ntp_utc()
    chain = _Chain()
    chain.add(T, b"\x00" + timestamp)
    chain.add(RANDR, bytes([ROLE_INITIATOR, len(randr_i)]) + randr_i)
    chain.add(IDR, _idr(ROLE_INITIATOR, ID_URI, wish.initiator))
    chain.add(IDR, _idr(ROLE_KMS, *wish.kms))
    chain.add(TP, wish.encode(suite))
    chain.add(IDR, _idr(ROLE_PSK, ID_BYTE_STRING, psk_id))
    chain.add(V, bytes([suite.mac]))
    header = (bytes([1, DATA_REQUEST_INIT_PSK, chain.first(), 0x80 | suite.prf]) + csb_id +
              b"\x00\x01")
    message = header + chain.octets()
    _, auth_key, _ = message_keys(suite, psk, csb_id, 1, randr_i)
    # RFC 6043 5.5: the identities, not whole payloads, follow the message.
    message += _hmac(suite, auth_key, message + wish.initiator + wish.kms[1])
    return RequestInit(message, suite, psk, csb_id, randr_i, timestamp)


def build_request_init_pk(key, certificates, kms_certificate, wish, suite=SUITE_256):
    """HDR, T, RANDRi, IDRi, {CERTi}, IDRkms, TP, CHASH, PKE, SIGNi (RFC 6043 4.2.1.3), with RSA
    PKCS #1 v1.5 throughout. `key` and the certificates are those of python3-cryptography."""
    sha256 = suite.hash_name == "sha256"
    hash_function = hashes.SHA256() if sha256 else hashes.SHA1()
    envelope_key = os.urandom(suite.key_octets)
    csb_id, randr_i, timestamp = os.urandom(4), os.urandom(suite.key_octets), ntp_utc()
    chain = _Chain()
    chain.add(T, b"\x00" + timestamp)
    chain.add(RANDR, bytes([ROLE_INITIATOR, len(randr_i)]) + randr_i)
    chain.add(IDR, _idr(ROLE_INITIATOR, ID_URI, wish.initiator))
    for certificate in certificates:
        der = certificate.public_bytes(Encoding.DER)
        chain.add(CERT, b"\x00" + struct.pack("!H", len(der)) + der)
    chain.add(IDR, _idr(ROLE_KMS, *wish.kms))
    chain.add(TP, wish.encode(suite))
    chain.add(CHASH, bytes([2 if sha256 else 0]) + kms_certificate.fingerprint(hash_function))
    sealed = kms_certificate.public_key().encrypt(envelope_key, padding.PKCS1v15())
    chain.add(PKE, struct.pack("!H", len(sealed)) + sealed)  # C = 0: not to be cached
    header = (bytes([1, DATA_REQUEST_INIT_PK, chain.first(), 0x80 | suite.prf]) + csb_id +
              b"\x00\x01")
    # RFC 3830 6.5: SIGN is always the last payload and has no Next Payload; S type 0.
    message = header + chain.octets(then=SIGN) + struct.pack("!H", key.key_size // 8)
    message += key.sign(message + wish.initiator + wish.kms[1], padding.PKCS1v15(), hash_function)
    return RequestInit(message, suite, envelope_key, csb_id, randr_i, timestamp)


class _Reader:
    def __init__(self, data, what):
        self.data, self.what, self.at = data, what, 0

    def take(self, count):
        if self.at + count > len(self.data):
            raise Refused(f"{self.what} is cut short at octet {self.at}")
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, octets):
        return int.from_bytes(self.take(octets), "big")


_MAC_OCTETS = {0: 0, 1: 20, 2: 32}
_TIME_OCTETS = {0: 8, 1: 8, 2: 4, 3: 4}


def _read_payloads(first, reader):
    """Yields (type, octets after Next Payload) up to the last payload, which must end the data."""
    kind = first
    while kind != LAST:
        following = reader.number(1)
        start = reader.at
        if kind == T:
            reader.take(_TIME_OCTETS[reader.number(1)])
        elif kind == TR:
            reader.take(1)
            reader.take(_TIME_OCTETS[reader.number(1)])
        elif kind == RANDR:
            reader.take(1)
            reader.take(reader.number(1))
        elif kind == IDR:
            reader.take(2)
            reader.take(reader.number(2))
        elif kind == KEMAC:
            reader.take(1)
            reader.take(reader.number(2))
            reader.take(_MAC_OCTETS[reader.number(1)])
        elif kind == V:
            reader.take(_MAC_OCTETS[reader.number(1)])
        elif kind == ERR:
            reader.take(3)
        elif kind == EXTENSION:
            reader.take(1)
            reader.take(reader.number(2))
        elif kind == TICKET:
            reader.take(7)
            reader.take(reader.number(2))
            reader.take(reader.number(2))
            reader.take(reader.number(2))
        else:
            raise Refused(f"{reader.what}: unexpected payload {kind}")
        yield kind, reader.data[start:reader.at]
        kind = following
    if reader.at != len(reader.data):
        raise Refused(f"{reader.what}: {len(reader.data) - reader.at} octets after the last payload")


@dataclasses.dataclass
class Policy:
    ticket_type: tuple
    prf: int
    flags: str
    initiator: bytes = b""
    kms: bytes = b""
    responders: list = dataclasses.field(default_factory=list)
    valid_from: int = 0
    valid_to: int = 0


@dataclasses.dataclass
class Granted:
    policy: Policy
    ticket_data: bytes
    mpk_i: bytes
    mpk_r: bytes
    session_keys: list  # of (type, key, SPI)
    timestamp: bytes


def _read_policy(ticket):
    kind, subtype, version = struct.unpack("!HBB", ticket[:4])
    word = int.from_bytes(ticket[4:7], "big")
    flags = "".join(letter for letter, bit in FLAG_BITS.items() if word >> 5 & bit)
    policy = Policy((kind, subtype, version), word >> 17, flags)
    length = int.from_bytes(ticket[7:9], "big")
    tp_data = ticket[9:9 + length]
    for payload, body in _read_payloads(tp_data[0], _Reader(tp_data[1:], "TP Data")):
        if payload == IDR:
            data = body[4:]
            if body[0] == ROLE_INITIATOR:
                policy.initiator = data
            elif body[0] == ROLE_KMS:
                policy.kms = data
            elif body[0] == ROLE_RESPONDER:
                policy.responders.append(data)
        elif payload == TR:
            seconds = int.from_bytes(body[2:6], "big") - NTP_EPOCH
            if body[0] == 2:
                policy.valid_from = seconds
            elif body[0] == 3:
                policy.valid_to = seconds
        elif payload == KEMAC:
            raise Refused("the granted Ticket Policy holds a KEMAC")
    ticket_data_length = int.from_bytes(ticket[9 + length:11 + length], "big")
    ticket_data = ticket[11 + length:11 + length + ticket_data_length]
    initiator_data = ticket[11 + length + ticket_data_length:]
    if initiator_data != b"\x00\x00":
        raise Refused("REQUEST_RESP has Initiator Data, which is the initiator's to add")
    return policy, ticket_data


def _read_keys(plain):
    keys = []
    reader = _Reader(plain, "the decrypted KEMAC")
    kind = KEY_DATA
    while kind != LAST:
        kind = reader.number(1)
        type_and_validity = reader.number(1)
        key = reader.take(reader.number(2))
        if type_and_validity & 0x0F != 1:
            raise Refused("a key without SPI")
        keys.append((type_and_validity >> 4, key, reader.take(reader.number(1))))
    if reader.at != len(plain):
        raise Refused("octets are left after the last key")
    return keys


def verify_request_resp(request, message):
    """Verifies the MAC of REQUEST_RESP, decrypts its KEMAC; the granted ticket or Refused."""
    suite = request.suite
    if message[:2] != bytes([1, DATA_REQUEST_RESP]):
        raise Refused(f"not a REQUEST_RESP but data type {message[1]}")
    if message[3] != suite.prf or message[4:8] != request.csb_id or message[8:10] != b"\x00\x01":
        raise Refused("HDR does not repeat version, PRF, CSB ID, #CS and map type")
    payloads = list(_read_payloads(message[2], _Reader(message[10:], "REQUEST_RESP")))
    if payloads[-1][0] != V or payloads[-1][1][0] != suite.mac:
        raise Refused("V with the suite's algorithm is not the last payload")
    encr_key, auth_key, salt_key = message_keys(suite, request.key, request.csb_id, 2,
                                                request.randr_i)
    covered = message[:-suite.mac_octets] + request.message
    if not hmac.compare_digest(_hmac(suite, auth_key, covered), message[-suite.mac_octets:]):
        raise Refused("the MAC of REQUEST_RESP is wrong")
    by_kind = {kind: body for kind, body in payloads if kind in (T, TICKET, KEMAC)}
    timestamp = by_kind[T][1:]
    kemac = by_kind[KEMAC]
    if kemac[0] != suite.encr or kemac[-1] != 0:
        raise Refused("KEMAC uses other algorithms than the suite's with MAC alg NULL")
    plain = aes_cm(encr_key, salt_key, request.csb_id, timestamp, kemac[3:-1])
    keys = _read_keys(plain)
    policy, ticket_data = _read_policy(by_kind[TICKET])
    mpks = [key for kind, key, _ in keys if kind == KEY_MPK]
    if len(mpks) != (2 if "I" in policy.flags else 1):
        raise Refused(f"{len(mpks)} MPKs with flags {policy.flags}")
    return Granted(policy, ticket_data, mpks[0], mpks[1] if len(mpks) == 2 else b"",
                   [key for key in keys if key[0] != KEY_MPK], timestamp)


def _ticket_parts(ticket):
    """(Ticket Policy, Ticket Data) of the octets of a TICKET payload after Next Payload."""
    policy_end = 9 + int.from_bytes(ticket[7:9], "big")
    data_length = int.from_bytes(ticket[policy_end:policy_end + 2], "big")
    return ticket[:policy_end], ticket[policy_end + 2:policy_end + 2 + data_length]


def _message_payloads(message):
    """The payloads of a TRANSFER_INIT or TRANSFER_RESP with the GENERIC-ID map."""
    at = 10
    for _ in range(message[8]):  # #CS blocks of CS ID, Prot type, S and #P, Ps, data, SPI
        at += 3 + (message[at + 2] & 0x7F)
        at += 2 + int.from_bytes(message[at:at + 2], "big")
        at += 1 + message[at]
    return list(_read_payloads(message[2], _Reader(message[at:], "transfer message")))


def transfer_keys(tpk, transfer_init, transfer_resp):
    """Every key of a Ticket Transfer with key forking, from the TPK alone: {name: octets}.

    RFC 6043 A.1 (the ticket), 5.1.1 (forking), 5.1.3 (the TEK of CS ID 1).
    """
    suite = SUITE_256 if transfer_init[3] & 0x7F else SUITE_128
    sent, answered = _message_payloads(transfer_init), _message_payloads(transfer_resp)
    _, data = _ticket_parts(next(body for kind, body in sent if kind == TICKET))
    reader = _Reader(data, "Ticket Data")
    following = reader.number(1)
    reader.take(reader.number(2))  # THDR
    fields = {}
    while following != LAST:
        kind, following = following, reader.number(1)
        if kind == T:
            fields[T] = reader.take(_TIME_OCTETS[reader.number(1)])
        elif kind == RAND:
            fields[RAND] = reader.take(reader.number(1))
        elif kind == KEMAC:
            reader.take(1)
            fields[KEMAC] = reader.take(reader.number(2))
            reader.take(1)
        elif kind == IDR:
            reader.take(2)
            reader.take(reader.number(2))
        elif kind == V:
            reader.take(_MAC_OCTETS[reader.number(1)])
        else:
            raise Refused(f"payload {kind} in Ticket Data")
    everywhere = b"\xff" * 4
    tail = b"\xff" + everywhere + b"\x05" + bytes([len(fields[RAND])]) + fields[RAND]
    encr_key = prf(suite, tpk, bytes.fromhex("150533e1") + tail, suite.key_octets)
    salt = prf(suite, tpk, bytes.fromhex("29b88916") + tail, 14)
    plain = aes_cm(encr_key, salt, everywhere, fields[T], fields[KEMAC])
    (_, mpk, _), (_, tgk, _) = _read_keys(plain)

    tail = b"\xff" + everywhere + b"\x06" + bytes([len(fields[RAND])]) + fields[RAND]
    mpk_i = prf(suite, mpk, bytes.fromhex("220e99a2") + tail, suite.key_octets)
    mpk_r = prf(suite, mpk, bytes.fromhex("1f4d675b") + tail, suite.key_octets)

    rands = {body[0]: body[2:] for kind, body in sent + answered if kind == RANDR}
    responder = next(body[4:] for kind, body in answered
                     if kind == IDR and body[0] == ROLE_RESPONDER)
    modifier = (b"\xff" + everywhere + b"\x00" + struct.pack("!H", len(responder)) + responder +
                bytes([len(rands[3])]) + rands[3])
    mpk_r_forked = prf(suite, mpk_r, bytes.fromhex("2b288856") + modifier, len(mpk_r))
    tgk_forked = prf(suite, tgk, bytes.fromhex("1512b54a") + modifier, len(tgk))
    label = (bytes.fromhex("2ad01c64") + b"\x01" + everywhere + b"\x03" +
             bytes([len(rands[1])]) + rands[1] + bytes([len(rands[2])]) + rands[2])
    tek = prf(suite, tgk_forked, label, suite.key_octets)
    return {"MPK": mpk, "TGK": tgk, "MPKi": mpk_i, "MPKr": mpk_r, "MPKr'": mpk_r_forked,
            "TGK'": tgk_forked, "TEK": tek}


def read_error(message):
    """(CSB ID, Error no, whether it carries a MAC) of a MIKEY Error message (RFC 6043 5.4)."""
    if message[:2] != bytes([1, DATA_ERROR]):
        raise Refused("not an Error message")
    payloads = list(_read_payloads(message[2], _Reader(message[10:], "Error message")))
    numbers = [body[0] for kind, body in payloads if kind == ERR]
    if len(numbers) != 1:
        raise Refused(f"{len(numbers)} ERR payloads")
    return message[4:8], numbers[0], any(kind == V for kind, _ in payloads)
