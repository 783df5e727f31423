#include "tests/vectors/exchanges.h"

#include <openssl/evp.h>

#include <algorithm>
#include <functional>

namespace keystub::vectors {
namespace {

using mikey::KeyType;
using mikey::PrfFunc;
using mikey::Suite;

// 2026-01-02 03:04:05 UTC, in NTP.
constexpr std::uint64_t kBegin = 1767323045ULL + 2208988800ULL;

std::string ntp_utc_32(std::uint64_t seconds) {
  const std::uint8_t octets[] = {
      static_cast<std::uint8_t>(seconds >> 24), static_cast<std::uint8_t>(seconds >> 16),
      static_cast<std::uint8_t>(seconds >> 8), static_cast<std::uint8_t>(seconds)};
  return to_hex(octets);
}

// The values of one exchange.
class Maker {
 public:
  explicit Maker(std::string exchange) : exchange_(std::move(exchange)) {}

  std::string hex(const std::string& name, std::size_t octets) const {
    ByteVector all;
    for (int i = 0; all.size() < octets; ++i) {
      const std::string seed =
          "keystub-mikey-1 " + exchange_ + " " + name + " " + std::to_string(i);
      ByteVector digest(32);
      EVP_Digest(seed.data(), seed.size(), digest.data(), nullptr, EVP_sha256(), nullptr);
      all.insert(all.end(), digest.begin(), digest.end());
    }
    return to_hex(Bytes(all).first(octets));
  }
  // Padding of RSA: no octet is zero.
  std::string padding(const std::string& name, std::size_t octets) const {
    ByteVector all = from_hex(hex(name, octets)).value();
    std::ranges::replace(all, std::uint8_t{0}, std::uint8_t{1});
    return to_hex(all);
  }
  // T, `second` seconds after the beginning.
  std::string t(const std::string& name, std::uint64_t second) const {
    return ntp_utc_32(kBegin + second) + hex(name, 4);
  }

 private:
  std::string exchange_;
};

struct Key {
  KeyType type = KeyType::tgk;
  std::size_t salt_octets = 0;
};

constexpr Key kTgk;

struct Row {
  const char* id;
  const char* title;
  int mode;
  const Suite& suite;
  const char* flags;
  std::vector<Key> keys = {kTgk};
  // What is special about it.
  std::function<void(Json& inputs, const Maker& make)> change = nullptr;
};

// AES-KW takes key data of a multiple of 8 octets: SPIs of 3 octets make it so.
void with_key_wrap(Json& in, const Maker&) {
  const auto shorten = [](Json& spi) { spi = spi.get<std::string>().substr(0, 6); };
  shorten(in["ticket"]["mpk_spi"]);
  for (Json& key : in["ticket"]["session_keys"]) shorten(key["spi"]);
  for (Json& session : in["crypto_sessions"]) shorten(session["spi"]);
}

// Other types of timestamp for T.
auto with_timestamps(mikey::TsType type) {
  return [type](Json& in, const Maker&) {
    in["ts_type"] = static_cast<int>(type);
    if (type == mikey::TsType::ntp) return;  // as long as NTP-UTC
    int counter = 0;
    for (const auto& [part, member] : {std::pair{"request", "t_init"},
                                       {"ticket", "t"},
                                       {"request", "t_resp"},
                                       {"transfer", "t_init"},
                                       {"resolve", "t_init"},
                                       {"resolve", "t_resp"},
                                       {"transfer", "t_resp"}}) {
      Json& t = in[part][member];
      t = type == mikey::TsType::counter ? ntp_utc_32(static_cast<std::uint64_t>(++counter))
                                         : t.get<std::string>().substr(0, 8);
    }
  };
}

Json tls_session(const Json& spi, int cs_id = 1) {
  return {{"cs_id", cs_id},     {"prot_type", 2}, {"s", false}, {"policies", Json::array()},
          {"session_data", ""}, {"spi", spi}};
}

// A second Ticket Transfer with the same ticket.
void twice(Json& in, const Maker& make) {
  in["transfer_2"] = in["transfer"];
  Json& second = in["transfer_2"];
  second["t_init"] = make.t("transfer_2 t_init", 7);
  second["t_resp"] = make.t("transfer_2 t_resp", 8);
  for (const char* name : {"csb_id", "randr_i", "randr_r"}) {
    const std::size_t octets = second[name].get<std::string>().size() / 2;
    second[name] = make.hex(std::string("transfer_2 ") + name, octets);
  }
}

// Session keys that come from one of the ends: pre-encrypted content (RFC 6043 8).
Json supplied_key(const Maker& make, const std::string& name, KeyType type, const Json& in) {
  const auto octets = in["ticket"]["mpk"].get<std::string>().size() / 2;
  Json key{{"type", static_cast<int>(type)},
           {"spi", make.hex(name + " spi", 4)},
           {"key", make.hex(name, octets)}};
  if (mikey::has_salt(type)) key["salt"] = make.hex(name + " salt", 14);
  return key;
}
void with_initiator_key(Json& in, const Maker& make) {
  const Json key = supplied_key(make, "initiator key", KeyType::tek, in);
  in["initiator_keys"] = Json::array({key});
  in["crypto_sessions"].push_back(
      tls_session(key["spi"], static_cast<int>(in["crypto_sessions"].size()) + 1));
}
// Its crypto session is offered without an SPI: the answer says which key it has.
void with_responder_key(Json& in, const Maker& make) {
  const Json key = supplied_key(make, "responder key", KeyType::tek_salt, in);
  const int cs_id = static_cast<int>(in["crypto_sessions"].size()) + 1;
  in["responder_keys"] = Json::array({key});
  in["answered_sessions"] = in["crypto_sessions"];
  in["answered_sessions"].push_back(tls_session(key["spi"], cs_id));
  in["crypto_sessions"].push_back(tls_session("", cs_id));
}

// Certificates instead of a PSK, for one end.
void certify(Json& in, const Maker& make, const std::string& end, mikey::SignatureType type) {
  constexpr std::size_t kModulusOctets = 256;
  constexpr std::size_t kAroundPadding = 3;
  const auto octets = in["ticket"]["mpk"].get<std::string>().size() / 2;
  const std::string name = "pk_" + end + " ";
  Json pk{{"certificates", {end == "i" ? "alice" : "bob", "intermediate"}},
          {"signature_type", static_cast<int>(type)},
          {"envelope_key", make.hex(name + "envelope_key", octets)},
          {"padding", make.padding(name + "padding", kModulusOctets - kAroundPadding - octets)}};
  if (type == mikey::SignatureType::rsa_pss) {
    pk["pss_salt"] = make.hex(name + "pss_salt", octets == 32 ? 32 : 20);
  }
  in.erase("psk_" + end);
  in["pk_" + end] = std::move(pk);
}
// For both.
auto with_certificates(mikey::SignatureType type) {
  return [type](Json& in, const Maker& make) {
    if (in.contains("request")) certify(in, make, "i", type);
    certify(in, make, "r", type);
  };
}

constexpr const char* kAlice = "sip:alice@example.com";
constexpr const char* kBob = "sip:bob@example.com";
constexpr const char* kKms = "sip:kms@example.com";

bool has(const Row& row, char flag) {
  return std::string_view(row.flags).find(flag) != std::string_view::npos;
}

Json inputs_of(const Row& row) {
  const Maker make(row.id);
  const Suite& suite = row.suite;
  const std::size_t octets = suite.key_octets;
  Json in;
  in["mode"] = row.mode;
  in["suite"] = {{"prf", static_cast<int>(suite.prf)},
                 {"encr_alg", static_cast<int>(suite.encr)},
                 {"mac_alg", static_cast<int>(suite.mac)}};
  in["ts_type"] = 0;
  in["identities"] = {{"initiator", kAlice}, {"responder", kBob}, {"kms", kKms}};
  const bool kms_issues = row.mode == 1 || row.mode == 2;
  const bool kms_resolves = row.mode == 1 || row.mode == 3;
  if (kms_issues) in["psk_i"] = {{"id", "alice"}, {"key", make.hex("psk_i", octets)}};
  if (kms_resolves) in["psk_r"] = {{"id", "bob"}, {"key", make.hex("psk_r", octets)}};
  in["tpk"] = {{"id", "tpk-1"}, {"thdr", ""}, {"key", make.hex("tpk", octets)}};
  in["policy"] = {{"ticket_type", {2, 1, 1}},
                  {"flags", row.flags},
                  {"idr_kms", kKms},
                  {"idr_i", kAlice},
                  {"trs", ntp_utc_32(kBegin - 300)},
                  {"tre", ntp_utc_32(kBegin + 86400)},
                  {"idr_app", Json::array()},
                  {"idr_r", {kBob}}};

  Json ticket;
  ticket["t"] = make.t("ticket t", 1);
  ticket["mpk_spi"] = make.hex("mpk_spi", 4);
  ticket["mpk"] = make.hex("mpk", octets);
  ticket["session_keys"] = Json::array();
  for (std::size_t i = 0; i < row.keys.size(); ++i) {
    const std::string name = "session key " + std::to_string(i + 1);
    Json key{{"type", static_cast<int>(row.keys[i].type)},
             {"spi", make.hex(name + " spi", 4)},
             {"key", make.hex(name, octets)}};
    if (row.keys[i].salt_octets != 0) {
      key["salt"] = make.hex(name + " salt", row.keys[i].salt_octets);
    }
    ticket["session_keys"].push_back(std::move(key));
  }
  ticket["rand"] = make.hex("ticket rand", octets);
  in["ticket"] = ticket;

  if (kms_issues) {
    in["request"] = {{"t_init", make.t("request t_init", 0)},
                     {"csb_id", make.hex("request csb_id", 4)},
                     {"randr_i", make.hex("request randr_i", octets)},
                     {"t_resp", make.t("request t_resp", 2)}};
  }
  in["transfer"] = {{"t_init", make.t("transfer t_init", 3)},
                    {"csb_id", make.hex("transfer csb_id", 4)},
                    {"randr_i", make.hex("transfer randr_i", octets)}};
  if (has(row, 'F')) in["transfer"]["t_resp"] = make.t("transfer t_resp", 6);
  if (has(row, 'G')) in["transfer"]["randr_r"] = make.hex("transfer randr_r", octets);
  if (kms_resolves) {
    in["resolve"] = {{"t_init", make.t("resolve t_init", 4)},
                     {"csb_id", make.hex("resolve csb_id", 4)},
                     {"randr_r", make.hex("resolve randr_r", octets)},
                     {"t_resp", make.t("resolve t_resp", 5)}};
    if (has(row, 'I')) in["resolve"]["randr_kms"] = make.hex("resolve randr_kms", octets);
  }

  // One TLS session per key.
  in["crypto_sessions"] = Json::array();
  for (std::size_t i = 0; i < row.keys.size(); ++i) {
    in["crypto_sessions"].push_back(
        tls_session(ticket["session_keys"][i]["spi"], static_cast<int>(i + 1)));
  }
  in["security_policies"] = Json::array();
  if (row.change) row.change(in, make);
  return in;
}

// An SRTP session under policy 0, and the policy (RFC 3830 6.10.1: AES-CM, 128-bit session keys,
// HMAC-SHA-1, 160-bit authentication keys, 112-bit salts, authentication on, 80-bit tags).
void with_srtp(Json& in, const Maker&) {
  Json& session = in["crypto_sessions"][0];
  session["prot_type"] = 0;
  session["policies"] = {0};
  session["s"] = true;
  session["session_data"] = "11223344000000010102";  // SSRC, ROC, SEQ
  in["security_policies"] =
      Json::array({{{"policy_no", 0},
                    {"prot_type", 0},
                    {"parameters", "00010101011002010103011404010e0a01010b010a"}}});
}

const std::vector<Row>& rows() {
  using mikey::kSuite128;
  using mikey::kSuite256;
  static const std::vector<Row> kRows = {
      {"mode1-128",
       "mode 1, 128-bit suite, no key forking, no RANDRr; an SRTP session with its policy",
       1,
       kSuite128,
       "DEFHNO",
       {kTgk},
       with_srtp},
      {"mode1-128-forking", "mode 1, 128-bit suite, key forking, RANDRr", 1, kSuite128, "DEFGHINO"},
      {"mode1-256", "mode 1, 256-bit suite, no key forking", 1, kSuite256, "DEFGHNO"},
      {"mode1-256-forking", "mode 1, 256-bit suite, key forking: the 3GPP profile", 1, kSuite256,
       "DEFGHINO"},
      {"mode1-128-no-randri", "mode 1, 128-bit suite, H = 0: RANDRi is not in the TEK", 1,
       kSuite128, "DEFGINO"},
      {"mode1-256-no-randri", "mode 1, 256-bit suite, H = 0: RANDRi is not in the TEK", 1,
       kSuite256, "DEFGINO"},
      {"mode1-256-no-response",
       "mode 1, 256-bit suite, F = 0: the call is complete with TRANSFER_INIT", 1, kSuite256,
       "DEHNO"},
      {"mode1-128-salt",
       "mode 1, 128-bit suite, TGK+SALT: the salt is not forked",
       1,
       kSuite128,
       "DEFGHINO",
       {{KeyType::tgk_salt, 14}}},
      {"mode1-256-salt",
       "mode 1, 256-bit suite, TGK+SALT: the salt is not forked",
       1,
       kSuite256,
       "DEFGHINO",
       {{KeyType::tgk_salt, 14}}},
      {"mode1-128-tek",
       "mode 1, 128-bit suite, TEK and TEK+SALT in the ticket, which are not forked",
       1,
       kSuite128,
       "DEFGHINO",
       {{KeyType::tek, 0}, {KeyType::tek_salt, 14}}},
      {"mode1-256-tek",
       "mode 1, 256-bit suite, TEK and TEK+SALT in the ticket, which are not forked",
       1,
       kSuite256,
       "DEFGHINO",
       {{KeyType::tek, 0}, {KeyType::tek_salt, 14}}},
      {"mode1-256-gtgk",
       "mode 1, 256-bit suite, GTGK and GTGK+SALT, which are not forked, beside a TGK, which is",
       1,
       kSuite256,
       "DEFGHINO",
       {{KeyType::gtgk, 0}, {KeyType::gtgk_salt, 14}, kTgk}},
      {"mode1-256-several-sessions",
       "mode 1, 256-bit suite, three crypto sessions: two under one TGK, one under another",
       1,
       kSuite256,
       "DEFGHINO",
       {kTgk, kTgk},
       [](Json& in, const Maker&) {
         in["crypto_sessions"].push_back(tls_session(in["ticket"]["session_keys"][0]["spi"], 200));
       }},
      {"mode1-256-reusable",
       "mode 1, 256-bit suite, reusable ticket (J); the KMS took nothing away", 1, kSuite256,
       "DEFGHIJNO"},
      {"mode1-256-changed",
       "mode 1, 256-bit suite: the KMS changed the wish (K), the ticket ends sooner and is not "
       "reusable",
       1,
       kSuite256,
       "DEFGHIJNO",
       {kTgk},
       [](Json& in, const Maker&) {
         in["granted_policy"] = in["policy"];
         in["granted_policy"]["flags"] = "DEFGHIKNO";
         in["granted_policy"]["tre"] = ntp_utc_32(kBegin + 3600);
       }},
      {"mode1-256-wildcard",
       "mode 1, 256-bit suite, ticket for a whole domain: RESOLVE_RESP names the individual",
       1,
       kSuite256,
       "DEFGHINO",
       {kTgk},
       [](Json& in, const Maker&) { in["policy"]["idr_r"] = {"sip:*@example.com"}; }},
      {"mode1-256-lean",
       "mode 1, 256-bit suite, ticket without validity times, IDRkms and IDRpsk; MIKEY base ticket",
       1,
       kSuite256,
       "DEFGHINO",
       {kTgk},
       [](Json& in, const Maker&) {
         in["policy"]["ticket_type"] = {1, 1, 1};
         in["policy"].erase("idr_kms");
         in["policy"].erase("trs");
         in["policy"].erase("tre");
         in["tpk"]["id"] = "";
         in["psk_i"]["id"] = "";
         in["psk_r"]["id"] = "";
       }},
      {"mode1-256-full",
       "mode 1, 256-bit suite, ticket with IDRapp, several responders, TRr and THDR; SDP IDs in "
       "the "
       "offer",
       1,
       kSuite256,
       "DEFGHINO",
       {kTgk},
       [](Json& in, const Maker&) {
         in["policy"]["trr"] = ntp_utc_32(600);
         in["policy"]["idr_app"] = {"urn:urn-7:3gpp-service.ims.icsi.mcptt"};
         in["policy"]["idr_r"] = {"sip:carol@example.com", kBob};
         in["tpk"]["thdr"] = "c0ffee";
         in["sdp_ids"] = "mikey";
       }},
      {"mode1-128-key-wrap",
       "mode 1, 128-bit suite with AES-KW-128 instead of AES-CM-128",
       1,
       mikey::kSuite128KeyWrap,
       "DEFGHINO",
       {kTgk},
       with_key_wrap},
      {"mode1-128-counter",
       "mode 1, 128-bit suite, timestamps are counters",
       1,
       kSuite128,
       "DEFGHINO",
       {kTgk},
       with_timestamps(mikey::TsType::counter)},
      {"mode1-256-ntp",
       "mode 1, 256-bit suite, timestamps of type NTP",
       1,
       kSuite256,
       "DEFGHINO",
       {kTgk},
       with_timestamps(mikey::TsType::ntp)},
      {"mode1-256-ntp-utc-32",
       "mode 1, 256-bit suite, timestamps of type NTP-UTC-32",
       1,
       kSuite256,
       "DEFGHINO",
       {kTgk},
       with_timestamps(mikey::TsType::ntp_utc_32)},
      {"mode1-256-reused",
       "mode 1, 256-bit suite: a second call with the same ticket, without a Ticket Resolve",
       1,
       kSuite256,
       "DEFGHIJNO",
       {kTgk},
       twice},
      {"mode1-256-initiator-key",
       "mode 1, 256-bit suite, no key in the ticket: a TEK from the initiator (L), pre-encrypted "
       "content",
       1,
       kSuite256,
       "DEFGHILNO",
       {},
       with_initiator_key},
      {"mode1-256-responder-key",
       "mode 1, 256-bit suite: a TGK in the ticket, a TEK+SALT from the responder (M)",
       1,
       kSuite256,
       "DEFGHIMNO",
       {kTgk},
       with_responder_key},
      {"mode1-128-keys-of-both",
       "mode 1, 128-bit suite, no key in the ticket: a TEK from either end (L, M)",
       1,
       kSuite128,
       "DEFGHILMNO",
       {},
       [](Json& in, const Maker& make) {
         with_initiator_key(in, make);
         with_responder_key(in, make);
       }},
      {"mode2-128", "mode 2, 128-bit suite: the KMS issues, the responder has the TPK (E = 0)", 2,
       kSuite128, "DFGHNO"},
      {"mode2-256", "mode 2, 256-bit suite: the KMS issues, the responder has the TPK (E = 0)", 2,
       kSuite256, "DFGHNO"},
      {"mode4-128", "mode 4, 128-bit suite: initiator and responder share the TPK, no KMS", 4,
       kSuite128, "FGHLNO"},
      {"mode4-256", "mode 4, 256-bit suite: initiator and responder share the TPK, no KMS", 4,
       kSuite256, "FGHLNO"},
      {"mode4-256-no-response", "mode 4, 256-bit suite, F = 0: one message is all", 4, kSuite256,
       "HLNO"},
      {"mode3-128", "mode 3, self-issued ticket (D = 0, L = 1), 128-bit suite, key forking", 3,
       kSuite128, "EFGHILNO"},
      {"mode3-256", "mode 3, self-issued ticket (D = 0, L = 1), 256-bit suite, key forking", 3,
       kSuite256, "EFGHILNO"},
      {"mode3-256-plain", "mode 3, self-issued ticket, 256-bit suite, no key forking", 3, kSuite256,
       "EFGHLNO"},
      {"pk-mode1-128",
       "mode 1, 128-bit suite, certificates; RSA PKCS #1 v1.5 with SHA-1",
       1,
       kSuite128,
       "DEFGHINO",
       {kTgk},
       with_certificates(mikey::SignatureType::rsa_pkcs1)},
      {"pk-mode1-256",
       "mode 1, 256-bit suite, certificates; RSA PKCS #1 v1.5 with SHA-256",
       1,
       kSuite256,
       "DEFGHINO",
       {kTgk},
       with_certificates(mikey::SignatureType::rsa_pkcs1)},
      {"pk-mode1-128-pss",
       "mode 1, 128-bit suite, certificates; RSA PSS with SHA-1",
       1,
       kSuite128,
       "DEFGHINO",
       {kTgk},
       with_certificates(mikey::SignatureType::rsa_pss)},
      {"pk-mode1-256-pss",
       "mode 1, 256-bit suite, certificates; RSA PSS with SHA-256",
       1,
       kSuite256,
       "DEFGHINO",
       {kTgk},
       with_certificates(mikey::SignatureType::rsa_pss)},
      {"pk-mode1-256-mixed",
       "mode 1, 256-bit suite: the initiator has a PSK, the responder a certificate",
       1,
       kSuite256,
       "DEFGHINO",
       {kTgk},
       [](Json& in, const Maker& make) {
         certify(in, make, "r", mikey::SignatureType::rsa_pkcs1);
       }},
      {"pk-mode3-256",
       "mode 3, 256-bit suite, the responder has a certificate",
       3,
       kSuite256,
       "EFGHILNO",
       {kTgk},
       with_certificates(mikey::SignatureType::rsa_pkcs1)},
  };
  return kRows;
}

}  // namespace

std::vector<Exchange> exchanges() {
  std::vector<Exchange> all;
  for (const Row& row : rows()) all.push_back({row.id, row.title, inputs_of(row)});
  return all;
}

}  // namespace keystub::vectors
