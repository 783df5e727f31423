"""A decoder of every MIKEY message, written from the RFCs alone and sharing nothing with lib/mikey,
so that a misreading on one side does not cancel out on the other.

RFC 3830 section 6, RFC 4563 (key IDs, the empty map), RFC 6043 section 6 and Appendix A. Nothing is
verified or decrypted: a message is taken apart into payloads, fields and positions, or refused with
the clause it breaks. Values that no RFC assigns are kept, unless a length or a structure hangs on
them; so are reserved bits.

PAYLOADS is the table of the payloads, above it one function for each; decode() is at the end.
"""

from typing import Callable, NamedTuple


class Refused(Exception):
    """A message that breaks a clause: where (octets from its start), in which payload, and why."""

    def __init__(self, offset, payload, clause, text):
        super().__init__(f"octet {offset}, {payload} ({clause}): {text}")
        self.offset, self.payload, self.clause, self.text = offset, payload, clause, text


class Span(NamedTuple):
    """Octets of the message."""

    offset: int
    length: int


class Payload(NamedTuple):
    """One payload; its octets include Next Payload. `fields` are those of the clause in its order,
    without lengths and without Next Payload: numbers, Spans, None, or tuples of these. `inner` are
    the chains of payloads inside."""

    type: int
    name: str
    offset: int
    length: int
    fields: tuple
    inner: tuple = ()


class Message(NamedTuple):
    """HDR (as a payload without type) and the payloads behind it."""

    header: Payload
    payloads: list


class Reader:
    """Walks part of a message and never past its end."""

    __slots__ = ("data", "at", "end", "payload", "clause", "data_type", "inner")

    def __init__(self, data, at, end, payload, clause, data_type=None):
        self.data, self.at, self.end = data, at, end
        self.payload, self.clause, self.data_type = payload, clause, data_type
        self.inner = ()  # chains inside the payload that is being decoded

    def refuse(self, text, offset=None):
        raise Refused(self.at if offset is None else offset, self.payload, self.clause, text)

    def span(self, length, field):
        at, end = self.at, self.at + length
        if end > self.end:
            self.refuse(f"{field} needs {length} octets, {self.end - at} are left")
        self.at = end
        return Span(at, length)

    def number(self, octets, field):
        at = self.at
        end = at + octets
        if end > self.end:
            self.refuse(f"{field} needs {octets} octets, {self.end - at} are left")
        self.at = end
        return self.data[at] if octets == 1 else int.from_bytes(self.data[at:end], "big")

    def sized(self, octets, field):
        """A field that a length of `octets` octets precedes."""
        return self.span(self.number(octets, f"{field} length"), field)

    def inside(self, span):
        """A reader of nothing but `span`."""
        return Reader(self.data, span.offset, span.offset + span.length, self.payload, self.clause,
                      self.data_type)

    def look_up(self, table, number, field):
        """What a table says of an assigned number; a length or a structure hangs on it."""
        if number not in table:
            self.refuse(f"{field} {number} is not assigned", self.at - 1)
        return table[number]


# ---- numbers that decide lengths and structures -------------------------------------------------

VERSION = 1
# RFC 3830 table 6.1.a; 7 and 8 are RFC 4650, 9 and 10 RFC 4738; 11 to 18 RFC 6043 table 6.1.
DATA_TYPES = range(19)
# Messages whose envelope key protects KEMAC: there the sender's ID precedes the key data, RFC 3830
# 6.2 and RFC 4738 3.1.
PUBLIC_KEY_METHODS = (2, 10)

# RFC 3830 table 6.1.b, RFC 6043 table 6.2. THDR has no number: it begins the Ticket Data.
LAST, KEMAC, PKE, DH, SIGN, T, ID, CERT, CHASH, V, SP, RAND, ERR = range(13)
TR, IDR, RANDR, TP, TICKET = range(13, 18)
KEY_DATA, EXT = 20, 21

SRTP_ID, EMPTY_MAP, GENERIC_ID = 0, 1, 2  # RFC 3830 table 6.1.d, RFC 4563 table 3, RFC 6043 6.4
ENCR_NULL = 0  # RFC 3830 table 6.2.a
MAC_NULL = 0
MAC_OCTETS = {MAC_NULL: 0, 1: 20, 2: 32}  # RFC 3830 table 6.2.b, RFC 6043 table 6.6
DH_VALUE_OCTETS = {0: 192, 1: 96, 2: 128}  # RFC 3830 table 6.4
TS_VALUE_OCTETS = {0: 8, 1: 8, 2: 4, 3: 4}  # RFC 3830 table 6.6, RFC 6043 table 6.8
HASH_OCTETS = {0: 20, 1: 16, 2: 32}  # RFC 3830 table 6.8, RFC 6043 table 6.12
KEY_MPK = 6
TS_NTP_UTC_32 = 3
KEY_HAS_SALT = {0: False, 1: True, 2: False, 3: True, 4: False, 5: True, 6: False}  # and 6043 6.7
KV_NULL, KV_SPI, KV_INTERVAL = 0, 1, 2  # RFC 3830 table 6.13.b
EXT_KEY_ID = 3  # RFC 4563 table 1
PROT_SRTP = 0  # RFC 3830 table 6.10
TRS, TRE, TRR = 2, 3, 4  # RFC 6043 table 6.9, those of a Ticket Policy
ID_INITIATOR, ID_RESPONDER, ID_KMS, ID_PSK = 1, 2, 3, 4  # RFC 6043 table 6.11
RAND_ROLES = 1, 2, 3  # RFC 6043 table 6.13


# ---- the common header --------------------------------------------------------------------------


def decode_srtp_id(reader, cs_count):
    """RFC 3830 6.1.1: per crypto session Policy_no, SSRC, ROC."""
    return tuple((reader.number(1, "Policy_no"), reader.number(4, "SSRC"), reader.number(4, "ROC"))
                 for _ in range(cs_count))


def decode_generic_id(reader, cs_count):
    """RFC 6043 6.1.1: CS ID, Prot type, S, Ps, Session Data, SPI per crypto session."""
    reader.clause = "RFC 6043 6.1.1"
    sessions = []
    for _ in range(cs_count):
        cs_id = reader.number(1, "CS ID")
        prot_type = reader.number(1, "Prot type")
        s_and_count = reader.number(1, "S and #P")
        s_flag = s_and_count >> 7
        policies = reader.span(s_and_count & 0x7F, "Ps")
        session_data = reader.sized(2, "Session Data")
        # SSRC, and ROC and SEQ if S says so; all of it may be left out at first.
        if prot_type == PROT_SRTP and session_data.length not in (0, 10 if s_flag else 4):
            reader.refuse(f"SRTP with S = {s_flag} has no Session Data of {session_data.length} "
                          "octets", session_data.offset)
        spi = reader.sized(1, "SPI")
        sessions.append((cs_id, prot_type, s_flag, policies, session_data, spi))
    return tuple(sessions)


def decode_empty_map(reader, cs_count):
    """RFC 4563 5: what it would say is said outside MIKEY."""
    return ()


CS_ID_MAPS = {SRTP_ID: decode_srtp_id, EMPTY_MAP: decode_empty_map, GENERIC_ID: decode_generic_id}


def decode_header(reader):
    """(HDR, type of the first payload). RFC 3830 6.1."""
    version = reader.number(1, "version")
    if version != VERSION:
        reader.refuse(f"version {version}", 0)
    data_type = reader.data_type = reader.number(1, "data type")
    if data_type not in DATA_TYPES:
        reader.refuse(f"data type {data_type} is not assigned", 1)
    first = reader.number(1, "next payload")
    if first in (LAST, SIGN):
        reader.refuse(f"payload type {first} cannot directly follow the header", 2)
    v_and_prf = reader.number(1, "V and PRF func")
    csb_id = reader.number(4, "CSB ID")
    cs_count = reader.number(1, "#CS")
    map_type = reader.number(1, "CS ID map type")
    sessions = reader.look_up(CS_ID_MAPS, map_type, "CS ID map type")(reader, cs_count)
    fields = (data_type, v_and_prf >> 7, v_and_prf & 0x7F, csb_id, cs_count, map_type, sessions)
    return Payload(None, "HDR", 0, reader.at, fields), first


# ---- payloads: the fields of each, from behind its Next Payload octet ----------------------------


def decode_kemac(reader):
    """Encr alg, Encr data, MAC alg, MAC."""
    encr_alg = reader.number(1, "Encr alg")
    encr_data = reader.sized(2, "Encr data")
    mac_alg = reader.number(1, "MAC alg")
    mac = reader.span(reader.look_up(MAC_OCTETS, mac_alg, "MAC alg"), "MAC")
    if encr_alg == ENCR_NULL:
        reader.inner = (decode_sub_payloads(reader.inside(encr_data)),)
    return encr_alg, encr_data, mac_alg, mac


def decode_kv_data(reader, kv):
    """RFC 3830 6.14: nothing, (SPI,) or (Valid From, Valid To)."""
    if kv == KV_NULL:
        return ()
    if kv == KV_SPI:
        return (reader.sized(1, "SPI"),)
    if kv == KV_INTERVAL:
        return reader.sized(1, "Valid From"), reader.sized(1, "Valid To")
    return reader.refuse(f"KV {kv} is not assigned")


def decode_key_data(reader):
    """Type, KV, Key data, Salt data or None, KV data."""
    type_and_kv = reader.number(1, "Type and KV")
    key_type, kv = type_and_kv >> 4, type_and_kv & 0xF
    has_salt = reader.look_up(KEY_HAS_SALT, key_type, "key type")
    key = reader.sized(2, "Key data")
    salt = reader.sized(2, "Salt data") if has_salt else None
    return key_type, kv, key, salt, decode_kv_data(reader, kv)


def decode_pke(reader):
    """C, Data."""
    c_and_length = reader.number(2, "C and Data len")
    return c_and_length >> 14, reader.span(c_and_length & 0x3FFF, "Data")


def decode_dh(reader):
    """DH-Group, DH-value, Reserv, KV, KV data."""
    group = reader.number(1, "DH-Group")
    value = reader.span(reader.look_up(DH_VALUE_OCTETS, group, "DH-Group"), "DH-value")
    reserved_and_kv = reader.number(1, "Reserv and KV")
    reserved, kv = reserved_and_kv >> 4, reserved_and_kv & 0xF
    return group, value, reserved, kv, decode_kv_data(reader, kv)


def decode_sign(reader):
    """S type, Signature. The only payload without Next Payload: it is always the last one."""
    type_and_length = reader.number(2, "S type and Signature len")
    return type_and_length >> 12, reader.span(type_and_length & 0xFFF, "Signature")


def decode_t(reader):
    """TS type, TS value."""
    ts_type = reader.number(1, "TS type")
    return ts_type, reader.number(reader.look_up(TS_VALUE_OCTETS, ts_type, "TS type"), "TS value")


def decode_tr(reader):
    """TS Role, TS Type, TS Value."""
    return reader.number(1, "TS Role"), *decode_t(reader)


def decode_id(reader):
    """ID or Cert Type, ID or Certificate Data."""
    return reader.number(1, "type"), reader.sized(2, "data")


def decode_idr(reader):
    """ID Role, ID Type, ID Data."""
    return reader.number(1, "ID Role"), *decode_id(reader)


def decode_chash(reader):
    """Hash func, Hash."""
    function = reader.number(1, "Hash func")
    return function, reader.span(reader.look_up(HASH_OCTETS, function, "Hash func"), "Hash")


def decode_v(reader):
    """Auth alg, Ver data. Without a MAC anyone could take V away: NULL is refused."""
    auth_alg = reader.number(1, "Auth alg")
    if auth_alg == MAC_NULL:
        reader.refuse("Auth alg NULL verifies nothing", reader.at - 1)
    return auth_alg, reader.span(reader.look_up(MAC_OCTETS, auth_alg, "Auth alg"), "Ver data")


def decode_sp(reader):
    """Policy no, Prot type, Policy param as its (Type, Value) fields."""
    policy_no = reader.number(1, "Policy no")
    prot_type = reader.number(1, "Prot type")
    params = reader.inside(reader.sized(2, "Policy param"))
    parameters = []
    while params.at < params.end:
        parameters.append((params.number(1, "parameter Type"), params.sized(1, "parameter Value")))
    return policy_no, prot_type, tuple(parameters)


def decode_rand(reader):
    """RAND."""
    return (reader.sized(1, "RAND"),)


def decode_randr(reader):
    """RAND Role, RAND."""
    return reader.number(1, "RAND Role"), *decode_rand(reader)


def decode_err(reader):
    """Error no, Reserved."""
    return reader.number(1, "Error no"), reader.number(2, "Reserved")


def decode_ext(reader):
    """Type, Data; of Key ID Information its (Key ID Type, Key ID) fields (RFC 4563 4)."""
    ext_type = reader.number(1, "Type")
    data = reader.sized(2, "Data")
    if ext_type != EXT_KEY_ID:
        return ext_type, data
    information = reader.inside(data)
    information.clause = "RFC 4563 4"
    key_ids = []
    while information.at < information.end:
        key_ids.append((information.number(1, "Key ID Type"), information.sized(1, "Key ID")))
    return ext_type, data, tuple(key_ids)


def decode_tp(reader):
    """Ticket Type, Subtype, Version, PRF Func, flags D to O, Res, TP Data."""
    ticket_type, subtype, version = (reader.number(2, "Ticket Type"), reader.number(1, "Subtype"),
                                     reader.number(1, "Version"))
    bits = reader.number(3, "PRF Func, flags and Res")
    tp_data = reader.sized(2, "TP Data")
    reader.inner = (decode_nested(reader, tp_data, TP_DATA),)
    return ticket_type, subtype, version, bits >> 17, bits >> 5 & 0xFFF, bits & 0x1F, tp_data


def decode_ticket(reader):
    """As TP, then Ticket Data and Initiator Data. Ticket Data is for whoever opens the ticket, see
    decode_ticket_data; without key forking there is no Initiator Data."""
    policy = decode_tp(reader)
    ticket_data = reader.sized(2, "Ticket Data")
    initiator_data = reader.sized(2, "Initiator Data")
    forked = initiator_data.length > 0
    initiator = decode_nested(reader, initiator_data, INITIATOR_DATA) if forked else []
    reader.inner = (*reader.inner, initiator)
    return *policy, ticket_data, initiator_data


def skip_tp(reader):
    """TP Data: as an unexpected payload a TP has lengths and no more."""
    reader.span(7, "Ticket Type to Res")
    return (reader.sized(2, "TP Data"),)


def skip_ticket(reader):
    """TP Data, Ticket Data, Initiator Data."""
    return (*skip_tp(reader), reader.sized(2, "Ticket Data"), reader.sized(2, "Initiator Data"))


class Kind(NamedTuple):
    name: str
    clause: str
    decode: Callable


PAYLOADS = {
    KEMAC: Kind("KEMAC", "RFC 3830 6.2", decode_kemac),
    PKE: Kind("PKE", "RFC 3830 6.3", decode_pke),
    DH: Kind("DH", "RFC 3830 6.4", decode_dh),
    SIGN: Kind("SIGN", "RFC 3830 6.5", decode_sign),
    T: Kind("T", "RFC 3830 6.6", decode_t),
    ID: Kind("ID", "RFC 3830 6.7", decode_id),
    CERT: Kind("CERT", "RFC 3830 6.7", decode_id),
    CHASH: Kind("CHASH", "RFC 3830 6.8", decode_chash),
    V: Kind("V", "RFC 3830 6.9", decode_v),
    SP: Kind("SP", "RFC 3830 6.10", decode_sp),
    RAND: Kind("RAND", "RFC 3830 6.11", decode_rand),
    ERR: Kind("ERR", "RFC 3830 6.12", decode_err),
    TR: Kind("TR", "RFC 6043 6.4", decode_tr),
    IDR: Kind("IDR", "RFC 6043 6.6", decode_idr),
    RANDR: Kind("RANDR", "RFC 6043 6.8", decode_randr),
    TP: Kind("TP", "RFC 6043 6.10", decode_tp),
    TICKET: Kind("TICKET", "RFC 6043 6.10", decode_ticket),
    EXT: Kind("EXT", "RFC 3830 6.15", decode_ext),
}
# Inside TP Data, Initiator Data and Ticket Data a TP or a TICKET is not expected.
NESTED_PAYLOADS = {**PAYLOADS,
                   TP: PAYLOADS[TP]._replace(decode=skip_tp),
                   TICKET: PAYLOADS[TICKET]._replace(decode=skip_ticket)}


# ---- chains of payloads -------------------------------------------------------------------------


class Place(NamedTuple):
    """Where a chain is: which payloads it may hold, which kinds of them once at most (see kind_of),
    and which payload must be the last if it is there."""

    name: str
    clause: str
    payloads: dict
    once: frozenset = frozenset()
    last: int = LAST


# What occurs once at most in any message of RFC 3830 section 3 and RFC 6043 section 4.2. The others
# (ID, DH, CERT, SP, ERR, EXT) occur several times somewhere, or are never expected and ignored.
MESSAGE = Place("message", "RFC 6043 4.2", PAYLOADS, frozenset({
    T, RAND, KEMAC, PKE, CHASH, TP, TICKET, V, *((RANDR, role) for role in RAND_ROLES),
    *((IDR, role) for role in (ID_INITIATOR, ID_RESPONDER, ID_KMS, ID_PSK))}), last=V)
# What may occur how often in TP Data is for check_policy to say.
TP_DATA = Place("TP Data", "RFC 6043 6.10", NESTED_PAYLOADS)
INITIATOR_DATA = Place("Initiator Data", "RFC 6043 6.10", NESTED_PAYLOADS)
TICKET_DATA = Place("Ticket Data", "RFC 6043 A", NESTED_PAYLOADS,
                    frozenset({T, RAND, KEMAC, (IDR, ID_PSK), V}), last=V)
KEY_DATA_KIND = Kind("Key data", "RFC 3830 6.13", decode_key_data)
INSIDE_KEMAC = Place("Encr data", "RFC 3830 6.2", {KEY_DATA: KEY_DATA_KIND})
INSIDE_PUBLIC_KEY_KEMAC = Place("Encr data", "RFC 3830 6.2",
                                {ID: PAYLOADS[ID], KEY_DATA: KEY_DATA_KIND}, frozenset({ID}))


def kind_of(payload):
    """Two payloads are of one kind when type and role, if they have one, are equal."""
    with_role = payload.type in (TR, IDR, RANDR)
    return (payload.type, payload.fields[0]) if with_role else payload.type


def decode_chain(reader, first, place):
    """The payloads from here to the end of `reader`, whose octets must all be theirs."""
    payloads = []
    seen = set()
    following = first
    while following != LAST:
        start, payload_type = reader.at, following
        if payload_type not in place.payloads:
            reader.payload, reader.clause = place.name, place.clause
            reader.refuse(f"payload type {payload_type} has no place in {place.name}")
        reader.payload, reader.clause, decode_fields = place.payloads[payload_type]
        # SIGN is the only payload without Next Payload: nothing follows it (RFC 3830 6.5).
        following = LAST if payload_type == SIGN else reader.number(1, "Next payload")
        reader.inner = ()
        fields = decode_fields(reader)
        payload = Payload(payload_type, reader.payload, start, reader.at - start, fields,
                          reader.inner)
        kind = kind_of(payload)
        if kind in place.once and kind in seen:
            reader.refuse(f"a second {payload.name} of its kind in {place.name}", start)
        if payload_type == place.last and following != LAST:
            reader.refuse(f"{payload.name} is the last payload of {place.name}", start)
        seen.add(kind)
        payloads.append(payload)
    if reader.at != reader.end:
        reader.refuse(f"{reader.end - reader.at} octets behind the last payload")
    return payloads


def decode_sub_payloads(reader):
    """The plain text of a KEMAC: key data, and in public-key methods an ID before them. May be
    empty in an update (RFC 3830 6.2)."""
    if reader.at == reader.end:
        return []
    if reader.data_type in PUBLIC_KEY_METHODS:
        return decode_chain(reader, ID, INSIDE_PUBLIC_KEY_KEMAC)
    return decode_chain(reader, KEY_DATA, INSIDE_KEMAC)


def decode_nested(reader, span, place):
    """TP Data or Initiator Data: the octet First Payload, then the chain."""
    nested = Reader(reader.data, span.offset, span.offset + span.length, place.name, place.clause)
    return decode_chain(nested, nested.number(1, "First Payload"), place)


# ---- what this module is for --------------------------------------------------------------------


def decode(data):
    """The Message that `data` (bytes) is, or Refused."""
    reader = Reader(data, 0, len(data), "HDR", "RFC 3830 6.1")
    header, first = decode_header(reader)
    return Message(header, decode_chain(reader, first, MESSAGE))


def decode_ticket_data(data, ticket):
    """The payloads in the Ticket Data of a TICKET payload of the message `data`, which has the
    layout of the base ticket: THDR, T, RAND, KEMAC, [IDRpsk], V (RFC 6043 A). Refused if not."""
    span = ticket.fields[-2]
    reader = Reader(data, span.offset, span.offset + span.length, "THDR", "RFC 6043 A.3")
    first = reader.number(1, "Next Payload")
    thdr = (reader.sized(2, "THDR Data"),)
    header = Payload(None, "THDR", span.offset, reader.at - span.offset, thdr)
    payloads = decode_chain(reader, first, TICKET_DATA)
    missing = {T, RAND, KEMAC, V} - {payload.type for payload in payloads}
    if missing:
        reader.refuse(f"Ticket Data without {PAYLOADS[min(missing)].name}", span.offset)
    return [header, *payloads]


def check_policy(ticket_or_tp):
    """Holds the TP Data of a decoded TP or TICKET payload against what RFC 6043 6.10 says of its
    payloads: Refused if they break it. What a party may wish or grant is not looked at."""

    def refuse(payload, text):
        raise Refused(payload.offset, payload.name, "RFC 6043 6.10", f"in TP Data {text}")

    seen = set()
    for payload in ticket_or_tp.inner[0]:
        kind = kind_of(payload)
        if kind in ONCE_IN_A_POLICY & seen:
            refuse(payload, "occurs once")
        seen.add(kind)
        if kind == (TR, TRR) and payload.fields[1] != TS_NTP_UTC_32:
            refuse(payload, "TRr is of type NTP-UTC-32")
        if payload.type == KEMAC:
            encr_alg, _, mac_alg, _ = payload.fields
            if encr_alg != ENCR_NULL or mac_alg != MAC_NULL:
                refuse(payload, "uses NULL encryption and NULL authentication")
            for key in payload.inner[0]:
                key_type, kv, _, _, kv_data = key.fields
                if key_type == KEY_MPK:
                    refuse(key, "is {TEK|TGK|GTGK}")
                if kv != KV_SPI or kv_data[0].length == 0:
                    refuse(key, "has an SPI (RFC 6043 6.2.1)")
    if (IDR, ID_RESPONDER) not in seen:
        refuse(ticket_or_tp, "one or more IDRr are expected")


# {IDRapp} and (IDRr) may be many; TRi and the like are unexpected.
ONCE_IN_A_POLICY = {(IDR, ID_KMS), (IDR, ID_INITIATOR), (TR, TRS), (TR, TRE), (TR, TRR), KEMAC}
