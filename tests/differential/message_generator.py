"""Makes MIKEY messages for two decoders to disagree about: well-formed ones of every data type with
every payload, and mutations of them. No cryptography: MACs, signatures and cipher texts are noise.

Message NUMBER of a SEED is always the same: well_formed(SEED, NUMBER), mutated(SEED, NUMBER).
"""

import random

# The exchanges in the notation of the RFCs: [optional], {zero or more}, (one or more), one|other.
MESSAGES = {
    0: "T RAND [ID] [ID] {SP} KEMAC",  # RFC 3830 3.1
    1: "T [ID] V",
    2: "T RAND [ID|CERT] [ID] {SP} KEMAC [CHASH] PKE SIGN",  # RFC 3830 3.2
    3: "T [ID] V",
    4: "T RAND [ID|CERT] [ID] {SP} DH SIGN",  # RFC 3830 3.3
    5: "T [ID|CERT] ID DH DH SIGN",
    6: "T (ERR) {SP} [V|SIGN]",  # RFC 3830 5.1.2, RFC 6043 5.4
    7: "T RAND [ID] ID {SP} DH KEMAC",  # RFC 4650 3
    8: "T [ID] ID DH DH KEMAC",
    9: "T [ID|CERT] [ID] {SP} SIGN",  # RFC 4738 3
    10: "T [RAND] [ID|CERT] {SP} KEMAC PKE SIGN",
    11: "T RANDRi [IDRi] [IDRkms] TP [IDRpsk] V",  # RFC 6043 4.2.1
    12: "T RANDRi [IDRi] {CERT} [IDRkms] TP [CHASH] PKE SIGN",
    13: "T [IDRkms] TICKET KEMAC V",
    14: "T RANDRi [IDRi] [IDRr] {SP} TICKET [KEMAC] V",  # RFC 6043 4.2.2
    15: "T [RANDRr] [IDRr] [RANDRkms] {SP} [KEMAC] V",
    16: "T RANDRr [IDRr] [IDRkms] TICKET [IDRpsk] V",  # RFC 6043 4.2.3
    17: "T RANDRr [IDRr] {CERT} [IDRkms] TICKET [CHASH] PKE SIGN",
    18: "T [IDRkms] KEMAC [IDRr] [RANDRkms] V",
}
TP_DATA = "[IDRkms] [IDRi] [TRs] [TRe] [TRr] [KEMAC] {IDRapp} (IDRr)"  # RFC 6043 6.10
INITIATOR_DATA = "V V"
TICKET_DATA = "T RAND KEMAC [IDRpsk] V"  # behind THDR, RFC 6043 A
# Encr data in plain. In public-key methods the sender's ID comes first (RFC 3830 6.2).
KEY_DATA = "(KeyData)"
ID_AND_KEY_DATA = "ID {KeyData}"
PUBLIC_KEY_METHODS = (2, 10)
CLOSING = ("V", "SIGN")  # nothing follows these in a message


class MessageWriter:
    """Writes one message, and remembers where its Next Payload octets, its lengths and its other
    deciding octets are, so that mutations can go for them.

    `disturb(random, names)` may change the plan of a chain of payloads before it is written.
    """

    def __init__(self, source, disturb=lambda source, names: names):
        self.random = source
        self.disturb = disturb
        self.octets = bytearray()
        self.next_payloads = []  # offsets
        self.deciding = []  # offsets
        self.lengths = []  # (offset, octets)
        self.data_type = None
        self.depth = 0  # of nesting: TP Data and Initiator Data are 1

    # ---- fields

    def chance(self, probability):
        return self.random.random() < probability

    def number(self, value, octets=1):
        self.octets += value.to_bytes(octets, "big")

    def noise(self, octets):
        self.octets += self.random.randbytes(octets)

    def decide(self, *values):
        """An octet that says what follows."""
        self.deciding.append(len(self.octets))
        value = self.random.choice(values)
        self.octets.append(value)
        return value

    def keep(self, *assigned):
        """An octet that stands for itself, assigned or not."""
        self.octets.append(self.random.choice(assigned) if self.chance(0.9)
                           else self.random.getrandbits(8))

    def length(self, value, octets, upper_bits=0):
        """A length, which may share its octets with what `upper_bits` holds."""
        self.lengths.append((len(self.octets), octets))
        self.number(value | upper_bits, octets)

    def some_octets(self, most):
        """How long a field of any length is: nothing, now and then."""
        return 0 if self.chance(0.05) else self.random.randint(1, most)

    def sized(self, octets, most):
        """A length, and as much noise."""
        count = self.some_octets(most)
        self.length(count, octets)
        self.noise(count)

    def measured(self, octets, write):
        """The length of what `write` writes, and that."""
        at = len(self.octets)
        self.length(0, octets)
        write()
        self.octets[at:at + octets] = (len(self.octets) - at - octets).to_bytes(octets, "big")

    # ---- chains

    def plan(self, notation):
        """Names of payloads as the notation allows them."""
        names = []
        for term in notation.split():
            count = {"[": self.random.randint(0, 1), "{": self.random.choice((0, 0, 1, 2)),
                     "(": self.random.choice((1, 1, 2))}.get(term[0], 1)
            choices = term.strip("[]{}()").split("|")
            names += [self.random.choice(choices) for _ in range(count)]
        return names

    def free_plan(self, notation):
        """The same with liberties now and then: another order, or a payload that a receiver does
        not expect and ignores."""
        names = self.plan(notation)
        closing = [names.pop()] if names[-1] in CLOSING else []
        if self.chance(0.3):
            self.random.shuffle(names)
        if self.chance(0.05):  # in any message, RFC 3830 6.15
            names.insert(self.random.randint(0, len(names)), "EXT")
        if self.chance(0.1):
            names.insert(self.random.randint(0, len(names)),
                         self.random.choice([name for name in UNEXPECTED if name not in names]))
        return names + closing

    def chain(self, names, link=None):
        """Payloads; `link` is the offset of the octet that tells the type of the first."""
        for name in self.disturb(self.random, names):
            payload_type, write = PAYLOADS[name]
            if link is not None:
                self.octets[link] = payload_type
                self.next_payloads.append(link)
            link = None if name == "SIGN" else len(self.octets)  # SIGN has no Next Payload
            self.octets += b"" if name == "SIGN" else b"\0"
            write(self)

    def first_and_chain(self, notation):
        """First Payload, and payloads."""
        self.depth += 1
        self.number(0)
        self.chain(self.free_plan(notation), len(self.octets) - 1)
        self.depth -= 1

    # ---- the message and its payloads, each behind its Next Payload octet

    def message(self):
        self.number(1)
        self.deciding.append(1)
        self.data_type = self.random.choice(list(MESSAGES))
        self.octets += bytes((self.data_type, 0))
        self.keep(0, 1, 0x80, 0x81)  # V, PRF func
        self.noise(4)  # CSB ID
        cs_count = self.random.choice((0, 1, 1, 2, 5))
        self.number(cs_count)
        map_type = self.decide(0, 1, 2, 2)
        if map_type == 0:
            self.noise(9 * cs_count)
        if map_type == 2:
            for _ in range(cs_count):
                self.generic_crypto_session()
        self.chain(self.free_plan(MESSAGES[self.data_type]), 2)

    def generic_crypto_session(self):
        self.noise(1)  # CS ID
        prot_type = self.random.choice((0, 0, 2, 241, 7))
        s_flag = self.random.randint(0, 1)
        policies = self.random.choice((0, 1, 1, 3))
        self.deciding.append(len(self.octets))
        self.number(prot_type)
        self.length(policies, 1, s_flag << 7)
        self.noise(policies)
        if prot_type == 0:
            session_data = self.random.choice((0, 10 if s_flag else 4))
            self.length(session_data, 2)
            self.noise(session_data)
        else:
            self.sized(2, 20)
        self.sized(1, 6)

    def kemac(self):
        encr_alg = self.decide(0, 1, 2, 3, 77)
        if encr_alg == 0:
            public_key = self.data_type in PUBLIC_KEY_METHODS
            notation = ID_AND_KEY_DATA if public_key and not self.depth else KEY_DATA
            empty = self.chance(0.1)  # an update without keys
            self.measured(2, lambda: empty or self.chain(self.plan(notation)))
        else:
            self.sized(2, 80)
        self.mac(0, 0, 1, 2)

    def mac(self, *algorithms):
        self.noise({0: 0, 1: 20, 2: 32}[self.decide(*algorithms)])

    def key_data(self):
        key_type, kv = self.random.randint(0, 6), self.random.randint(0, 2)
        self.deciding.append(len(self.octets))
        self.number(key_type << 4 | kv)
        self.sized(2, 32)
        if key_type in (1, 3, 5):
            self.sized(2, 14)
        self.kv_data(kv)

    def kv_data(self, kv):
        for _ in range(kv):  # SPI, or Valid From and Valid To
            self.sized(1, 8)

    def pke(self):
        count = self.some_octets(300)
        self.length(count, 2, self.random.randint(0, 3) << 14)
        self.noise(count)

    def dh(self):
        self.noise({0: 192, 1: 96, 2: 128}[self.decide(0, 1, 2)])
        kv = self.random.randint(0, 2)
        self.deciding.append(len(self.octets))
        self.number(kv if self.chance(0.9) else kv | self.random.getrandbits(4) << 4)
        self.kv_data(kv)

    def sign(self):
        count = self.some_octets(300)
        self.length(count, 2, self.random.choice((0, 1, 9)) << 12)
        self.noise(count)

    def t(self):
        self.noise({0: 8, 1: 8, 2: 4, 3: 4}[self.decide(0, 1, 2, 3)])

    def tr(self, role):
        self.number(role)
        self.t()

    def id(self):
        self.keep(0, 1, 2, 3)  # of an ID, or of a certificate
        self.sized(2, 40)

    def idr(self, role):
        self.number(role)
        self.id()

    def chash(self):
        self.noise({0: 20, 1: 16, 2: 32}[self.decide(0, 1, 2)])

    def v(self):
        self.mac(1, 2)

    def sp(self):
        self.noise(1)  # Policy no
        self.keep(0, 2)
        self.measured(2, lambda: [self.type_and_sized()
                                  for _ in range(self.random.choice((0, 1, 3, 13)))])

    def type_and_sized(self):
        self.noise(1)
        self.sized(1, 4)

    def rand(self):
        self.sized(1, 32)

    def randr(self, role):
        self.number(role)
        self.rand()

    def err(self):
        self.keep(*range(16))
        self.number(0 if self.chance(0.9) else self.random.getrandbits(16), 2)

    def ext(self):
        if self.decide(0, 1, 2, 3, 200) == 3:
            self.measured(2, lambda: [self.type_and_sized()
                                      for _ in range(self.random.choice((0, 1, 2)))])
        else:
            self.sized(2, 30)

    def tp(self):
        self.policy()

    def policy(self):
        ticket_type = self.random.choice((1, 2)) if self.chance(0.9) else 0xF000
        self.number(ticket_type, 2)
        self.octets += b"\1\1"  # Subtype, Version
        self.noise(3)  # PRF Func, flags, Res
        if self.depth:
            self.sized(2, 40)
        else:
            self.measured(2, lambda: self.first_and_chain(TP_DATA))

    def ticket(self):
        self.policy()
        if self.depth or self.chance(0.1):
            self.sized(2, 40)
            self.sized(2, 40) if self.depth else self.number(0, 2)
        else:
            self.measured(2, self.ticket_data)
            forked = self.chance(0.5)
            self.measured(2, lambda: forked and self.first_and_chain(INITIATOR_DATA))

    def ticket_data(self):
        """THDR, then the payloads."""
        self.depth += 1
        self.number(0)
        link = len(self.octets) - 1
        self.sized(2, 10)
        self.chain(self.free_plan(TICKET_DATA), link)
        self.depth -= 1


# Name in the exchanges: payload type, and what writes it.
PAYLOADS = {
    "KEMAC": (1, MessageWriter.kemac),
    "PKE": (2, MessageWriter.pke),
    "DH": (3, MessageWriter.dh),
    "SIGN": (4, MessageWriter.sign),
    "T": (5, MessageWriter.t),
    "ID": (6, MessageWriter.id),
    "CERT": (7, MessageWriter.id),
    "CHASH": (8, MessageWriter.chash),
    "V": (9, MessageWriter.v),
    "SP": (10, MessageWriter.sp),
    "RAND": (11, MessageWriter.rand),
    "ERR": (12, MessageWriter.err),
    "TRi": (13, lambda writer: writer.tr(1)),
    "TRs": (13, lambda writer: writer.tr(2)),
    "TRe": (13, lambda writer: writer.tr(3)),
    "TRr": (13, lambda writer: writer.tr(4)),
    "IDRi": (14, lambda writer: writer.idr(1)),
    "IDRr": (14, lambda writer: writer.idr(2)),
    "IDRkms": (14, lambda writer: writer.idr(3)),
    "IDRpsk": (14, lambda writer: writer.idr(4)),
    "IDRapp": (14, lambda writer: writer.idr(5)),
    "IDR9": (14, lambda writer: writer.idr(9)),
    "RANDRi": (15, lambda writer: writer.randr(1)),
    "RANDRr": (15, lambda writer: writer.randr(2)),
    "RANDRkms": (15, lambda writer: writer.randr(3)),
    "TP": (16, MessageWriter.tp),
    "TICKET": (17, MessageWriter.ticket),
    "KeyData": (20, MessageWriter.key_data),
    "EXT": (21, MessageWriter.ext),
}
# What a chain may hold though its exchange does not name it.
UNEXPECTED = [name for name in PAYLOADS if name not in (*CLOSING, "KeyData")]


# ---- mutations -----------------------------------------------------------------------------------

# Of a plan: (random, names) -> names.


def repeat_payload(source, names):
    return insert(source, names, source.choice(names))


def drop_payload(source, names):
    at = source.randrange(len(names))
    return names[:at] + names[at + 1:]


def swap_payloads(source, names):
    names = list(names)
    a, b = source.randrange(len(names)), source.randrange(len(names))
    names[a], names[b] = names[b], names[a]
    return names


def insert_payload(source, names):
    return insert(source, names, source.choice(list(PAYLOADS)))


def insert(source, names, name):
    at = source.randint(0, len(names))
    return names[:at] + [name] + names[at:]


PLAN_MUTATIONS = (repeat_payload, drop_payload, swap_payloads, insert_payload)


def disturb_plan(source, names):
    """The plans of a message, one in three of them changed."""
    if names and source.random() < 1 / 3:
        return source.choice(PLAN_MUTATIONS)(source, names)
    return names


# Of the octets of a message: (random, octets, writer of the message), in place.


def flip_bit(source, octets, _):
    octets[source.randrange(len(octets))] ^= 1 << source.randrange(8)


def replace_octet(source, octets, _):
    octets[source.randrange(len(octets))] = source.getrandbits(8)


def insert_octet(source, octets, _):
    octets.insert(source.randint(0, len(octets)), source.getrandbits(8))


def remove_octet(source, octets, _):
    del octets[source.randrange(len(octets))]


def truncate(source, octets, _):
    del octets[source.randrange(len(octets)):]


def append_octets(source, octets, _):
    octets += source.randbytes(source.randint(1, 8))


def change_length(source, octets, writer):
    at, size = source.choice(writer.lengths)
    old = int.from_bytes(octets[at:at + size], "big")
    new = source.choice((old + 1, old - 1, old + source.randint(-20, 20), 0,
                         source.getrandbits(16)))
    octets[at:at + size] = (new % 256**size).to_bytes(size, "big")


def change_payload_type(source, octets, writer):
    octets[source.choice(writer.next_payloads)] = (
        source.randint(0, 22) if source.random() < 0.9 else source.getrandbits(8))


def change_deciding_octet(source, octets, writer):
    at = source.choice(writer.deciding)
    octets[at] = (octets[at] + source.randint(-2, 2)) % 256 if source.random() < 0.7 else (
        source.getrandbits(8))


OCTET_MUTATIONS = (flip_bit, replace_octet, insert_octet, remove_octet, truncate, append_octets,
                   change_length, change_length, change_payload_type, change_payload_type,
                   change_deciding_octet, change_deciding_octet)


# ---- what this module is for ---------------------------------------------------------------------


def well_formed(seed, number):
    """The octets of a message that every decoder has to accept."""
    writer = MessageWriter(random.Random(f"well-formed {seed} {number}"))
    writer.message()
    return bytes(writer.octets)


def mutated(seed, number):
    """The octets of a message with its payloads or its octets changed, once or a few times."""
    source = random.Random(f"mutated {seed} {number}")
    if source.random() < 0.3:
        writer = MessageWriter(source, disturb_plan)
        writer.message()
        return bytes(writer.octets)
    writer = MessageWriter(source)
    writer.message()
    octets = bytearray(writer.octets)
    for _ in range(source.choice((1, 1, 1, 2, 3))):
        if octets:
            change = source.choice(OCTET_MUTATIONS)
            try:
                change(source, octets, writer)
            except IndexError:
                pass  # it went for a field that an earlier change removed
    return bytes(octets)
