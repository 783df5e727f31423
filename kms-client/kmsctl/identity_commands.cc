// kmsctl identity create|list|show|suspend|resume|delete|set-psk|remove-psk and its names
#include <filesystem>
#include <utility>

#include "kms-client/kmsctl/commands.h"
#include "service/config.h"

namespace keystub::kmsctl {
namespace {

constexpr std::size_t kNewPskOctets = 32;
constexpr std::chrono::days kLongestPskValidity{36'500};

}  // namespace

IdentityCommands::IdentityCommands(service::Verb& top, Session& session) : session_(session) {
  service::Verb& identity = top.verb("identity", "Identities and their pre-shared keys.");
  const auto with_psk = [this](service::Verb& verb) -> service::Verb& {
    return verb.option("--psk-file", psk_.file, "File with the key (mode 0600); -: standard input.")
        .choice("--psk-encoding", psk_.encoding, {"hex", "raw"}, "Form of the key in the file.")
        .option("--new-psk", new_psk_,
                "Make a key of 32 octets and write it (hex) to this new file.")
        .option("--psk-id", psk_.id,
                "Name of the key (IDRpsk); hex:… for any octets. Default: the URI.")
        .option("--psk-validity", psk_validity_, "How long the key is good: 24h. Default: always.");
  };
  with_psk(identity.verb("create", "Creates an identity, with its first key if one is given.")
               .argument("uri", uri_, "sip:alice@example.com")
               .choice("--kind", kind_, kind_names(), "What it is."))
      .action([this] { return exit_code_of(create()); });
  with_psk(identity.verb("set-psk", "Adds a key, or replaces the one with the same id.")
               .argument("uri", uri_, "The identity."))
      .action([this] { return exit_code_of(set_psk()); });
  identity.verb("remove-psk", "Removes one of its keys.")
      .argument("uri", uri_, "The identity.")
      .required_option("--psk-id", psk_.id, "Name of the key; hex:… for any octets.")
      .action([this] { return exit_code_of(remove_psk()); });
  const auto part =
      [&](const char* name, const char* help, const char* what, const char* what_help,
          Result<v1::Identity> (AdminClient::*call)(const std::string&, const std::string&)) {
        identity.verb(name, help)
            .argument("uri", uri_, "The identity.")
            .argument(what, part_, what_help)
            .action([this, call] { return exit_code_of(change_part(call)); });
      };
  part("add-alias", "Gives it another URI.", "alias", "tel:+4989123456", &AdminClient::add_alias);
  part("remove-alias", "Takes the URI back.", "alias", "The URI.", &AdminClient::remove_alias);
  part("add-pattern", "Lets it use URIs beside its own, as an MRFC its conferences.", "pattern",
       "sip:conf-*@example.com", &AdminClient::add_pattern);
  part("remove-pattern", "Takes them back.", "pattern", "The pattern.",
       &AdminClient::remove_pattern);
  identity
      .verb("add-certificate", "Pins a certificate: it stands for the identity, whoever issued it.")
      .argument("uri", uri_, "The identity.")
      .argument("file", file_, "The certificate, in PEM.")
      .action([this] { return exit_code_of(add_certificate()); });
  identity.verb("remove-certificate", "Takes it back.")
      .argument("uri", uri_, "The identity.")
      .required_option("--fingerprint", part_, "SHA-256 of the certificate in hex: see show.")
      .action([this] { return exit_code_of(remove_certificate()); });
  identity.verb("list", "Lists identities.")
      .option("--prefix", prefix_, "Only URIs that start with this.")
      .action([this] { return exit_code_of(list()); });
  bulk_.emplace(identity, session_);
  const auto simple = [&](const char* name, const char* help,
                          Result<v1::Identity> (AdminClient::*call)(const std::string&)) {
    identity.verb(name, help).argument("uri", uri_, "The identity.").action([this, call] {
      return exit_code_of(one(call));
    });
  };
  simple("show", "Shows one identity.", &AdminClient::get);
  simple("suspend", "Stops it from requesting and resolving.", &AdminClient::suspend);
  simple("resume", "Lets it request and resolve again.", &AdminClient::resume);
  identity.verb("delete", "Removes an identity with its keys. Not undone.")
      .argument("uri", uri_, "The identity.")
      .action([this] { return exit_code_of(remove()); });
}

Result<Psk> IdentityCommands::obtain_psk() {
  if (psk_.given() && !new_psk_.empty()) {
    return fail(Category::malformed, "--psk-file and --new-psk exclude each other");
  }
  if (psk_.given()) return psk_.read();
  Psk psk = TRY(session_.random.secret<PskTag>(kNewPskOctets));
  TRY(service::write_secret(new_psk_, service::SecretEncoding::hex, psk.reveal()));
  return psk;
}

template <class T>
Result<T> IdentityCommands::keep_or_drop_new_psk(Result<T> result) {
  if (new_psk_.empty() || result) return result;
  // The KMS may have stored the key all the same.
  if (result.error().category() == Category::unavailable) {
    return fail(Category::unavailable,
                result.error().text() + "; the new key stays in " + new_psk_ + ", for --psk-file");
  }
  std::error_code ignored;
  std::filesystem::remove(new_psk_, ignored);
  return result;
}

Result<void> IdentityCommands::create() {
  const auto admin = TRY(session_.admin());
  v1::CreateIdentityRequest request;
  request.set_uri(uri_);
  request.set_kind(kind_of(kind_));
  if (psk_.given() || !new_psk_.empty()) {
    request.set_psk_id(TRY(id_octets(psk_.id)));
    if (auto end = TRY(psk_end())) *request.mutable_psk_expire_time() = *end;
    const Psk psk = TRY(obtain_psk());  // last: it may make a file
    request.set_psk(psk.reveal().data(), psk.size());
  } else if (!psk_.id.empty()) {
    return fail(Category::malformed, "--psk-id without a key: --psk-file or --new-psk");
  }
  const auto identity = TRY(keep_or_drop_new_psk(admin->create(request)));
  print_identity(session_.out, session_.format(), identity);
  return {};
}

Result<void> IdentityCommands::set_psk() {
  if (!psk_.given() && new_psk_.empty()) {
    return fail(Category::malformed, "which key? --psk-file FILE, or --new-psk FILE to make one");
  }
  const auto admin = TRY(session_.admin());
  v1::SetPskRequest request;
  request.set_uri(uri_);
  request.set_psk_id(TRY(id_octets(psk_.id)));
  if (auto end = TRY(psk_end())) *request.mutable_expire_time() = *end;
  const Psk psk = TRY(obtain_psk());
  request.set_psk(psk.reveal().data(), psk.size());
  const auto identity = TRY(keep_or_drop_new_psk(admin->set_psk(request)));
  print_identity(session_.out, session_.format(), identity);
  return {};
}

Result<std::optional<google::protobuf::Timestamp>> IdentityCommands::psk_end() const {
  if (psk_validity_.empty()) return std::nullopt;
  const auto validity = TRY(service::parse_duration(psk_validity_));
  if (validity > kLongestPskValidity) {
    return fail(Category::malformed, "--psk-validity is 36500d (a hundred years) at most");
  }
  const auto end = session_.clock.now() + validity;
  google::protobuf::Timestamp time;
  time.set_seconds(
      std::chrono::duration_cast<std::chrono::seconds>(end.time_since_epoch()).count());
  return time;
}

Result<void> IdentityCommands::remove_psk() {
  const auto admin = TRY(session_.admin());
  const auto identity = TRY(admin->remove_psk(uri_, TRY(id_octets(psk_.id))));
  print_identity(session_.out, session_.format(), identity);
  return {};
}

Result<void> IdentityCommands::change_part(
    Result<v1::Identity> (AdminClient::*call)(const std::string&, const std::string&)) {
  const auto admin = TRY(session_.admin());
  const auto identity = TRY((admin.get()->*call)(uri_, part_));
  print_identity(session_.out, session_.format(), identity);
  return {};
}

Result<void> IdentityCommands::add_certificate() {
  const auto admin = TRY(session_.admin());
  const auto certificates = TRY(read_certificates(file_));
  if (certificates.size() != 1) {
    return fail(Category::malformed,
                file_ + " holds " + std::to_string(certificates.size()) +
                    " certificates: pin the identity's own, without those of its issuers");
  }
  const auto identity = TRY(admin->add_certificate(uri_, to_string(certificates.front().der())));
  print_identity(session_.out, session_.format(), identity);
  return {};
}

Result<void> IdentityCommands::remove_certificate() {
  const auto admin = TRY(session_.admin());
  // "openssl x509 -fingerprint -sha256" writes colons.
  std::string hex = part_;
  std::erase(hex, ':');
  const auto identity = TRY(admin->remove_certificate(uri_, to_string(TRY(from_hex(hex)))));
  print_identity(session_.out, session_.format(), identity);
  return {};
}

Result<void> IdentityCommands::list() {
  const auto admin = TRY(session_.admin());
  IdentityList list(session_.out, session_.format());
  TRY(admin->list(prefix_, [&](const v1::Identity& identity) { list.add(identity); }));
  list.finish();
  return {};
}

Result<void> IdentityCommands::one(Result<v1::Identity> (AdminClient::*call)(const std::string&)) {
  const auto admin = TRY(session_.admin());
  const auto identity = TRY((admin.get()->*call)(uri_));
  print_identity(session_.out, session_.format(), identity);
  return {};
}

Result<void> IdentityCommands::remove() {
  const auto admin = TRY(session_.admin());
  TRY(admin->remove(uri_));
  print_rows(session_.out, session_.format(), {{"deleted", uri_}});
  return {};
}

}  // namespace keystub::kmsctl
