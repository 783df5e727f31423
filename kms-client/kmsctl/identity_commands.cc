// kmsctl identity create|list|show|suspend|resume|delete|set-psk
#include <filesystem>
#include <utility>

#include "kms-client/kmsctl/commands.h"

namespace keystub::kmsctl {
namespace {

constexpr std::size_t kNewPskOctets = 32;

}  // namespace

IdentityCommands::IdentityCommands(service::Verb& top, Session& session) : session_(session) {
  service::Verb& identity = top.verb("identity", "Identities and their pre-shared keys.");
  const auto with_psk = [this](service::Verb& verb) -> service::Verb& {
    return verb.option("--psk-file", psk_.file, "File with the key (mode 0600); -: standard input.")
        .choice("--psk-encoding", psk_.encoding, {"hex", "raw"}, "Form of the key in the file.")
        .option("--new-psk", new_psk_,
                "Make a key of 32 octets and write it (hex) to this new file.")
        .option("--psk-id", psk_.id,
                "Name of the key (IDRpsk); hex:… for any octets. Default: the URI.");
  };
  with_psk(identity.verb("create", "Creates an identity, with its first key if one is given.")
               .argument("uri", uri_, "sip:alice@example.com")
               .choice("--kind", kind_, kind_names(), "What it is."))
      .action([this] { return exit_code_of(create()); });
  with_psk(identity.verb("set-psk", "Adds a key, or replaces the one with the same id.")
               .argument("uri", uri_, "The identity."))
      .action([this] { return exit_code_of(set_psk()); });
  identity.verb("list", "Lists identities.")
      .option("--prefix", prefix_, "Only URIs that start with this.")
      .action([this] { return exit_code_of(list()); });
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
  // Unavailable: the KMS may have stored the key all the same.
  if (!new_psk_.empty() && !result && result.error().category() != Category::unavailable) {
    std::error_code ignored;
    std::filesystem::remove(new_psk_, ignored);
  }
  return result;
}

Result<void> IdentityCommands::create() {
  const auto admin = TRY(session_.admin());
  v1::CreateIdentityRequest request;
  request.set_uri(uri_);
  request.set_kind(kind_of(kind_));
  if (psk_.given() || !new_psk_.empty()) {
    const Psk psk = TRY(obtain_psk());
    request.set_psk(psk.reveal().data(), psk.size());
    request.set_psk_id(TRY(id_octets(psk_.id)));
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
  const Psk psk = TRY(obtain_psk());
  request.set_psk(psk.reveal().data(), psk.size());
  const auto identity = TRY(keep_or_drop_new_psk(admin->set_psk(request)));
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
