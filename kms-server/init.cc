#include "kms-server/init.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>

#include "kms-server/files.h"
#include "kms-server/identity_admin.h"
#include "kms-server/kek_source.h"
#include "kms-server/sqlite_store.h"
#include "replay/replay_window.h"
#include "rpc/lab_ca.h"
#include "service/config.h"

namespace keystub::kms {
namespace {

using Path = std::filesystem::path;

constexpr std::chrono::milliseconds kStoreTimeout{10'000};

constexpr const char* kConfigText =
    R"(# Configuration of this KMS, made by kms-server init. Every key, with its meaning and default, stands
# in the annotated example of the documentation. Relative paths start at the folder of this file.

[kms]
identity = "{identity}"

[store]
database = "{database}"

{kek}
[backup]
folder = "backups"

[replay]
file = "{replay}"

[audit]
file = "audit.jsonl"

[tickets]
listen = "{listen}"
certificate = "{tls}/kms.pem"
private_key = "{tls}/kms.key"
client_ca = "{tls}/ca.pem"

[admin]
unix_socket = "admin.sock"
certificate = "{tls}/kms.pem"
private_key = "{tls}/kms.key"
client_ca = "{tls}/ca.pem"

[roles]
admin = ["kms-admin"]
watcher = ["mrfc"]
)";

Result<void> make_private_folder(const Path& folder) {
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail(Category::unavailable,
                fmt::format("cannot make {}: {}", folder.string(), errno_text(errno)));
  }
  return {};
}

Result<void> require_absent(const Path& data) {
  for (const char* name : {kConfigFile, kKekFile, kDatabaseFile, kReplayFile, kTlsFolder}) {
    std::error_code ignored;
    if (std::filesystem::exists(data / name, ignored)) {
      return fail(Category::conflict,
                  fmt::format("{} is there already: choose another folder, nothing is overwritten",
                              (data / name).string()));
    }
  }
  return {};
}

Result<void> make_certificates(const Path& folder, const InitOptions& options) {
  TRY(make_private_folder(folder));
  const rpc::LabCa ca = TRY(rpc::LabCa::create(folder, "Keystub lab CA"));
  const auto issue = [&](const std::string& name, std::vector<std::string> dns_names,
                         bool server) -> Result<void> {
    rpc::LabCertificate certificate;
    certificate.name = name;
    certificate.server = server;
    if (server) {
      dns_names.insert(dns_names.end(), {name, "localhost"});
      certificate.dns_names = std::move(dns_names);
      certificate.ip_addresses = {"127.0.0.1", "::1"};
    }
    return ca.issue(certificate);
  };
  TRY(issue("kms", options.dns_names, true));
  TRY(issue("kms-admin", {}, false));
  TRY(issue("mrfc", {}, true));
  TRY(issue("mrfp", {}, true));
  return issue("ue", {}, false);
}

}  // namespace

Result<void> init_data_folder(const InitOptions& options, const Clock& clock,
                              RandomSource& random) {
  if (options.identity.empty() || options.identity.find_first_of("\"\\\n") != std::string::npos) {
    return fail(Category::malformed, "the identity of the KMS must be a URI or user@domain");
  }
  const std::string listen = TRY(service::parse_socket_address(options.listen)).to_string();
  TRY(make_private_folder(options.data));
  TRY(make_private_folder(options.data / "backups"));
  TRY(require_absent(options.data));

  KekSource source;
  source.file = options.data / kKekFile;
  if (!options.kek.empty()) {
    auto given = TRY(service::Config::load_file_alone(options.kek));
    source = KekSource::read(given, "kek");
    TRY(given.finish());
  }
  const Kek kek = TRY(create_kek(source, random));
  // Beside the configuration the file is known by its name alone: the folder may be moved.
  if (options.kek.empty()) source.file = kKekFile;
  const Path database = options.data / kDatabaseFile;
  TRY(SqliteStore::create(database, kek, random));
  {
    SqliteStoreOptions store_options;
    store_options.path = database;
    const auto store = TRY(SqliteStore::open(store_options, kek, clock));
    TRY(activate_new_tpk(*store, kek, random, Deadline::in(kStoreTimeout)));
  }
  TRY(replay::ReplayWindow::create(options.data / kReplayFile));
  TRY(make_certificates(options.data / kTlsFolder, options));
  const std::string config = fmt::format(
      kConfigText, fmt::arg("identity", options.identity), fmt::arg("database", kDatabaseFile),
      fmt::arg("kek", source.to_toml()), fmt::arg("replay", kReplayFile),
      fmt::arg("listen", listen), fmt::arg("tls", kTlsFolder));
  return create_private_file(options.data / kConfigFile, as_bytes(config));
}

}  // namespace keystub::kms
