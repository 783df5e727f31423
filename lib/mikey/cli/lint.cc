#include "mikey/cli/lint.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "mikey/bundle_state.h"
#include "mikey/initiator_data.h"
#include "mikey/sender_proof.h"

namespace keystub::mikey::cli {
namespace {

using Severity = Finding::Severity;

// What a message consists of, in the notation of the RFCs: [optional], {zero or more}, (one or
// more). A general extension may be in any of them (RFC 3830 6.15).
struct Plan {
  DataType type;
  std::string_view clause;
  std::string_view payloads;
};
constexpr Plan kPlans[] = {
    {DataType::psk_init, "RFC 3830 3.1", "T RAND [ID] [ID] {SP} KEMAC"},
    {DataType::psk_verification, "RFC 3830 3.1", "T [ID] V"},
    {DataType::pk_init, "RFC 3830 3.2", "T RAND [ID] [ID] {CERT} {SP} KEMAC [CHASH] PKE SIGN"},
    {DataType::pk_verification, "RFC 3830 3.2", "T [ID] V"},
    {DataType::dh_init, "RFC 3830 3.3", "T RAND [ID] [ID] {CERT} {SP} DH SIGN"},
    {DataType::dh_resp, "RFC 3830 3.3", "T [ID] [ID] {CERT} DH DH SIGN"},
    {DataType::error, "RFC 6043 5.4", "T (ERR) {SP} [V] [SIGN]"},
    {DataType::dhhmac_init, "RFC 4650 3", "T RAND [ID] [ID] {SP} DH KEMAC"},
    {DataType::dhhmac_resp, "RFC 4650 3", "T [ID] [ID] DH DH KEMAC"},
    {DataType::rsa_r_init, "RFC 4738 3", "T [ID] [ID] {CERT} {SP} SIGN"},
    {DataType::rsa_r_resp, "RFC 4738 3", "T [RAND] [ID] {CERT} {SP} KEMAC PKE SIGN"},
    {DataType::request_init_psk, "RFC 6043 4.2.1", "T RANDRi [IDRi] [IDRkms] TP [IDRpsk] V"},
    {DataType::request_init_pk, "RFC 6043 4.2.1",
     "T RANDRi [IDRi] {CERT} [IDRkms] TP [CHASH] PKE SIGN"},
    {DataType::request_resp, "RFC 6043 4.2.1", "T [IDRkms] TICKET KEMAC V"},
    {DataType::transfer_init, "RFC 6043 4.2.2", "T RANDRi [IDRi] [IDRr] {SP} TICKET [KEMAC] V"},
    {DataType::transfer_resp, "RFC 6043 4.2.2",
     "T [RANDRr] [IDRi] [IDRr] [RANDRkms] {SP} [KEMAC] V"},
    {DataType::resolve_init_psk, "RFC 6043 4.2.3", "T RANDRr [IDRr] [IDRkms] TICKET [IDRpsk] V"},
    {DataType::resolve_init_pk, "RFC 6043 4.2.3",
     "T RANDRr [IDRr] {CERT} [IDRkms] TICKET [CHASH] PKE SIGN"},
    {DataType::resolve_resp, "RFC 6043 4.2.3", "T [IDRkms] KEMAC [IDRr] [RANDRkms] V"},
};
// A TRANSFER_INIT with neither TICKET nor RANDRi.
constexpr Plan kUpdate{DataType::transfer_init, "RFC 6043 5.2", "T [IDRi] [IDRr] {SP} [KEMAC] V"};

// The name of a payload in a plan: roles are part of it.
std::string_view plan_name(const Payload& payload) {
  if (const auto* id = std::get_if<RoleIdentity>(&payload.value)) {
    const std::string_view name = name_of(id->role);
    return name == "unassigned" ? "IDR" : name;
  }
  if (const auto* rand = std::get_if<RoleRandView>(&payload.value)) {
    const std::string_view name = name_of(rand->role);
    return name == "unassigned" ? "RANDR" : name;
  }
  return name_of(payload.type);
}

constexpr bool is_mikey_ticket(DataType type) noexcept {
  return type >= DataType::request_init_psk;
}
constexpr bool is_request_or_resolve(DataType type) noexcept {
  return is_mikey_ticket(type) && type != DataType::transfer_init &&
         type != DataType::transfer_resp;
}

class Linter {
 public:
  explicit Linter(const Message& message) : message_(message), type_(message.header.data_type) {}

  std::vector<Finding> run() {
    check_payloads();
    check_header();
    if (is_mikey_ticket(type_) || (type_ == DataType::error && message_.v)) check_suite();
    check_crypto_sessions();
    check_each_payload();
    if (message_.tp) check_policy(*message_.tp, true);
    if (message_.ticket) check_ticket();
    if (is_mikey_ticket(type_)) check_rands();
    if (message_.kemac) check_kemac();
    return std::move(findings_);
  }

 private:
  void add(Severity severity, std::string_view payload, std::string_view clause, std::size_t offset,
           std::string text) {
    const auto place = std::ranges::upper_bound(findings_, offset, {}, &Finding::offset);
    findings_.insert(
        place, {severity, std::string(payload), std::string(clause), offset, std::move(text)});
  }
  void error(std::string_view payload, std::string_view clause, std::size_t offset,
             std::string text) {
    add(Severity::error, payload, clause, offset, std::move(text));
  }
  void warn(std::string_view payload, std::string_view clause, std::size_t offset,
            std::string text) {
    add(Severity::warning, payload, clause, offset, std::move(text));
  }
  // A rule of the library that was broken.
  template <class T>
  void expect(const Result<T>& result, Place place = {}) {
    if (result) return;
    place = result.error().place().value_or(place);
    error(place.payload, place.clause, place.offset, result.error().text());
  }
  std::size_t offset_of(Bytes inside) const noexcept {
    return static_cast<std::size_t>(inside.data() - message_.bytes.data());
  }

  // ---- what a message of this type consists of

  bool is_update() const noexcept {
    return type_ == DataType::transfer_init && !message_.ticket && !message_.randr_i;
  }
  const Plan& plan() const {
    if (is_update()) return kUpdate;
    return *std::ranges::find(kPlans, type_, &Plan::type);
  }

  void check_payloads() {
    struct Count {
      std::size_t least = 0;
      std::size_t most = 0;
    };
    std::map<std::string_view, Count> expected;
    std::string_view rest = plan().payloads;
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find(' '), rest.size());
      std::string_view word = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      const char bracket = word.front();
      const bool bracketed = bracket == '[' || bracket == '{' || bracket == '(';
      if (bracketed) word = word.substr(1, word.size() - 2);
      Count& count = expected[word];
      if (!bracketed || bracket == '(') ++count.least;
      count.most += bracket == '{' || bracket == '(' ? 1000 : 1;
    }
    std::map<std::string_view, std::size_t> seen;
    PayloadWalker walker = message_.payloads();
    while (const Payload* payload = *walker.next()) {
      const std::string_view name = plan_name(*payload);
      if (payload->type == PayloadType::ext) continue;
      const auto found = expected.find(name);
      if (payload->type == PayloadType::id && is_mikey_ticket(type_)) {
        error(name, "RFC 6043 6.6", payload->offset, "MIKEY-TICKET identifies by IDR, never by ID");
      } else if (found == expected.end()) {
        warn(name, plan().clause, payload->offset,
             fmt::format("{} is not expected in {}: readers ignore it", name, message_.name()));
      } else if (++seen[name] > found->second.most) {
        error(name, plan().clause, payload->offset,
              fmt::format("{} {} payloads; {} has {} at most", seen[name], name, message_.name(),
                          found->second.most));
      }
    }
    for (const auto& [name, count] : expected) {
      if (seen[name] < count.least) {
        error(name, plan().clause, message_.bytes.size(),
              fmt::format("{} lacks {}: it consists of HDR, {}", message_.name(), name,
                          plan().payloads));
      }
    }
    const auto should_have = [&](std::string_view name, std::string_view clause) {
      if (expected.contains(name) && seen[name] == 0) {
        warn(name, clause, message_.bytes.size(),
             fmt::format("{} should be there; without it the receiver has to know it otherwise",
                         name));
      }
    };
    switch (type_) {
      case DataType::request_init_psk:
      case DataType::request_init_pk:
        should_have("IDRi", "RFC 6043 4.2.1");
        should_have("IDRkms", "RFC 6043 4.2.1.1");
        should_have("CERT", "RFC 6043 4.2.1.3");
        break;
      case DataType::resolve_init_psk:
      case DataType::resolve_init_pk:
        should_have("IDRr", "RFC 6043 4.2.3");
        should_have("IDRkms", "RFC 6043 4.2.3.1");
        should_have("CERT", "RFC 6043 4.2.3.3");
        break;
      case DataType::transfer_init:
        should_have("IDRi", "RFC 6043 4.2.2.1");
        should_have("IDRr", "RFC 6043 4.2.2.1");
        break;
      default: break;
    }
  }

  // ---- HDR

  void check_header() {
    constexpr std::size_t kVOffset = 3;
    constexpr std::size_t kMapOffset = 8;
    const Header& header = message_.header;
    const auto v_flag = [&](bool expected, std::string_view clause, std::string_view why) {
      if (header.v_flag == expected) return;
      error("HDR", clause, kVOffset,
            fmt::format("the V flag is {}: {}", header.v_flag ? 1 : 0, why));
    };
    switch (type_) {
      case DataType::request_init_psk:
      case DataType::request_init_pk:
        v_flag(true, "RFC 6043 4.2.1.1", "it must be 1 in REQUEST_INIT");
        break;
      case DataType::resolve_init_psk:
      case DataType::resolve_init_pk:
        v_flag(true, "RFC 6043 4.2.3.1", "it must be 1 in RESOLVE_INIT");
        break;
      case DataType::transfer_init:
        if (message_.ticket) {
          v_flag(message_.ticket->policy.flags.has(TicketFlag::f_response), "RFC 6043 4.2.2.1",
                 "it agrees with the F flag of the ticket");
        }
        break;
      case DataType::request_resp:
      case DataType::transfer_resp:
      case DataType::resolve_resp:
      case DataType::error: v_flag(false, "RFC 6043 6.1", "it is 0 in answers and errors"); break;
      default: break;
    }
    if (is_request_or_resolve(type_)) {
      expect(require_empty_map(message_));
    } else if (is_mikey_ticket(type_) && header.map_type == CsIdMapType::srtp_id) {
      error("HDR", "RFC 6043 6.1", kMapOffset + 1,
            "the SRTP-ID map shall not be used in Ticket Transfer; GENERIC-ID is for that");
    } else if (is_mikey_ticket(type_) && header.map_type == CsIdMapType::empty) {
      warn("HDR", "RFC 6043 6.1", kMapOffset + 1,
           "the GENERIC-ID map should be used in Ticket Transfer, not the Empty map");
    } else if (type_ == DataType::error && header.cs_count != 0) {
      warn("HDR", "RFC 6043 5.4", kMapOffset, "an Error message is about no crypto session");
    }
  }

  void check_suite() {
    const bool is_pk = is_pk_variant(message_);
    if (is_pk && message_.pke && message_.sign) expect(check_pk_payloads(message_));
    if (is_pk || message_.v) expect(require_one_suite(message_));
  }

  // ---- crypto sessions and security policies

  void check_crypto_sessions() {
    const auto policies = read_policies(message_);
    expect(policies);
    expect(require_no_policy_with_empty_map(message_));
    if (message_.header.map_type != CsIdMapType::generic_id) return;
    const auto sessions = read_crypto_sessions(message_);
    expect(sessions);
    if (!sessions || !policies) return;
    for (const CryptoSession& session : *sessions) {
      if (name_of(session.prot_type) == "unassigned") {
        warn("HDR", "RFC 3830 6.10", message_.header.map_info_offset,
             fmt::format("crypto session {} has the unassigned Prot type {}", session.cs_id,
                         static_cast<unsigned>(session.prot_type)));
      }
    }
    // Answers and updates may name policies of a message before.
    if (type_ == DataType::transfer_init && !is_update()) {
      expect(check_policies(*sessions, *policies, message_.name()));
    }
    const bool has_answer = type_ == DataType::transfer_init && message_.header.v_flag;
    if (is_mikey_ticket(type_) && !has_answer) expect(check_settled(*sessions, message_.name()));
  }

  // ---- one payload at a time

  void check_each_payload() {
    PayloadWalker walker = message_.payloads();
    while (const Payload* payload = *walker.next()) {
      current_ = payload;
      std::visit([this](const auto& value) { check(value); }, payload->value);
      current_ = nullptr;
    }
  }

  void warn_here(std::string_view clause, std::string text) {
    warn(plan_name(*current_), clause, current_->offset, std::move(text));
  }
  template <class Enum>
  void check_assigned(Enum value, std::string_view field, std::string_view clause) {
    if (name_of(value) == "unassigned") {
      warn_here(clause, fmt::format("{} {} is unassigned", field, static_cast<unsigned>(value)));
    }
  }
  template <class Any>
  void check(const Any&) {}
  void check(const Timestamp& t) {
    if (t.type == TsType::counter) {
      warn_here("RFC 3830 6.6",
                "T is a COUNTER: the receiver needs state to find replays, and "
                "a repeated value would repeat a key stream");
    } else if (t.type == TsType::ntp_utc_32) {
      warn_here("RFC 6043 6.3",
                "T is NTP-UTC-32, which is meant for validity periods: messages "
                "of one second have the same T");
    }
  }
  void check(const IdentityView& id) { check_assigned(id.type, "ID type", "RFC 6043 6.5"); }
  void check(const RoleIdentity& id) {
    check_assigned(id.role, "ID Role", "RFC 6043 6.6");
    check_assigned(id.identity.type, "ID type", "RFC 6043 6.5");
    if (id.identity.data.empty()) warn_here("RFC 6043 6.6", "the identity is empty");
  }
  void check(const RoleRandView& rand) { check_assigned(rand.role, "RAND Role", "RFC 6043 6.8"); }
  void check(const RandView& rand) {
    if (rand.value.size() < 16) {
      warn_here("RFC 3830 6.11",
                fmt::format("RAND has {} octets; it should have 16 or more", rand.value.size()));
    }
  }
  void check(const CertificateView& certificate) {
    check_assigned(certificate.type, "Cert type", "RFC 3830 6.7");
  }
  void check(const CertificateHashView& hash) {
    if (hash.hash == HashFunc::md5) {
      warn_here("RFC 3830 6.8", "MD5 does not tell certificates apart: collisions can be made");
    }
  }
  void check(const EnvelopeView& envelope) { check_assigned(envelope.cache, "C", "RFC 3830 6.3"); }
  void check(const SignatureView& signature) {
    check_assigned(signature.type, "S type", "RFC 3830 6.5");
  }
  void check(const DhView& dh) {
    if (dh.reserved != 0) warn_here("RFC 3830 6.4", "reserved bits are set");
  }
  void check(const ErrorView& err) {
    check_assigned(err.number, "Error no", "RFC 6043 6.9");
    if (err.reserved != 0) warn_here("RFC 3830 6.12", "reserved bits are set");
  }
  void check(const SecurityPolicyView& policy) {
    check_assigned(policy.prot_type, "Prot type", "RFC 3830 6.10");
    if (policy.prot_type != ProtType::srtp) return;
    std::set<unsigned> types;
    SecurityParameterWalker parameters = policy.walk(message_.name());
    while (const TypeLengthValue* parameter = *parameters.next()) {
      const auto type = static_cast<SrtpParameter>(parameter->type);
      check_assigned(type, "SRTP parameter", "RFC 3830 6.10.1");
      if (!types.insert(parameter->type).second) {
        warn_here("RFC 3830 6.10.1", fmt::format("{} is given twice", name_of(type)));
      }
      if (parameter->value.size() == 1 &&
          name_of_choice(type, parameter->value[0]) == "unassigned") {
        warn_here("RFC 3830 6.10.1",
                  fmt::format("{} {} is unassigned", name_of(type), parameter->value[0]));
      }
    }
  }
  void check(const ExtensionView& extension) {
    check_assigned(extension.type, "Type", "RFC 3830 6.15");
  }

  // ---- Ticket Policy and ticket

  void check_policy(const TicketPolicyView& view, bool wished) {
    const std::string_view payload = wished ? "TP" : "TICKET";
    const std::size_t offset = view.tp_data_offset;
    const Place place{message_.name(), payload, "RFC 6043 6.10", offset};
    if (view.reserved != 0) warn(payload, "RFC 6043 6.10", offset, "reserved bits are set");
    if (wished && view.flags.has(TicketFlag::k_changed)) {
      error(payload, "RFC 6043 6.10", offset, "K shall be 0 in a wish: only the KMS changes it");
    }
    expect(view.flags.with(TicketFlag::k_changed, !wished && view.flags.has(TicketFlag::k_changed))
               .check(),
           place);
    const auto policy = view.read(message_.name());
    expect(policy, place);
    if (!policy) return;
    if (policy->trs && policy->tre && policy->trs->is_time() && policy->tre->is_time() &&
        policy->trs->to_wall_time() > policy->tre->to_wall_time()) {
      error(payload, "RFC 6043 6.10", offset, "the validity ends (TRe) before it begins (TRs)");
    }
    PayloadWalker walker = view.payloads(message_.name());
    while (const Payload* inner = *walker.next()) {
      check_inside_policy(*inner, wished);
    }
  }

  void check_inside_policy(const Payload& inner, bool wished) {
    const auto* kemac = std::get_if<KemacView>(&inner.value);
    if (kemac != nullptr && !wished) {
      error("KEMAC", "RFC 6043 6.10", inner.offset,
            "a granted Ticket Policy shall not hold a KEMAC: its keys are in the KEMAC of the "
            "message");
    } else if (kemac != nullptr) {
      KeyDataWalker keys = kemac->plain_keys(message_.name());
      while (const KeyDataView* key = *keys.next()) {
        const auto is_zero = [](Bytes octets) {
          return std::ranges::all_of(octets, [](std::uint8_t octet) { return octet == 0; });
        };
        if (!is_zero(key->key) || !is_zero(key->salt)) {
          error("KEMAC", "RFC 6043 6.10", inner.offset,
                "the key data of a wish shall be 0: they travel in plain text");
        }
      }
    }
    const bool expected = kemac != nullptr || std::holds_alternative<RoleTimestamp>(inner.value) ||
                          std::holds_alternative<RoleIdentity>(inner.value);
    if (!expected) {
      warn(name_of(inner.type), "RFC 6043 6.10", inner.offset,
           fmt::format("{} is not expected in TP Data: readers ignore it", name_of(inner.type)));
    }
  }

  void check_ticket() {
    const TicketView& ticket = *message_.ticket;
    check_policy(ticket.policy, false);
    const Place at_data{message_.name(), "TICKET", "RFC 6043 A", ticket.ticket_data_offset};
    const auto data = parse_ticket_data(ticket, message_.name());
    expect(data, at_data);
    if (data) {
      expect(suite_of_kemac(ticket.policy.prf, data->kemac, at_data));
      if (data->mac_alg != suite_of(ticket.policy.prf).mac) {
        error("TICKET", "RFC 6043 12.1", ticket.ticket_data_offset,
              "the MAC algorithm of the Ticket Data does not go with the PRF of the ticket");
      }
      expect(check_rand_length(data->rand.size(), suite_of(ticket.policy.prf).key_octets, at_data));
    }
    check_initiator_data(ticket);
    const TicketFlags flags = ticket.policy.flags;
    if (type_ == DataType::transfer_init && message_.kemac) {
      expect(check_may_supply(
          flags, CsbRole::initiator,
          {message_.name(), "KEMAC", "RFC 6043 4.2.2.1", message_.kemac->encr_data_offset}));
    }
    if (type_ == DataType::transfer_init && !flags.has(TicketFlag::n_plain_initiator)) {
      warn("TICKET", "RFC 6043 6.10", ticket.policy.tp_data_offset,
           "N = 0: the Initiator needs the processing of this ticket type's specification");
    }
  }

  // "SHALL be inserted by the Initiator if and only if key forking is used".
  void check_initiator_data(const TicketView& ticket) {
    const bool travels = type_ == DataType::transfer_init || type_ == DataType::resolve_init_psk ||
                         type_ == DataType::resolve_init_pk;
    const bool is_there = !ticket.initiator_data.empty();
    const bool belongs = travels && ticket.policy.flags.has(TicketFlag::i_forking);
    if (is_there != belongs) {
      error("TICKET", "RFC 6043 6.10", ticket.initiator_data_offset,
            is_there ? "Initiator Data are there, and key forking (I) is not used here"
                     : "key forking (I) is used, and the Initiator Data are missing");
    }
    if (!is_there) return;
    const auto data = read_initiator_data(suite_of(ticket.policy.prf), ticket, message_.name());
    expect(data);
    if (!data) return;
    if (type_ == DataType::transfer_init && message_.v) expect(check_vi(message_));
  }

  // ---- lengths of RANDs, and KEMAC

  void check_rands() {
    const auto check_one = [&](const std::optional<Bytes>& rand, std::string_view name) {
      if (!rand) return;
      const std::size_t offset = offset_of(*rand);
      constexpr std::size_t kLeast = 16;  // no key has less than 128 bits
      const std::size_t usual = suite_of(message_.header.prf).key_octets;
      // RANDRi and RANDRr are added up where the answer has one of its own.
      const bool adds_up = type_ == DataType::transfer_resp || has_randr_r_in_answer();
      if (rand->size() < kLeast && !adds_up) {
        error(name, "RFC 6043 12.1", offset,
              fmt::format("{} has {} octets: it is at least as long as the longest key that it "
                          "freshens, and keys have 16 or more",
                          name, rand->size()));
      } else if (rand->size() < usual && !adds_up) {
        warn(name, "RFC 6043 12.1", offset,
             fmt::format("{} has {} octets, too few for the {}-octet keys of this suite", name,
                         rand->size(), usual));
      }
    };
    check_one(message_.randr_i, "RANDRi");
    check_one(message_.randr_r, "RANDRr");
    check_one(message_.randr_kms, "RANDRkms");
  }
  bool has_randr_r_in_answer() const {
    return type_ == DataType::transfer_init && message_.ticket &&
           message_.ticket->policy.flags.has(TicketFlag::g_randr_r);
  }

  void check_kemac() {
    const KemacView& kemac = *message_.kemac;
    if (is_mikey_ticket(type_)) return;  // check_suite() has looked at it
    if (kemac.encr_alg == EncrAlg::null && !kemac.encr_data.empty()) {
      warn("KEMAC", "RFC 3830 4.2.3", kemac.encr_data_offset,
           "NULL encryption shows the keys to everybody on the way");
    }
    const bool protects_message = type_ == DataType::psk_init || type_ == DataType::dhhmac_init ||
                                  type_ == DataType::dhhmac_resp;
    const std::size_t end = kemac.encr_data_offset + kemac.encr_data.size() + 1 + kemac.mac.size();
    if (protects_message && kemac.mac_alg == MacAlg::null) {
      error("KEMAC", "RFC 3830 4.2.4", kemac.encr_data_offset,
            "the MAC of the message is in KEMAC, and it is NULL");
    }
    if (protects_message && end != message_.bytes.size()) {
      error("KEMAC", "RFC 3830 6.2", kemac.encr_data_offset,
            "KEMAC has the MAC of the message, so it is the last payload");
    }
  }

  const Message& message_;
  const DataType type_;
  const Payload* current_ = nullptr;
  std::vector<Finding> findings_;  // by offset, in the order they were found
};

}  // namespace

std::vector<Finding> lint(Bytes octets) {
  const auto message = Message::parse(octets);
  if (message) return Linter(*message).run();
  const Place place = message.error().place().value_or(Place{});
  return {{Severity::error, std::string(place.payload), std::string(place.clause), place.offset,
           message.error().text()}};
}

}  // namespace keystub::mikey::cli
