#include "kms-server/kek_source.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <cstdlib>

#include "kms-server/files.h"
#include "kms-server/pkcs11_token.h"
#include "service/secret_file.h"

namespace keystub::kms {
namespace {

using Path = std::filesystem::path;
using Passphrase = Secret<struct PassphraseTag>;

// In the order of KekSource::Kind.
const std::vector<std::string> kKinds = {"file", "credential", "environment", "passphrase",
                                         "pkcs11"};

constexpr std::size_t kMinPassphraseOctets = 12;
constexpr std::size_t kMaxPassphraseOctets = 1024;
constexpr std::size_t kMaxPinOctets = 255;
constexpr std::size_t kMaxEncryptedOctets = 128;

// --- scrypt

constexpr std::size_t kSaltOctets = 16;
// 128 * N * r octets of memory: 128 MiB, about half a second.
constexpr std::int64_t kDefaultLogN = 17;
constexpr std::int64_t kMinLogN = 14;
constexpr std::int64_t kMaxLogN = 22;
constexpr std::int64_t kBlockSize = 8;
constexpr std::int64_t kParallel = 1;

struct ScryptParameters {
  std::int64_t log_n = kDefaultLogN;
  ByteVector salt;
};

Result<ScryptParameters> read_scrypt(const Path& file) {
  auto config = TRY(service::Config::load_file_alone(file));
  ScryptParameters parameters;
  parameters.log_n = config.integer("scrypt.log_n", 0, kMinLogN, kMaxLogN);
  const auto salt = from_hex(config.required_string("scrypt.salt"));
  if (!salt || salt->size() != kSaltOctets) {
    config.fault("scrypt.salt", fmt::format("must be {} octets in hex", kSaltOctets));
  } else {
    parameters.salt = *salt;
  }
  TRY(config.finish());
  return parameters;
}

// A passphrase or PIN, without the line end that an editor leaves.
Result<Passphrase> read_words(const Path& file, std::size_t min_octets, std::size_t max_octets) {
  const auto content =
      TRY(service::read_secret<PassphraseTag>(file, service::SecretEncoding::raw, 1, max_octets));
  Bytes words = content.reveal();
  while (!words.empty() && (words.back() == '\n' || words.back() == '\r')) {
    words = words.first(words.size() - 1);
  }
  if (words.size() < min_octets) {
    return fail(Category::malformed,
                fmt::format("{} must hold {} octets or more", file.string(), min_octets));
  }
  return Passphrase(words);
}

Result<Kek> derive(const KekSource& source, const ScryptParameters& parameters) {
  const Passphrase passphrase =
      TRY(read_words(source.passphrase_file, kMinPassphraseOctets, kMaxPassphraseOctets));
  const std::uint64_t n = std::uint64_t{1} << parameters.log_n;
  const std::uint64_t memory = 128 * n * kBlockSize + (std::uint64_t{1} << 20);
  Secret<KekTag> key(Kek::kSize);
  const Bytes words = passphrase.reveal();
  if (EVP_PBE_scrypt(reinterpret_cast<const char*>(words.data()), words.size(),
                     parameters.salt.data(), parameters.salt.size(), n, kBlockSize, kParallel,
                     memory, key.reveal_mutable().data(), key.size()) != 1) {
    return fail(Category::unavailable,
                fmt::format("scrypt failed: it needs {} MiB of memory", memory >> 20));
  }
  return Kek::from_octets(key.reveal());
}

// --- Files that something else names

Result<Path> credential_file(const std::string& name) {
  const char* const folder = std::getenv("CREDENTIALS_DIRECTORY");
  if (folder == nullptr) {
    return fail(
        Category::not_found,
        fmt::format("the KEK is the systemd credential {}, but CREDENTIALS_DIRECTORY is not "
                    "set: start the KMS as a service with LoadCredential={}:FILE",
                    name, name));
  }
  return Path(folder) / name;
}

Result<Path> environment_file(const std::string& name) {
  const char* const file = std::getenv(name.c_str());
  if (file == nullptr || *file == '\0') {
    return fail(Category::not_found,
                fmt::format("the variable {} must hold the path of the file with the KEK", name));
  }
  return Path(file);
}

Result<Pkcs11Token> open_token(const KekSource& source) {
  const Passphrase pin = TRY(read_words(source.pin_file, 1, kMaxPinOctets));
  return Pkcs11Token::open(source.module, source.token, pin.reveal());
}

}  // namespace

KekSource KekSource::read(service::Config& config, const std::string& table) {
  KekSource source;
  const std::string kind = config.choice(table + ".source", kKinds.front(), kKinds);
  if (kind == "credential") {
    source.kind = Kind::credential;
    source.credential = config.required_string(table + ".credential");
    if (source.credential.find('/') != std::string::npos) {
      config.fault(table + ".credential", "is the name of a credential, not a path");
    }
    return source;
  }
  if (kind == "environment") {
    source.kind = Kind::environment;
    source.environment = config.required_string(table + ".environment");
    return source;
  }
  source.file = config.required_path(table + ".file");
  if (kind == "passphrase") {
    source.kind = Kind::passphrase;
    source.passphrase_file = config.required_path(table + ".passphrase_file");
  } else if (kind == "pkcs11") {
    source.kind = Kind::pkcs11;
    source.module = config.required_path(table + ".module");
    source.token = config.required_string(table + ".token");
    source.key = config.required_string(table + ".key");
    source.pin_file = config.required_path(table + ".pin_file");
  }
  return source;
}

KekSources KekSources::read(service::Config& config) {
  KekSources sources{KekSource::read(config, "kek"), std::nullopt};
  if (config.is_set("kek_next.source")) sources.next = KekSource::read(config, "kek_next");
  return sources;
}

std::string KekSource::to_toml() const {
  std::string out = fmt::format("[kek]\nsource = \"{}\"\n", kKinds[static_cast<std::size_t>(kind)]);
  const auto line = [&out](std::string_view name, std::string_view value) {
    if (value.empty()) return;
    std::string quoted;
    for (const char c : value)
      quoted += c == '"' || c == '\\' ? std::string{'\\', c} : std::string(1, c);
    out += fmt::format("{} = \"{}\"\n", name, quoted);
  };
  line("credential", credential);
  line("environment", environment);
  line("file", file.string());
  line("passphrase_file", passphrase_file.string());
  line("module", module.string());
  line("token", token);
  line("key", key);
  line("pin_file", pin_file.string());
  return out;
}

Result<Kek> open_kek(const KekSource& source) {
  switch (source.kind) {
    case KekSource::Kind::file: return Kek::load(source.file);
    case KekSource::Kind::credential:
      return Kek::load(TRY(credential_file(source.credential)),
                       service::SecretFileMode::systemd_credential);
    case KekSource::Kind::environment: return Kek::load(TRY(environment_file(source.environment)));
    case KekSource::Kind::passphrase: return derive(source, TRY(read_scrypt(source.file)));
    case KekSource::Kind::pkcs11: {
      const auto encrypted = TRY(service::read_file_secret(
          source.file, service::SecretEncoding::raw, Kek::kSize, kMaxEncryptedOctets));
      auto token = TRY(open_token(source));
      const auto key = TRY(token.decrypt(source.key, encrypted.reveal()));
      return Kek::from_octets(key.reveal());
    }
  }
  return fail(Category::internal, "unknown source of the KEK");
}

Result<Kek> open_kek(const KekSources& sources) {
  Kek kek = TRY(open_kek(sources.current));
  if (sources.next) {
    auto next = open_kek(*sources.next);
    if (!next) return std::unexpected(std::move(next).error().with_context("kek_next"));
    TRY(kek.set_next(std::move(*next)));
  }
  return kek;
}

Result<Kek> create_kek(const KekSource& source, RandomSource& random) {
  switch (source.kind) {
    case KekSource::Kind::file: return Kek::create(source.file, random);
    case KekSource::Kind::environment:
      return Kek::create(TRY(environment_file(source.environment)), random);
    case KekSource::Kind::passphrase: {
      ScryptParameters parameters;
      parameters.salt = TRY(random.bytes(kSaltOctets));
      Kek kek = TRY(derive(source, parameters));
      const std::string text = fmt::format(
          "# Not secret: how the KEK is derived from its passphrase (RFC 7914, r = {}, p = {}).\n"
          "# Without this file the passphrase is worth nothing: keep a copy.\n"
          "[scrypt]\nlog_n = {}\nsalt = \"{}\"\n",
          kBlockSize, kParallel, parameters.log_n, to_hex(parameters.salt));
      TRY(create_private_file(source.file, as_bytes(text)));
      return kek;
    }
    case KekSource::Kind::pkcs11: {
      auto token = TRY(open_token(source));
      TRY(token.ensure_key(source.key));
      const auto key = TRY(random.secret<KekTag>(Kek::kSize));
      TRY(create_private_file(source.file, TRY(token.encrypt(source.key, key.reveal(), random))));
      return Kek::from_octets(key.reveal());
    }
    // Made by systemd-creds, not by the KMS.
    case KekSource::Kind::credential: return open_kek(source);
  }
  return fail(Category::internal, "unknown source of the KEK");
}

}  // namespace keystub::kms
