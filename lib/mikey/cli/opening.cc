#include "mikey/cli/opening.h"

#include <fmt/format.h>

#include "mikey/cli/describe.h"
#include "mikey/exchange_rules.h"
#include "mikey/initiator_data.h"
#include "mikey/public_key/signature.h"

namespace keystub::mikey::cli {
namespace {

using Outcome = Check::Outcome;

// The keys of a message: what they are derived from, and how (RFC 6043 5.1.2).
struct Protection {
  std::string_view key_name;
  Bytes inkey;
  MessageContext context;
};

// A check that cannot be made is not_found: something is missing.
std::unexpected<Error> missing(std::string text) {
  return fail(Category::not_found, std::move(text));
}

class Opener {
 public:
  Opener(const Message& message, const Message* initial, const KeyRing& ring,
         std::vector<Node>& tree)
      : message_(message), initial_(initial), ring_(ring), tree_(tree) {}

  std::vector<Check> run() {
    mpki_ = ring_.mpki.clone();
    mpkr_ = ring_.mpkr.clone();
    if (message_.ticket) {
      open_ticket_data(message_);
    } else if (initial_ != nullptr && initial_->ticket) {
      open_ticket_data(*initial_);
    }
    if (message_.sign) {
      verify_sign();
    } else {
      verify_and_open();
    }
    if (message_.ticket && !message_.ticket->initiator_data.empty()) verify_vr();
    return std::move(checks_);
  }

 private:
  void report(Outcome outcome, std::string what, std::string text) {
    checks_.push_back({outcome, std::move(what), std::move(text)});
  }
  // A failure: bad, unless something is missing.
  void report(std::string what, const Error& error) {
    const bool is_missing = error.category() == Category::not_found;
    report(is_missing ? Outcome::skipped : Outcome::bad, std::move(what), error.text());
  }

  // The ticket of this message, or of the one that it answers: MPKi and MPKr come out of it.
  void open_ticket_data(const Message& holder) {
    const std::string what = "Ticket Data";
    const TicketType type = holder.ticket->policy.type;
    if (type != kMikeyBaseTicket && type != k3gppBaseTicket) {
      return report(Outcome::skipped, what,
                    fmt::format("what a ticket of type {}/{}/{} holds is not known", type.type,
                                type.subtype, type.version));
    }
    const auto data = parse_ticket_data(*holder.ticket, holder.name());
    if (!data) return report(what, data.error());
    if (!ring_.tpk.empty()) {
      auto opened = open_ticket(*holder.ticket, *data, ring_.tpk, holder.name());
      if (!opened) return report(what, opened.error());
      report(Outcome::good, what, "the MAC verifies with the TPK; the keys are opened");
      if (&holder == &message_) {
        add_keys(data->kemac, {{"MPKi", &opened->mpki}, {"MPKr", &opened->mpkr}},
                 opened->session_keys);
      }
      mpki_ = std::move(opened->mpki);
      mpkr_ = std::move(opened->mpkr);
    } else if (!ring_.mpk.empty()) {
      auto pair = derive_mpk_pair(holder.ticket->policy.prf, ring_.mpk, data->rand);
      if (!pair) return report(what, pair.error());
      mpki_ = std::move(pair->mpki);
      mpkr_ = std::move(pair->mpkr);
    } else {
      report(Outcome::skipped, what, "needs the key that protects the ticket (tpk)");
    }
  }

  // The RAND of an initial message goes into the keys of the whole exchange (RFC 6043 5.1.2).
  static Result<MessageContext> context_of(const Message& initial) {
    const DataType type = initial.header.data_type;
    const bool is_resolve = type == DataType::resolve_init_psk || type == DataType::resolve_init_pk;
    const std::optional<Bytes>& rand = is_resolve ? initial.randr_r : initial.randr_i;
    if (!rand) return missing(fmt::format("{} has no RAND of its sender", initial.name()));
    if (is_resolve) return MessageContext{initial.header.csb_id, false, {}, *rand};
    return MessageContext{initial.header.csb_id, false, *rand, {}};
  }
  static Result<MessageContext> context_of_response(const Message* initial) {
    if (initial == nullptr) return needs_initial();
    MessageContext context = TRY(context_of(*initial));
    context.response = true;
    return context;
  }
  static std::unexpected<Error> needs_initial() {
    return missing("needs the message that it belongs to (--initial)");
  }

  // In an exchange with the KMS that began with `initial`.
  Result<Protection> shared_with_kms(const Message& initial, MessageContext context) const {
    if (is_pk_variant(initial)) {
      if (ring_.envelope.empty())
        return missing("needs the envelope key of the exchange (envelope)");
      return Protection{"the envelope key", ring_.envelope.reveal(), context};
    }
    if (ring_.psk.empty()) return missing("needs the key that is shared with the KMS (psk)");
    return Protection{"the PSK", ring_.psk.reveal(), context};
  }

  // MPKi for TRANSFER_INIT; for the answer MPKr' if the ticket says key forking.
  Result<Protection> mikey_protection(const Message& transfer_init, MessageContext context) {
    const TicketFlags flags = transfer_init.ticket->policy.flags;
    if (!context.response || !flags.has(TicketFlag::i_forking)) {
      if (mpki_.empty()) return missing("needs MPKi (mpki, mpk or tpk)");
      return Protection{"MPKi", mpki_.reveal(), context};
    }
    mpkr_forked_ = ring_.mpkr_forked.clone();
    if (mpkr_forked_.empty()) {
      if (mpkr_.empty() || !message_.idr_r || !message_.randr_kms) {
        return missing("needs MPKr' (mpkr', mpkr, mpk or tpk)");
      }
      mpkr_forked_ =
          TRY(fork_mpkr(message_.header.prf, mpkr_, message_.idr_r->data, *message_.randr_kms));
    }
    return Protection{"MPKr'", mpkr_forked_.reveal(), context};
  }

  // The keys of a message whose exchange began with `initial`; initial messages need none.
  Result<Protection> protection_of(const Message& message, const Message* initial) {
    switch (message.header.data_type) {
      case DataType::request_init_psk:
      case DataType::request_init_pk:  // as the message in error: a signature protects itself
      case DataType::resolve_init_psk:
      case DataType::resolve_init_pk: return shared_with_kms(message, TRY(context_of(message)));
      case DataType::request_resp:
      case DataType::resolve_resp: {
        const MessageContext context = TRY(context_of_response(initial));
        return shared_with_kms(*initial, context);
      }
      case DataType::transfer_init:
      case DataType::transfer_resp: {
        const bool is_init = message.header.data_type == DataType::transfer_init;
        const Message* const init = is_init ? &message : initial;
        if (init != nullptr && !init->ticket) {
          return missing("this is a CSB update: its keys are those of the exchange before it");
        }
        if (is_init) return mikey_protection(message, TRY(context_of(message)));
        MessageContext context = TRY(context_of_response(initial));
        if (message.randr_r) context.randr_r = *message.randr_r;
        return mikey_protection(*initial, context);
      }
      case DataType::error:
        if (initial == nullptr) return needs_initial();
        return protection_of(*initial, nullptr);
      case DataType::psk_init:
      case DataType::psk_verification:
      case DataType::pk_init:
      case DataType::pk_verification:
      case DataType::dh_init:
      case DataType::dh_resp:
      case DataType::dhhmac_init:
      case DataType::dhhmac_resp:
      case DataType::rsa_r_init:
      case DataType::rsa_r_resp: break;
    }
    return missing("messages of RFC 3830 are shown, and not opened");
  }

  // An identity that the MAC covers: from the message, or from the user.
  Result<Bytes> identity(const std::optional<IdentityView>& in_message,
                         const std::optional<std::string>& in_ring, std::string_view name) const {
    if (in_message) return in_message->data;
    if (in_ring) return as_bytes(*in_ring);
    return missing(
        fmt::format("needs {}, which the message leaves out; add a line '{} …' to the "
                    "keys",
                    name, name));
  }

  // What follows the message in the MAC: RFC 6043 table 5.2.
  struct Following {
    Bytes first;
    Bytes second;
  };
  Result<Following> following() const {
    Following both;
    switch (message_.header.data_type) {
      case DataType::request_init_psk:
      case DataType::request_init_pk:
        both.first = TRY(identity(message_.idr_i, ring_.idr_i, "idri"));
        both.second = TRY(identity(message_.idr_kms, ring_.idr_kms, "idrkms"));
        break;
      case DataType::transfer_init:
        both.first = TRY(identity(message_.idr_i, ring_.idr_i, "idri"));
        both.second = TRY(identity(message_.idr_r, ring_.idr_r, "idrr"));
        break;
      case DataType::resolve_init_psk:
      case DataType::resolve_init_pk:
        both.first = TRY(identity(message_.idr_r, ring_.idr_r, "idrr"));
        both.second = TRY(identity(message_.idr_kms, ring_.idr_kms, "idrkms"));
        break;
      case DataType::request_resp:
      case DataType::resolve_resp:
      case DataType::transfer_resp: both.first = initial_->bytes; break;
      default: break;
    }
    return both;
  }

  // SIGN, with the certificate that comes with it. Whether to trust that one is another question.
  void verify_sign() {
    const auto verified = [this]() -> Result<void> {
      PayloadWalker walker = message_.payloads();
      while (const Payload* payload = TRY(walker.next())) {
        const auto* cert = std::get_if<CertificateView>(&payload->value);
        if (cert == nullptr || cert->type == CertType::url) continue;
        const Certificate certificate = TRY(Certificate::from_der(cert->data));
        const Following after = TRY(following());
        return verify_signature(
            certificate, message_.sign->type, hash_of(suite_of(message_.header.prf)),
            {message_.without_signature(), after.first, after.second}, message_.sign->data, {});
      }
      return missing("the message has no certificate of its sender");
    }();
    if (!verified) return report("SIGN", verified.error());
    report(Outcome::good, "SIGN",
           "verifies with the first certificate; whether that is to be trusted was not looked at");
  }

  void verify_and_open() {
    const std::string what = "MAC of V";
    if (!message_.v) return report(Outcome::skipped, what, "the message has no V");
    const auto protection = protection_of(message_, initial_);
    if (!protection) return report(what, protection.error());
    if (const auto verified = verify(*protection); !verified) {
      return report(what, verified.error());
    }
    report(Outcome::good, what, fmt::format("verifies with {}", protection->key_name));
    if (!message_.kemac) return;
    if (const auto opened = open_kemac_of(*protection); !opened) {
      return report("KEMAC", opened.error());
    }
    report(Outcome::good, "KEMAC", fmt::format("decrypted with {}", protection->key_name));
  }

  Result<void> verify(const Protection& protection) const {
    const Suite& suite = *TRY(require_one_suite(message_));
    const Following after = TRY(following());
    const MessageKeys keys =
        TRY(derive_message_keys(suite, protection.inkey, protection.context, Protects::integrity));
    CoveredTransferInit covered{message_.without_mac(), {}};
    if (message_.header.data_type == DataType::transfer_init) covered = covered_by_mac(message_);
    return verify_mac(suite, keys.auth, {covered.before, covered.after, after.first, after.second},
                      message_.v->mac, {});
  }

  Result<void> open_kemac_of(const Protection& protection) {
    const KemacView& kemac = *message_.kemac;
    if (!message_.t) return missing("needs T");
    const Suite& suite = *TRY(suite_of_kemac(message_.header.prf, kemac, {}));
    const MessageKeys keys = TRY(derive_message_keys(suite, protection.inkey, protection.context,
                                                     Protects::integrity_and_keys));
    const KemacKeys opened =
        TRY(open_kemac(suite, keys, message_.header.csb_id, *message_.t, kemac, {}));
    std::vector<NamedMpk> mpks;
    mpks.reserve(opened.mpks.size());
    const bool resolved = message_.header.data_type == DataType::resolve_resp;
    for (const Mpk& mpk : opened.mpks) {
      mpks.push_back({mpks.empty() ? "MPKi" : resolved ? "MPKr'" : "MPKr", &mpk});
    }
    add_keys(kemac, mpks, opened.session_keys);
    return {};
  }

  void verify_vr() {
    const std::string what = "MAC of Vr (Initiator Data)";
    if (mpkr_.empty()) return report(Outcome::skipped, what, "needs MPKr (mpkr, mpk or tpk)");
    const PrfFunc prf = message_.ticket->policy.prf;
    const auto verified = verify_initiator_data(suite_of(prf), *message_.ticket, mpkr_, message_);
    if (!verified) return report(what, verified.error());
    report(Outcome::good, what, "verifies with MPKr");
  }

  // Hangs the keys below the Encr data of their KEMAC.
  struct NamedMpk {
    std::string_view name;
    const Mpk* mpk;
  };
  void add_keys(const KemacView& kemac, const std::vector<NamedMpk>& mpks,
                const std::vector<SessionKey>& session_keys) {
    Node* node = find(tree_, "Encr data", kemac.encr_data_offset);
    if (node == nullptr) return;
    for (const NamedMpk& named : mpks) {
      node->children.push_back(describe_key(named.name, named.mpk->reveal()));
    }
    for (const SessionKey& key : session_keys) node->children.push_back(describe_key(key));
    for (Node& key : node->children) key.offset = node->offset;
  }
  static Node* find(std::vector<Node>& nodes, std::string_view name, std::size_t offset) {
    for (Node& node : nodes) {
      if (node.name == name && node.offset == offset) return &node;
      if (Node* found = find(node.children, name, offset)) return found;
    }
    return nullptr;
  }

  const Message& message_;
  const Message* initial_;
  const KeyRing& ring_;
  std::vector<Node>& tree_;
  Mpk mpki_;
  Mpk mpkr_;
  Mpk mpkr_forked_;
  std::vector<Check> checks_;
};

}  // namespace

std::vector<Check> open_with_keys(const Message& message, const Message* initial,
                                  const KeyRing& ring, std::vector<Node>& tree) {
  return Opener(message, initial, ring, tree).run();
}

}  // namespace keystub::mikey::cli
