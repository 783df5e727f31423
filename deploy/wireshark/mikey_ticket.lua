-- MIKEY for Wireshark and tshark: every message and payload of RFC 3830, RFC 4563 and RFC 6043
-- (MIKEY-TICKET), inside a=key-mgmt of SDP (RFC 4567) and bare. docs/wireshark.md says how to
-- install and use it. Tried with Wireshark 4.0 (Debian 12).
--
-- How it gets at the messages:
--
-- * In SDP as a post-dissector that reads the fields of Wireshark's SDP dissector. There is no
--   other way in: the dissector table "key_mgmt" is asked at session level only, a=key-mgmt below
--   an m= line is a plain sdp.media_attr, and SDP calls no heuristics on attributes. One way for
--   both levels also means one Base64 decoder, which is strict, where SDP's own skips what it does
--   not understand. It works wherever Wireshark finds SDP.
-- * Wireshark's own dissector "mikey" is taken out of "key_mgmt". It knows IDR of RFC 6043 and
--   nothing else, does not skip a GENERIC-ID map, and takes what follows one for other payloads.
--   Messages of other MIKEY documents (data type above 18: SAKKE, RFC 6509) are still given to it.
-- * Bare messages: UDP and TCP port 2269 (IANA: mikey), "Decode As" on any other port, and a user
--   DLT whose payload dissector is mikey_ticket.
--
-- Whatever arrives, no Lua error leaves this file: Cursor checks every length before it reads, what
-- is malformed becomes an expert info on the payload that holds it, and the octets that cannot be
-- decoded are shown as such.

local mikey = Proto("mikey_ticket", "MIKEY-TICKET")

-- ---- names ------------------------------------------------------------------------------------

local DATA_TYPES = {  -- RFC 3830 table 6.1.a, RFC 6043 table 6.1; 7 to 10 are RFC 4650 and RFC 4738
  [0] = "Pre-shared", "PSK ver msg", "Public key", "PK ver msg", "D-H init", "D-H resp", "Error",
  "DHHMAC init", "DHHMAC resp", "RSA-R I_MSG", "RSA-R R_MSG",
  "REQUEST_INIT_PSK", "REQUEST_INIT_PK", "REQUEST_RESP", "TRANSFER_INIT", "TRANSFER_RESP",
  "RESOLVE_INIT_PSK", "RESOLVE_INIT_PK", "RESOLVE_RESP",
}
local LAST_DATA_TYPE = 18
-- Messages with an ID of the sender before the key data in KEMAC (RFC 3830 6.2, RFC 4738 3.1).
local IS_PUBLIC_KEY_METHOD = { [2] = true, [10] = true }
local PAYLOAD_TYPES = {  -- RFC 3830 table 6.1.b, RFC 6043 table 6.2
  [0] = "Last payload", "KEMAC", "PKE", "DH", "SIGN", "T", "ID", "CERT", "CHASH", "V", "SP", "RAND",
  "ERR", "TR", "IDR", "RANDR", "TP", "TICKET", [20] = "Key data", [21] = "General Ext.",
}
local LAST, PAYLOAD_ID, PAYLOAD_KEY_DATA = 0, 6, 20
local PRF_FUNCS = { [0] = "MIKEY-1", "PRF-HMAC-SHA-256" }
local MAP_TYPES = { [0] = "SRTP-ID", "Empty map", "GENERIC-ID" }
-- TLS has no number at IANA: 2 and 241 (private use) are what Keystub sends and accepts.
local PROT_TYPES = { [0] = "SRTP", [2] = "TLS (not registered)", [241] = "TLS (private use)" }
local PROT_SRTP = 0
local ENCR_ALGS = { [0] = "NULL", "AES-CM-128", "AES-KW-128", "AES-CM-256" }
local ENCR_NULL = 0
local MAC_ALGS = { [0] = "NULL", "HMAC-SHA-1-160", "HMAC-SHA-256-256" }
local MAC_OCTETS = { [0] = 0, 20, 32 }
local CACHE_TYPES = { [0] = "No cache", "Cache", "Cache for CSB" }
local DH_GROUPS = { [0] = "OAKLEY 5", "OAKLEY 1", "OAKLEY 2" }
local DH_OCTETS = { [0] = 192, 96, 128 }
local SIGNATURE_TYPES = { [0] = "RSA/PKCS#1/1.5", "RSA/PSS" }
local TS_TYPES = { [0] = "NTP-UTC", "NTP", "COUNTER", "NTP-UTC-32" }
local TS_OCTETS = { [0] = 8, 8, 4, 4 }
local TS_COUNTER, TS_NTP_UTC_32 = 2, 3
local TS_ROLES = {
  "Time of issue (TRi)", "Start of validity period (TRs)", "End of validity period (TRe)",
  "Rekeying interval (TRr)",
}
local ROLE_REKEYING = 4
local ID_TYPES = { [0] = "NAI", "URI", "Byte string" }
local ID_BYTE_STRING = 2
local ID_ROLES = {
  "Initiator (IDRi)", "Responder (IDRr)", "KMS (IDRkms)", "Pre-Shared Key (IDRpsk)",
  "Application (IDRapp)",
}
local RAND_ROLES = { "Initiator (RANDRi)", "Responder (RANDRr)", "KMS (RANDRkms)" }
local CERT_TYPES = { [0] = "X.509v3", "X.509v3 URL", "X.509v3 Sign", "X.509v3 Encr" }
local CERT_URL = 1
local HASH_FUNCS = { [0] = "SHA-1", "MD5", "SHA-256" }
local HASH_OCTETS = { [0] = 20, 16, 32 }
local ERRORS = {  -- RFC 3830 table 6.12, RFC 6043 table 6.14; 13 is RFC 4738
  [0] = "Auth failure", "Invalid TS", "Invalid PRF", "Invalid MAC", "Invalid EA", "Invalid HA",
  "Invalid DH", "Invalid ID", "Invalid Cert", "Invalid SP", "Invalid SPpar", "Invalid DT",
  "Unspecified error", "Unsupported message type", "Invalid TICKET", "Invalid TPpar",
}
local KEY_TYPES = { [0] = "TGK", "TGK+SALT", "TEK", "TEK+SALT", "GTGK", "GTGK+SALT", "MPK" }
local HAS_SALT = { [1] = true, [3] = true, [5] = true }
local KEY_VALIDITIES = { [0] = "Null", "SPI", "Interval" }
local EXT_TYPES = { [0] = "Vendor ID", "SDP IDs", "TESLA I-Key", "Key ID" }
local EXT_SDP_IDS, EXT_KEY_ID = 1, 3
local KEY_ID_TYPES = { [0] = "MBMS Key Domain ID", "MBMS Service Key ID", "MBMS Traffic Key ID" }
local TICKET_TYPES = { "MIKEY base ticket", "3GPP base ticket" }

local function name_of(names, value)
  return names[value] or ("unassigned (" .. value .. ")")
end

-- ---- fields: "x.y" below is mikey_ticket.x.y in filters; the description is the clause ---------

local fields, clauses = {}, {}

local function declare(abbr, clause, field)
  fields[abbr], clauses[abbr] = field, clause
end
local function number(abbr, label, octets, clause, names, display)
  declare(abbr, clause, ProtoField["uint" .. octets * 8](
    "mikey_ticket." .. abbr, label, display or base.DEC, names, nil, clause))
end
local function bytes(abbr, label, clause)
  declare(abbr, clause, ProtoField.bytes("mikey_ticket." .. abbr, label, base.NONE, clause))
end
local function text(abbr, label, clause)
  declare(abbr, clause, ProtoField.string("mikey_ticket." .. abbr, label, clause))
end
local function time(abbr, label, clause)
  declare(abbr, clause, ProtoField.absolute_time("mikey_ticket." .. abbr, label, base.UTC, clause))
end
local function branch(abbr, label, clause)
  declare(abbr, clause, ProtoField.none("mikey_ticket." .. abbr, label, clause))
end

-- Octets that are divided into bit fields, most significant first: rows of abbr, label, width and,
-- for a number, its names; a width of 1 makes a flag, with what it says when it is set and not.
local bit_groups = {}
local function bit_group(group, octets, clause, rows)
  local position = 0
  for _, row in ipairs(rows) do
    local label, bits = row[2], octets * 8
    row.abbr, row.position, row.width = row[1], position, row[3]
    position = position + row.width
    local name, mask = "mikey_ticket." .. row.abbr, (2 ^ row.width - 1) * 2 ^ (bits - position)
    if row.width == 1 then
      declare(row.abbr, clause,
        ProtoField.bool(name, label, bits, { row[4], row[5] }, mask, clause))
    else
      declare(row.abbr, clause,
        ProtoField["uint" .. bits](name, label, base.DEC, row[4], mask, clause))
    end
  end
  bit_groups[group] = { octets = octets, rows = rows }
end

number("next_payload", "Next Payload", 1, "RFC 3830 6.1, RFC 6043 6.1", PAYLOAD_TYPES)
number("first_payload", "First Payload", 1, "RFC 6043 6.10", PAYLOAD_TYPES)
bytes("undecoded", "Not decoded", "RFC 3830 6, RFC 6043 6")

text("sdp.level", "SDP level", "RFC 4567 3.1")
text("sdp.media", "SDP media", "RFC 4567 3.1")

branch("hdr", "HDR", "RFC 3830 6.1, RFC 6043 6.1")
number("hdr.version", "Version", 1, "RFC 3830 6.1")
number("hdr.data_type", "Data Type", 1, "RFC 3830 6.1, RFC 6043 6.1", DATA_TYPES)
bit_group("v_and_prf", 1, "RFC 3830 6.1, RFC 6043 6.1", {
  { "hdr.v", "V", 1, "a response is expected", "no response is expected" },
  { "hdr.prf", "PRF func", 7, PRF_FUNCS },
})
number("hdr.csb_id", "CSB ID", 4, "RFC 3830 6.1", nil, base.HEX)
number("hdr.cs_count", "#CS", 1, "RFC 3830 6.1")
number("hdr.map_type", "CS ID map type", 1, "RFC 3830 6.1, RFC 4563 5, RFC 6043 6.1", MAP_TYPES)

branch("cs", "Crypto session", "RFC 3830 6.1.1, RFC 6043 6.1.1")
number("cs.id", "CS ID", 1, "RFC 6043 6.1.1")
number("cs.prot_type", "Prot type", 1, "RFC 6043 6.1.1", PROT_TYPES)
bit_group("s_and_policies", 1, "RFC 6043 6.1.1", {
  { "cs.s", "S", 1, "set (SRTP: ROC and SEQ are there)", "not set" },
  { "cs.policy_count", "#P", 7 },
})
number("cs.policy_no", "Policy_no", 1, "RFC 3830 6.1.1, RFC 6043 6.1.1")
number("cs.session_data_len", "Session Data Length", 2, "RFC 6043 6.1.1")
bytes("cs.session_data", "Session Data", "RFC 6043 6.1.1")
number("cs.ssrc", "SSRC", 4, "RFC 3830 6.1.1, RFC 6043 6.1.1", nil, base.HEX)
number("cs.roc", "ROC", 4, "RFC 3830 6.1.1, RFC 6043 6.1.1")
number("cs.seq", "SEQ", 2, "RFC 6043 6.1.1")
number("cs.spi_len", "SPI Length", 1, "RFC 6043 6.1.1")
bytes("cs.spi", "SPI", "RFC 6043 6.1.1")

branch("kemac", "KEMAC", "RFC 3830 6.2, RFC 6043 6.2")
number("kemac.encr_alg", "Encr alg", 1, "RFC 3830 6.2, RFC 6043 6.2", ENCR_ALGS)
number("kemac.encr_data_len", "Encr data len", 2, "RFC 3830 6.2")
bytes("kemac.encr_data", "Encr data", "RFC 3830 6.2")
number("kemac.mac_alg", "Mac alg", 1, "RFC 3830 6.2, RFC 6043 6.2", MAC_ALGS)
bytes("kemac.mac", "MAC", "RFC 3830 6.2")

branch("pke", "PKE", "RFC 3830 6.3")
bit_group("cache_and_length", 2, "RFC 3830 6.3", {
  { "pke.cache", "C", 2, CACHE_TYPES },
  { "pke.len", "Data len", 14 },
})
bytes("pke.data", "Data", "RFC 3830 6.3")

branch("dh", "DH", "RFC 3830 6.4")
number("dh.group", "DH-Group", 1, "RFC 3830 6.4", DH_GROUPS)
bytes("dh.value", "DH-value", "RFC 3830 6.4")
bit_group("reserved_and_kv", 1, "RFC 3830 6.4", {
  { "dh.reserved", "Reserv", 4 },
  { "dh.kv", "KV", 4, KEY_VALIDITIES },
})

branch("sign", "SIGN", "RFC 3830 6.5")
bit_group("type_and_length", 2, "RFC 3830 6.5", {
  { "sign.type", "S type", 4, SIGNATURE_TYPES },
  { "sign.len", "Signature len", 12 },
})
bytes("sign.signature", "Signature", "RFC 3830 6.5")

branch("t", "T", "RFC 3830 6.6, RFC 6043 6.3")
number("t.type", "TS Type", 1, "RFC 3830 6.6, RFC 6043 6.3", TS_TYPES)
time("t.time", "TS Value", "RFC 3830 6.6, RFC 6043 6.3")
number("t.counter", "TS Value", 4, "RFC 3830 6.6")

branch("tr", "TR", "RFC 6043 6.4")
number("tr.role", "TS Role", 1, "RFC 6043 6.4", TS_ROLES)
number("tr.type", "TS Type", 1, "RFC 6043 6.4", TS_TYPES)
time("tri", "TRi", "RFC 6043 6.4")
time("trs", "TRs", "RFC 6043 6.4, 6.10")
time("tre", "TRe", "RFC 6043 6.4, 6.10")
number("trr", "TRr (seconds)", 4, "RFC 6043 6.4, 6.10")
time("tr.time", "TS Value", "RFC 6043 6.4")
number("tr.counter", "TS Value", 4, "RFC 6043 6.4")
local TIME_OF_ROLE = { "tri", "trs", "tre" }

branch("id", "ID", "RFC 3830 6.7, RFC 6043 6.5")
number("id.type", "ID Type", 1, "RFC 3830 6.7, RFC 6043 6.5", ID_TYPES)
number("id.len", "ID len", 2, "RFC 3830 6.7")
text("id.data", "ID Data", "RFC 3830 6.7")

branch("idr", "IDR", "RFC 6043 6.6")
number("idr.role", "ID Role", 1, "RFC 6043 6.6", ID_ROLES)
number("idr.type", "ID Type", 1, "RFC 6043 6.6", ID_TYPES)
number("idr.len", "ID len", 2, "RFC 6043 6.6")
text("idri", "IDRi", "RFC 6043 6.6")
text("idrr", "IDRr", "RFC 6043 6.6")
text("idrkms", "IDRkms", "RFC 6043 6.6")
text("idrpsk", "IDRpsk", "RFC 6043 6.6, A.1")
text("idrapp", "IDRapp", "RFC 6043 6.6, 6.10")
text("idr.data", "ID Data", "RFC 6043 6.6")
bytes("id.octets", "ID Data (octets)", "RFC 6043 6.5")
local ID_OF_ROLE = { "idri", "idrr", "idrkms", "idrpsk", "idrapp" }

branch("cert", "CERT", "RFC 3830 6.7")
number("cert.type", "Cert Type", 1, "RFC 3830 6.7", CERT_TYPES)
number("cert.len", "Cert len", 2, "RFC 3830 6.7")
bytes("cert.data", "Certificate Data", "RFC 3830 6.7")
text("cert.url", "Certificate URL", "RFC 3830 6.7")

branch("chash", "CHASH", "RFC 3830 6.8, RFC 6043 6.7")
number("chash.func", "Hash func", 1, "RFC 3830 6.8, RFC 6043 6.7", HASH_FUNCS)
bytes("chash.hash", "Hash", "RFC 3830 6.8")

branch("v", "V", "RFC 3830 6.9")
number("v.auth_alg", "Auth alg", 1, "RFC 3830 6.9, RFC 6043 6.2", MAC_ALGS)
bytes("v.mac", "Ver data", "RFC 3830 6.9")
bytes("vi.mac", "Ver data of Vi", "RFC 6043 6.10")
bytes("vr.mac", "Ver data of Vr", "RFC 6043 6.10")

branch("sp", "SP", "RFC 3830 6.10")
number("sp.policy_no", "Policy no", 1, "RFC 3830 6.10")
number("sp.prot_type", "Prot type", 1, "RFC 3830 6.10", PROT_TYPES)
number("sp.param_len", "Policy param length", 2, "RFC 3830 6.10")
branch("sp.params", "Policy param", "RFC 3830 6.10")
branch("sp.param", "Parameter", "RFC 3830 6.10")
number("sp.param.type", "Type", 1, "RFC 3830 6.10, 6.10.1")
number("sp.param.len", "Length", 1, "RFC 3830 6.10")
bytes("sp.param.value", "Value", "RFC 3830 6.10")

local ON_OFF = { [0] = "off", "on" }
local SRTP_PARAMETERS = {}  -- RFC 3830 table 6.10.1.a, by type
for index, row in ipairs({
  { "encr_alg", "Encryption algorithm", { [0] = "NULL", "AES-CM", "AES-F8" } },
  { "encr_key_len", "Session Encr. key length" },
  { "auth_alg", "Authentication algorithm", { [0] = "NULL", "HMAC-SHA-1" } },
  { "auth_key_len", "Session Auth. key length" },
  { "salt_key_len", "Session Salt key length" },
  { "prf", "SRTP Pseudo Random Function", { [0] = "AES-CM" } },
  { "key_derivation_rate", "Key derivation rate" },
  { "srtp_encr", "SRTP encryption", ON_OFF },
  { "srtcp_encr", "SRTCP encryption", ON_OFF },
  { "fec_order", "sender's FEC order", { [0] = "FEC-SRTP" } },
  { "srtp_auth", "SRTP authentication", ON_OFF },
  { "auth_tag_len", "Authentication tag length" },
  { "prefix_len", "SRTP prefix length" },
}) do
  local abbr, label, names = "srtp." .. row[1], row[2], row[3]
  number(abbr, label, 4, "RFC 3830 6.10.1", names)
  SRTP_PARAMETERS[index - 1] = { abbr = abbr, label = label, names = names }
end

branch("rand", "RAND", "RFC 3830 6.11")
number("rand.len", "RAND len", 1, "RFC 3830 6.11")
bytes("rand.data", "RAND", "RFC 3830 6.11")

branch("err", "ERR", "RFC 3830 6.12, RFC 6043 6.9")
number("err.no", "Error no", 1, "RFC 3830 6.12, RFC 6043 6.9", ERRORS)
number("err.reserved", "Reserved", 2, "RFC 3830 6.12")

branch("key", "Key data", "RFC 3830 6.13, RFC 6043 6.2.1")
bit_group("type_and_kv", 1, "RFC 3830 6.13, RFC 6043 6.2.1", {
  { "key.type", "Type", 4, KEY_TYPES },
  { "key.kv", "KV", 4, KEY_VALIDITIES },
})
number("key.len", "Key data len", 2, "RFC 3830 6.13")
bytes("key.data", "Key data", "RFC 3830 6.13")
number("key.salt_len", "Salt len", 2, "RFC 3830 6.13")
bytes("key.salt", "Salt data", "RFC 3830 6.13")
number("key.spi_len", "SPI Length", 1, "RFC 3830 6.14")
bytes("key.spi", "SPI", "RFC 3830 6.14")
number("key.vf_len", "VF Length", 1, "RFC 3830 6.14")
bytes("key.vf", "Valid From", "RFC 3830 6.14")
number("key.vt_len", "VT Length", 1, "RFC 3830 6.14")
bytes("key.vt", "Valid To (expires)", "RFC 3830 6.14")

branch("ext", "General Ext.", "RFC 3830 6.15")
number("ext.type", "Type", 1, "RFC 3830 6.15, RFC 4563 4", EXT_TYPES)
number("ext.len", "Length", 2, "RFC 3830 6.15")
bytes("ext.data", "Data", "RFC 3830 6.15")
text("ext.sdp_ids", "SDP IDs", "RFC 3830 6.15, RFC 4567 4.1.4")
branch("ext.key_id", "Key ID", "RFC 4563 4")
number("ext.key_id.type", "Key ID Type", 1, "RFC 4563 4", KEY_ID_TYPES)
number("ext.key_id.len", "Key ID Length", 1, "RFC 4563 4")
bytes("ext.key_id.data", "Key ID", "RFC 4563 4")

branch("randr", "RANDR", "RFC 6043 6.8")
number("randr.role", "RAND Role", 1, "RFC 6043 6.8", RAND_ROLES)
number("randr.len", "RAND length", 1, "RFC 6043 6.8")
bytes("randri", "RANDRi", "RFC 6043 6.8")
bytes("randrr", "RANDRr", "RFC 6043 6.8")
bytes("randrkms", "RANDRkms", "RFC 6043 6.8")
bytes("randr.data", "RAND", "RFC 6043 6.8")
local RAND_OF_ROLE = { "randri", "randrr", "randrkms" }

branch("tp", "TP", "RFC 6043 6.10")
branch("ticket", "TICKET", "RFC 6043 6.10")
number("ticket.type", "Ticket Type", 2, "RFC 6043 6.10", TICKET_TYPES)
number("ticket.subtype", "Subtype", 1, "RFC 6043 6.10")
number("ticket.version", "Version", 1, "RFC 6043 6.10")
bit_group("policy_flags", 3, "RFC 6043 6.10", {
  { "ticket.prf", "PRF Func", 7, PRF_FUNCS },
  { "flag.d", "D", 1, "generated by the KMS", "generated by the Initiator" },
  { "flag.e", "E", 1, "Ticket Resolve is mandatory", "the Responder may resolve" },
  { "flag.f", "F", 1, "TRANSFER_RESP shall be sent", "TRANSFER_RESP shall not be sent" },
  { "flag.g", "G", 1, "the Responder generates RANDRr", "no RANDRr" },
  { "flag.h", "H", 1, "RANDRi is used when keys are derived from a TGK/GTGK",
    "RANDRi is not used when keys are derived from a TGK/GTGK" },
  { "flag.i", "I", 1, "key forking", "no key forking" },
  { "flag.j", "J", 1, "may be reused", "shall not be reused" },
  { "flag.k", "K", 1, "the KMS changed the desired policy or KEMAC",
    "the KMS changed nothing" },
  { "flag.l", "L", 1, "the Initiator may supply session keys",
    "the Initiator shall not supply session keys" },
  { "flag.m", "M", 1, "the Responder may supply session keys",
    "the Responder shall not supply session keys" },
  { "flag.n", "N", 1, "RFC 6043 is enough for the Initiator",
    "the Initiator needs the ticket type's specification" },
  { "flag.o", "O", 1, "RFC 6043 is enough for the Responder",
    "the Responder needs the ticket type's specification" },
  { "ticket.reserved", "Res", 5 },
})
number("ticket.tp_data_len", "TP Data length", 2, "RFC 6043 6.10")
branch("ticket.tp_data", "TP Data", "RFC 6043 6.10")
number("ticket.data_len", "Ticket Data length", 2, "RFC 6043 6.10")
branch("ticket.data", "Ticket Data", "RFC 6043 6.10, A.1")
number("ticket.initiator_data_len", "Initiator Data length", 2, "RFC 6043 6.10")
branch("ticket.initiator_data", "Initiator Data", "RFC 6043 6.10")
branch("thdr", "THDR", "RFC 6043 A.3")
number("thdr.len", "THDR Data length", 2, "RFC 6043 A.3")
bytes("thdr.data", "THDR Data", "RFC 6043 A.3")

mikey.fields = fields

local experts = {
  malformed = ProtoExpert.new("mikey_ticket.malformed", "MIKEY: malformed",
    expert.group.MALFORMED, expert.severity.ERROR),
  unassigned = ProtoExpert.new("mikey_ticket.unassigned", "MIKEY: a value without a meaning here",
    expert.group.UNDECODED, expert.severity.WARN),
  rule = ProtoExpert.new("mikey_ticket.rule", "MIKEY: a rule is broken",
    expert.group.PROTOCOL, expert.severity.WARN),
}
mikey.experts = experts

-- ---- the cursor -------------------------------------------------------------------------------

-- What ends the decoding of a stretch of octets. Only Cursor:contain catches it.
local Stop = {}

local function stop(kind, why)
  error(setmetatable({ expert = experts[kind], why = why }, Stop), 0)
end

-- Walks a stretch of a message, tvb[at, limit), and adds what it reads to `tree`. `place` says what
-- the stretch is: "message", "desired policy" (TP Data of TP), "granted policy" (that of TICKET),
-- "ticket data" or "initiator data".
local Cursor = {}
Cursor.__index = Cursor

local function new_cursor(tvb, at, limit, tree, place, data_type)
  return setmetatable({ tvb = tvb, at = at, limit = limit, tree = tree, place = place,
    data_type = data_type }, Cursor)
end

function Cursor:left()
  return self.limit - self.at
end

-- The next `octets` octets. `abbr` names the field that needs them.
function Cursor:take(octets, abbr)
  if octets > self:left() then
    stop("malformed", string.format("mikey_ticket.%s needs %d octets, %d are left (%s)", abbr,
      octets, self:left(), clauses[abbr]))
  end
  local range = self.tvb(self.at, octets)
  self.at = self.at + octets
  return range
end

function Cursor:number(octets, abbr)
  local range = self:take(octets, abbr)
  self.tree:add(fields[abbr], range)
  return range:uint()
end

-- The bit fields of a group: a table of numbers by abbr.
function Cursor:bits(group)
  local octets, rows = bit_groups[group].octets, bit_groups[group].rows
  local range, values = self:take(octets, rows[1].abbr), {}
  for _, row in ipairs(rows) do
    self.tree:add(fields[row.abbr], range)
    values[row.abbr] = range:bitfield(row.position, row.width)
  end
  return values
end

-- Octets and text are left out of the tree where there are none.
function Cursor:bytes(octets, abbr)
  local range = self:take(octets, abbr)
  if octets > 0 then self.tree:add(fields[abbr], range) end
  return range
end

function Cursor:text(octets, abbr)
  local range = self:take(octets, abbr)
  if octets == 0 then return "" end
  self.tree:add_packet_field(fields[abbr], range, ENC_UTF_8 + ENC_STRING)
  return range:string(ENC_UTF_8)
end

function Cursor:expert(kind, why)
  self.tree:add_proto_expert_info(experts[kind], why)
end

-- Runs decode(self) on a branch of the tree of its own. The first value that it returns is the
-- summary on that branch, or nil; the second is handed on.
function Cursor:branch(abbr, decode)
  local outer, from = self.tree, self.at
  local item = outer:add(fields[abbr], self.tvb(from, self:left()))
  self.tree = item
  local summary, result = decode(self)
  item:set_len(self.at - from)
  if summary then item:append_text(": " .. summary) end
  self.tree = outer
  return result
end

-- Runs decode(self). What stops it is told on the branch of the tree where it happened, with the
-- octets that are left.
function Cursor:contain(decode)
  local done, failure = pcall(decode, self)
  if done then return end
  if getmetatable(failure) ~= Stop then error(failure, 0) end
  self.tree:add_proto_expert_info(failure.expert, failure.why)
  self:bytes(self:left(), "undecoded")
end

-- The next `octets` octets as a stretch of their own, decoded by decode(cursor): what is malformed
-- in it does not hide what comes after it.
function Cursor:window(octets, abbr, place, decode)
  local tree = self.tree:add(fields[abbr], self:take(octets, abbr))
  new_cursor(self.tvb, self.at - octets, self.at, tree, place, self.data_type):contain(decode)
end

-- ---- payloads ---------------------------------------------------------------------------------

-- By payload type: the abbr of the payload's branch, and decode(cursor), which reads what follows
-- the Next Payload field and returns a summary or nothing.
local payloads = {}
-- The same for what is inside a KEMAC, and inside one whose envelope key also protects an ID.
local kemac_payloads, public_key_kemac_payloads = {}, {}

-- Decodes payloads of the types in `known`, from `next_payload` to the end of the stretch.
local function decode_payloads(cursor, known, next_payload)
  while next_payload ~= LAST do
    local payload = known[next_payload]
    if payload == nil then
      stop("unassigned", string.format("a payload of type %d (%s) has no meaning here",
        next_payload, PAYLOAD_TYPES[next_payload] or "unassigned"))
    end
    next_payload = cursor:branch(payload.abbr, function(c)
      -- SIGN has no Next Payload field, it ends the message (RFC 3830 6.5).
      local following = payload.ends_message and LAST or c:number(1, "next_payload")
      return payload.decode(c), following
    end)
  end
  if cursor:left() > 0 then
    stop("malformed", cursor:left() .. " octets follow the last payload")
  end
end

-- The number of octets that goes with a value; a value that is not in the table ends the decoding.
local function octets_of(octets, value, what)
  if octets[value] == nil then
    stop("unassigned", string.format("%s %d is unassigned, so the length is unknown",
      what, value))
  end
  return octets[value]
end

local function decode_mac(cursor, alg_abbr, mac_abbr)
  local alg = cursor:number(1, alg_abbr)
  cursor:bytes(octets_of(MAC_OCTETS, alg, "MAC algorithm"), mac_abbr)
  return name_of(MAC_ALGS, alg)
end

payloads[1] = { abbr = "kemac", decode = function(c)
  if c.place == "granted policy" then
    c:expert("rule", "KEMAC shall not be present in the granted Ticket Policy (RFC 6043 6.10)")
  end
  local encr_alg = c:number(1, "kemac.encr_alg")
  local octets = c:number(2, "kemac.encr_data_len")
  if encr_alg == ENCR_NULL and octets > 0 then
    local has_id = IS_PUBLIC_KEY_METHOD[c.data_type] and c.place == "message"
    c:window(octets, "kemac.encr_data", c.place, function(data)
      if has_id then
        decode_payloads(data, public_key_kemac_payloads, PAYLOAD_ID)
      else
        decode_payloads(data, kemac_payloads, PAYLOAD_KEY_DATA)
      end
    end)
  else
    c:bytes(octets, "kemac.encr_data")
  end
  return name_of(ENCR_ALGS, encr_alg) .. ", MAC " .. decode_mac(c, "kemac.mac_alg", "kemac.mac")
end }

payloads[2] = { abbr = "pke", decode = function(c)
  c:bytes(c:bits("cache_and_length")["pke.len"], "pke.data")
end }

-- RFC 3830 6.14
local function decode_key_validity(c, kind)
  if kind == 1 then
    c:bytes(c:number(1, "key.spi_len"), "key.spi")
  elseif kind == 2 then
    c:bytes(c:number(1, "key.vf_len"), "key.vf")
    c:bytes(c:number(1, "key.vt_len"), "key.vt")
  elseif kind ~= 0 then
    stop("unassigned", "KV " .. kind .. " is unassigned, so the length is unknown")
  end
end

payloads[3] = { abbr = "dh", decode = function(c)
  local group = c:number(1, "dh.group")
  c:bytes(octets_of(DH_OCTETS, group, "DH group"), "dh.value")
  decode_key_validity(c, c:bits("reserved_and_kv")["dh.kv"])
  return name_of(DH_GROUPS, group)
end }

payloads[4] = { abbr = "sign", ends_message = true, decode = function(c)
  local values = c:bits("type_and_length")
  c:bytes(values["sign.len"], "sign.signature")
  return name_of(SIGNATURE_TYPES, values["sign.type"])
end }

-- Seconds since 1900 to seconds since 1970. The first bit says on which side of 7 February 2036
-- the time is (RFC 4330 3).
local function to_nstime(range)
  local seconds = range(0, 4):uint() - 2208988800
  if range:bitfield(0, 1) == 0 then seconds = seconds + 2 ^ 32 end
  local fraction = range:len() == 8 and range(4, 4):uint() or 0
  return NSTime.new(seconds, math.floor(fraction / 2 ^ 32 * 1e9))
end

local function decode_time(c, type, time_abbr, counter_abbr)
  local octets = octets_of(TS_OCTETS, type, "TS Type")
  if type == TS_COUNTER then
    c:number(octets, counter_abbr)
  else
    local range = c:take(octets, time_abbr)
    c.tree:add(fields[time_abbr], range, to_nstime(range))
  end
end

payloads[5] = { abbr = "t", decode = function(c)
  local type = c:number(1, "t.type")
  decode_time(c, type, "t.time", "t.counter")
  return name_of(TS_TYPES, type)
end }

-- What ID and IDR have in common. A byte string is shown as octets too: it may be no text.
local function decode_identity(c, type_abbr, len_abbr, data_abbr)
  local type = c:number(1, type_abbr)
  local octets = c:number(2, len_abbr)
  local identity = c:text(octets, data_abbr)
  if type == ID_BYTE_STRING and octets > 0 then
    c.tree:add(fields["id.octets"], c.tvb(c.at - octets, octets))
  end
  return identity
end

payloads[PAYLOAD_ID] = { abbr = "id", decode = function(c)
  return decode_identity(c, "id.type", "id.len", "id.data")
end }
public_key_kemac_payloads[PAYLOAD_ID] = payloads[PAYLOAD_ID]

payloads[7] = { abbr = "cert", decode = function(c)
  local type = c:number(1, "cert.type")
  local octets = c:number(2, "cert.len")
  if type == CERT_URL then
    c:text(octets, "cert.url")
  else
    c:bytes(octets, "cert.data")
  end
  return name_of(CERT_TYPES, type)
end }

payloads[8] = { abbr = "chash", decode = function(c)
  local func = c:number(1, "chash.func")
  c:bytes(octets_of(HASH_OCTETS, func, "hash function"), "chash.hash")
  return name_of(HASH_FUNCS, func)
end }

-- Initiator Data = First Payload, Vi, Vr (RFC 6043 6.10)
payloads[9] = { abbr = "v", decode = function(c)
  if c.place ~= "initiator data" then return decode_mac(c, "v.auth_alg", "v.mac") end
  local name = c.has_vi and "Vr" or "Vi"
  c.has_vi = true
  return name .. ", " .. decode_mac(c, "v.auth_alg", name:lower() .. ".mac")
end }

-- RFC 3830 6.10.1: a parameter of SRTP with a value of up to four octets is a number with a name.
local function decode_policy_parameter(c, prot_type)
  local type = c:number(1, "sp.param.type")
  local octets = c:number(1, "sp.param.len")
  local parameter = prot_type == PROT_SRTP and SRTP_PARAMETERS[type]
  if not parameter or octets < 1 or octets > 4 then
    c:bytes(octets, "sp.param.value")
    return parameter and parameter.label or "type " .. type
  end
  local range = c:take(octets, parameter.abbr)
  local value = range:uint()
  c.tree:add(fields[parameter.abbr], range, value)
  local name = parameter.names and name_of(parameter.names, value) or tostring(value)
  return parameter.label .. ", " .. name
end

payloads[10] = { abbr = "sp", decode = function(c)
  local policy_no = c:number(1, "sp.policy_no")
  local prot_type = c:number(1, "sp.prot_type")
  local octets = c:number(2, "sp.param_len")
  if octets > 0 then
    c:window(octets, "sp.params", c.place, function(parameters)
      while parameters:left() > 0 do
        parameters:branch("sp.param", function(p) return decode_policy_parameter(p, prot_type) end)
      end
    end)
  end
  return string.format("policy %d, %s", policy_no, name_of(PROT_TYPES, prot_type))
end }

payloads[11] = { abbr = "rand", decode = function(c)
  c:bytes(c:number(1, "rand.len"), "rand.data")
end }

payloads[12] = { abbr = "err", decode = function(c)
  local error_no = c:number(1, "err.no")
  c:number(2, "err.reserved")
  return name_of(ERRORS, error_no)
end }

payloads[13] = { abbr = "tr", decode = function(c)
  local role = c:number(1, "tr.role")
  local type = c:number(1, "tr.type")
  if role == ROLE_REKEYING and type == TS_NTP_UTC_32 then
    c:number(4, "trr")  -- a number of seconds, not a time (RFC 6043 6.10)
  else
    decode_time(c, type, TIME_OF_ROLE[role] or "tr.time", "tr.counter")
  end
  return name_of(TS_ROLES, role)
end }

payloads[14] = { abbr = "idr", decode = function(c)
  local role = c:number(1, "idr.role")
  local identity = decode_identity(c, "idr.type", "idr.len", ID_OF_ROLE[role] or "idr.data")
  return name_of(ID_ROLES, role) .. ", " .. identity
end }

payloads[15] = { abbr = "randr", decode = function(c)
  local role = c:number(1, "randr.role")
  c:bytes(c:number(1, "randr.len"), RAND_OF_ROLE[role] or "randr.data")
  return name_of(RAND_ROLES, role)
end }

-- "The flags are not independent" (RFC 6043 6.10).
local FLAG_RULES = {
  { "NOT D implies L", function(set) return set.D or set.L end },
  { "G implies F", function(set) return not set.G or set.F end },
  { "NOT G implies H, NOT H implies G", function(set) return set.G or set.H end },
  { "I implies E", function(set) return not set.I or set.E end },
  { "K implies D", function(set) return not set.K or set.D end },
  { "M implies F", function(set) return not set.M or set.F end },
}

-- The Ticket Policy, which TP is and TICKET begins with. A TP or TICKET inside another one means
-- nothing there (RFC 6043 6.10: unexpected payloads are ignored), so it is not looked into.
local function decode_policy(c, place)
  local type, subtype = c:number(2, "ticket.type"), c:number(1, "ticket.subtype")
  local version = c:number(1, "ticket.version")
  local values, set, letters = c:bits("policy_flags"), {}, ""
  for letter in ("DEFGHIJKLMNO"):gmatch(".") do
    if values["flag." .. letter:lower()] == 1 then
      set[letter], letters = true, letters .. letter
    end
  end
  for _, rule in ipairs(FLAG_RULES) do
    if not rule[2](set) then
      c:expert("rule", "the flags contradict each other: " .. rule[1] .. " (RFC 6043 6.10)")
    end
  end
  local octets = c:number(2, "ticket.tp_data_len")
  if c.place == "message" then
    c:window(octets, "ticket.tp_data", place, function(data)
      decode_payloads(data, payloads, data:number(1, "first_payload"))
    end)
  else
    c:bytes(octets, "undecoded")
  end
  local is_base_ticket = TICKET_TYPES[type] ~= nil and subtype == 1 and version == 1
  local summary = string.format("%s %d/%d/%d, flags %s", name_of(TICKET_TYPES, type), type,
    subtype, version, letters)
  return summary, is_base_ticket
end

payloads[16] = { abbr = "tp", decode = function(c)
  return (decode_policy(c, "desired policy"))
end }

-- RFC 6043 A.1 and A.3; the 3GPP base ticket 2/1/1 has the same layout.
local function decode_ticket_data(c)
  decode_payloads(c, payloads, c:branch("thdr", function(thdr)
    local next_payload = thdr:number(1, "next_payload")
    thdr:bytes(thdr:number(2, "thdr.len"), "thdr.data")
    return nil, next_payload
  end))
end

payloads[17] = { abbr = "ticket", decode = function(c)
  local summary, is_base_ticket = decode_policy(c, "granted policy")
  local octets = c:number(2, "ticket.data_len")
  if is_base_ticket and c.place == "message" then
    c:window(octets, "ticket.data", "ticket data", decode_ticket_data)
  else
    c:bytes(octets, "undecoded")
  end
  octets = c:number(2, "ticket.initiator_data_len")
  if octets > 0 and c.place == "message" then
    c:window(octets, "ticket.initiator_data", "initiator data", function(data)
      decode_payloads(data, payloads, data:number(1, "first_payload"))
    end)
  else
    c:bytes(octets, "undecoded")
  end
  return summary
end }

-- Key data, or a salt, of a desired policy says how long the key is to be, no more.
local function decode_key(c, len_abbr, data_abbr)
  local octets = c:bytes(c:number(2, len_abbr), data_abbr)
  if c.place == "desired policy" and octets:bytes():tohex():find("[^0]") then
    c:expert("rule", "the Key Data in TP are not all zero (RFC 6043 6.10)")
  end
end

kemac_payloads[PAYLOAD_KEY_DATA] = { abbr = "key", decode = function(c)
  local values = c:bits("type_and_kv")
  local type = values["key.type"]
  if KEY_TYPES[type] == nil then
    stop("unassigned", "key type " .. type .. " is unassigned, so nobody knows if it has a salt")
  end
  decode_key(c, "key.len", "key.data")
  if HAS_SALT[type] then decode_key(c, "key.salt_len", "key.salt") end
  decode_key_validity(c, values["key.kv"])
  return name_of(KEY_TYPES, type)
end }
public_key_kemac_payloads[PAYLOAD_KEY_DATA] = kemac_payloads[PAYLOAD_KEY_DATA]

payloads[21] = { abbr = "ext", decode = function(c)
  local type = c:number(1, "ext.type")
  local octets = c:number(2, "ext.len")
  if type == EXT_SDP_IDS then
    c:text(octets, "ext.sdp_ids")
  elseif type == EXT_KEY_ID and octets > 0 then
    c:window(octets, "ext.data", c.place, function(ids)
      while ids:left() > 0 do
        ids:branch("ext.key_id", function(id)
          local key_id_type = id:number(1, "ext.key_id.type")
          id:bytes(id:number(1, "ext.key_id.len"), "ext.key_id.data")
          return name_of(KEY_ID_TYPES, key_id_type)
        end)
      end
    end)
  else
    c:bytes(octets, "ext.data")
  end
  return name_of(EXT_TYPES, type)
end }

-- ---- the message ------------------------------------------------------------------------------

-- By CS ID map type: decodes the map info of `count` crypto sessions.
local maps = {}

maps[0] = function(c, count)  -- SRTP-ID, RFC 3830 6.1.1
  for cs_id = 1, count do
    c:branch("cs", function(cs)
      cs:number(1, "cs.policy_no")
      cs:number(4, "cs.ssrc")
      cs:number(4, "cs.roc")
      return "CS ID " .. cs_id
    end)
  end
end

maps[1] = function(c, count)  -- Empty map, RFC 4563 5
  if count ~= 0 then
    c:expert("rule", "the Empty map goes with #CS = 0, not " .. count .. " (RFC 4563 5)")
  end
end

-- RFC 6043 6.1.1
local function decode_srtp_session_data(c, octets, s_flag)
  if octets ~= (s_flag == 1 and 10 or 4) then
    c:expert("malformed", "Session Data of SRTP has 4 octets, or 10 if S is set, not " .. octets)
    c:bytes(octets, "cs.session_data")
    return
  end
  c:number(4, "cs.ssrc")
  if s_flag == 1 then
    c:number(4, "cs.roc")
    c:number(2, "cs.seq")
  end
end

maps[2] = function(c, count)  -- GENERIC-ID, RFC 6043 6.1.1
  for _ = 1, count do
    c:branch("cs", function(cs)
      local cs_id = cs:number(1, "cs.id")
      local prot_type = cs:number(1, "cs.prot_type")
      local values = cs:bits("s_and_policies")
      for _ = 1, values["cs.policy_count"] do cs:number(1, "cs.policy_no") end
      local octets = cs:number(2, "cs.session_data_len")
      if prot_type == PROT_SRTP and octets > 0 then
        decode_srtp_session_data(cs, octets, values["cs.s"])
      else
        cs:bytes(octets, "cs.session_data")
      end
      cs:bytes(cs:number(1, "cs.spi_len"), "cs.spi")
      return string.format("CS ID %d, %s", cs_id, name_of(PROT_TYPES, prot_type))
    end)
  end
end

-- Returns the type of the first payload and the name of the message.
local function decode_header(c)
  local version = c:number(1, "hdr.version")
  if version ~= 1 then stop("malformed", "MIKEY version " .. version .. "; only 1 exists") end
  c.data_type = c:number(1, "hdr.data_type")
  local next_payload = c:number(1, "next_payload")
  c:bits("v_and_prf")
  c:number(4, "hdr.csb_id")
  local count = c:number(1, "hdr.cs_count")
  local map_type = c:number(1, "hdr.map_type")
  if maps[map_type] == nil then
    stop("unassigned", "CS ID map type " .. map_type .. " is unassigned, so the length of the "
      .. "map is unknown")
  end
  maps[map_type](c, count)
  return nil, next_payload
end

-- MIKEY sets no limit. This one is more than any protocol that carries it needs, and keeps what an
-- attacker puts into one SIP message below the million of tree items that Wireshark allows.
local MAX_OCTETS = 65535

-- Wireshark's own.
local other_dissector = Dissector.get("mikey")

-- Dissects a whole message. Returns its name and its item in the tree, or nothing where it was
-- given to Wireshark's own dissector.
local function dissect_message(tvb, pinfo, tree)
  local data_type = tvb:len() >= 2 and tvb(1, 1):uint()
  if data_type and data_type > LAST_DATA_TYPE and other_dissector then
    -- Where it finds something malformed it says so in the tree and raises an error as well.
    pcall(other_dissector.call, other_dissector, tvb, pinfo, tree)
    return
  end
  local name = data_type and name_of(DATA_TYPES, data_type) or "too short"
  local item = tree:add(mikey, tvb())
  item:append_text(", " .. name)
  new_cursor(tvb, 0, tvb:len(), item, "message"):contain(function(c)
    if c:left() > MAX_OCTETS then
      stop("malformed", c:left() .. " octets; no more than " .. MAX_OCTETS .. " are decoded")
    end
    decode_payloads(c, payloads, c:branch("hdr", decode_header))
  end)
  return name, item
end

function mikey.dissector(tvb, pinfo, tree)
  pinfo.cols.protocol = "MIKEY"
  local name = dissect_message(tvb, pinfo, tree)
  if name then pinfo.cols.info = name end
  return tvb:len()
end

-- ---- SDP --------------------------------------------------------------------------------------

local BASE64_DIGITS = {}
for value = 0, 63 do
  local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  BASE64_DIGITS[alphabet:byte(value + 1)] = value
end

-- RFC 4648 section 4: padding required, no white space, no other alphabet, unused bits zero.
-- Returns a string of octets, or nil and what is wrong.
local function base64_decode(encoded)
  if #encoded % 4 ~= 0 then
    return nil, #encoded .. " characters of Base64 are not a multiple of 4: cut, or without padding"
  end
  local digits, padding = encoded:match("^([A-Za-z0-9+/]*)(=?=?)$")
  if digits == nil then
    local at = encoded:find("[^A-Za-z0-9+/]")
    return nil, "not a Base64 digit at position " .. at
  end
  local octets = {}
  for from = 1, #encoded, 4 do
    local group = 0
    for at = from, from + 3 do group = group * 64 + (BASE64_DIGITS[encoded:byte(at)] or 0) end
    octets[#octets + 1] = string.char(math.floor(group / 65536), math.floor(group / 256) % 256,
      group % 256)
  end
  local whole = table.concat(octets)
  local kept, unused = whole:sub(1, #whole - #padding), whole:sub(#whole - #padding + 1)
  if unused:find("[^\0]") then return nil, "the last Base64 digit has bits that encode nothing" end
  return kept
end

local sdp_lines = Proto("mikey_ticket_sdp", "MIKEY in a=key-mgmt of SDP")
-- Naming these fields is also what makes SDP generate them when no tree is asked for.
local sdp_fields = {
  ["sdp.session_attr"] = Field.new("sdp.session_attr"),
  ["sdp.media"] = Field.new("sdp.media"),
  ["sdp.media_attr"] = Field.new("sdp.media_attr"),
}

-- `data` follows "a=key-mgmt:mikey", below the m= line `media` or, if that is nil, above all.
local function dissect_key_mgmt(data, media, range, pinfo, tree)
  local octets, wrong = base64_decode(data:match("^ (.*)$") or "")
  if octets == nil or octets == "" then
    tree:add(mikey, range):add_proto_expert_info(experts.malformed, "a=key-mgmt:mikey: " ..
      (wrong or "no message follows, separated by a space (RFC 4567 3.1)"))
    return
  end
  local tvb = ByteArray.new(octets, true):tvb("MIKEY message")
  local name, item = dissect_message(tvb, pinfo, tree)
  if name == nil then return end
  item:append_text(media and ", a=key-mgmt at media level" or ", a=key-mgmt at session level")
  item:add(fields["sdp.level"], media and "media" or "session"):set_generated()
  if media then item:add(fields["sdp.media"], media):set_generated() end
  pinfo.cols.info:append(" [" .. name .. "]")
end

function sdp_lines.dissector(_, pinfo, tree)
  if not (sdp_fields["sdp.session_attr"]() or sdp_fields["sdp.media_attr"]()) then return end
  -- All fields of the packet, in their order: what comes after an m= line belongs to that media.
  local media
  for _, info in ipairs({ all_field_infos() }) do
    if sdp_fields[info.name] then
      if info.name == "sdp.media" then
        media = info.value
      else
        if info.name == "sdp.session_attr" then media = nil end
        local data = info.value:match("^key%-mgmt: ?mikey(.*)$")
        if data and not data:find("^[^ ]") then
          dissect_key_mgmt(data, media, info.range, pinfo, tree)
        end
      end
    end
  end
end

-- ---- registration -----------------------------------------------------------------------------

register_postdissector(sdp_lines)
if other_dissector then DissectorTable.get("key_mgmt"):remove("mikey", other_dissector) end
for _, name in ipairs({ "udp.port", "tcp.port" }) do
  local ports = DissectorTable.get(name)
  ports:add(2269, mikey)  -- IANA; also what puts it into "Decode As"
end
