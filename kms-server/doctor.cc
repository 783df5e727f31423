#include "kms-server/doctor.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>

#include <algorithm>
#include <cerrno>
#include <fstream>

#include "base/openssl_ptr.h"
#include "kms-server/database_backup.h"
#include "kms-server/files.h"
#include "kms-server/kek_source.h"
#include "pki/key_pair.h"
#include "service/audit_chain.h"

namespace keystub::kms {
namespace {

using Path = std::filesystem::path;
using Level = Finding::Level;

constexpr int kExpiresSoonDays = 30;
constexpr std::uint64_t kLittleSpace = std::uint64_t{256} << 20;  // octets
constexpr std::uint64_t kNoSpace = std::uint64_t{16} << 20;

class Examination {
 public:
  Examination(const Settings& settings, const Clock& clock, const Kek* in_use)
      : settings_(settings), clock_(clock), in_use_(in_use) {}

  std::vector<Finding> run() {
    files();
    database();
    tls("tickets", settings_.ticket_tls);
    if (settings_.admin_address) tls("admin", settings_.admin_tls);
    if (settings_.pk.enabled) public_key();
    time();
    for (const Path& file : {settings_.database, settings_.audit.path, settings_.replay_file}) {
      space(folder_of(file));
    }
    audit();
    return std::move(findings_);
  }

 private:
  void fine(std::string check, std::string text) {
    findings_.push_back({std::move(check), Level::fine, std::move(text)});
  }
  void warn(std::string check, std::string text, std::string advice) {
    findings_.push_back({std::move(check), Level::warning, std::move(text), std::move(advice)});
  }
  void fault(std::string check, const Error& error, std::string advice) {
    findings_.push_back(
        {std::move(check), Level::fault, error.describe(), std::move(advice), error.category()});
  }

  void files() {
    for (const Path& file : {settings_.database, settings_.audit.path, settings_.replay_file,
                             settings_.ticket_tls.private_key, settings_.admin_tls.private_key}) {
      private_file(file);
    }
    if (!settings_.pk.enabled) return;
    private_file(settings_.pk.private_key);
    private_file(settings_.pk.previous_private_key);
  }

  // Keys, identities and decisions are the daemon's own business.
  void private_file(const Path& file) {
    if (file.empty()) return;
    struct stat info{};
    if (::stat(file.c_str(), &info) != 0) {
      if (file == settings_.replay_file) {
        return warn("file", fmt::format("{} is missing", file.string()),
                    "messages are refused for the clock skew after the next start; start the KMS "
                    "and wait");
      }
      if (file == settings_.audit.path) return;  // the KMS makes it
      return fault(
          "file",
          Error(Category::not_found, fmt::format("{}: {}", file.string(), errno_text(errno))),
          "correct the path in the configuration, or put the file back");
    }
    if ((info.st_mode & 077U) != 0) {
      return fault("file",
                   Error(Category::denied, fmt::format("others may read or write {} (mode {:03o})",
                                                       file.string(), info.st_mode & 0777U)),
                   fmt::format("chmod 600 {}", file.string()));
    }
    fine("file", file.string());
  }

  // The KEK that keys are to open under; null: there is none.
  const Kek* kek() {
    configured_kek_ = open_kek(settings_.kek);
    if (!*configured_kek_) {
      fault("kek", configured_kek_->error(),
            "correct [kek] or [kek_next]: no key in the database opens without its KEK");
      return in_use_;
    }
    const Kek& configured = **configured_kek_;
    if (in_use_ != nullptr && !in_use_->same_current(configured)) {
      warn("kek", "[kek] as it was at the start does not give the KEK in use any more",
           "after a kek rewrap: make [kek_next] the table [kek], if that is not done yet; without "
           "one: put the right KEK back, or the KMS does not start anew");
    } else {
      fine("kek", "it can be read");
    }
    return in_use_ != nullptr ? in_use_ : &configured;
  }

  void database() {
    const Kek* const opener = kek();
    if (opener == nullptr) return;
    const auto summary = verify_database(settings_.database, *opener);
    if (!summary) {
      const bool wrong_kek = summary.error().category() == Category::denied;
      return fault("database", summary.error(),
                   wrong_kek ? "put the right KEK in [kek]"
                             : "stop the KMS and restore a copy: kms-server backup restore");
    }
    fine("database", fmt::format("{}: sound, its KEK, schema {}, {} identities, {} PSKs, {} TPKs",
                                 settings_.database.string(), summary->schema, summary->identities,
                                 summary->psks, summary->tpks));
  }

  void tls(const std::string& port, const TlsFiles& files) {
    for (const Path& file : {files.certificate, files.client_ca}) certificate(port, file);
    key_of_certificate(port, files);
    if (!files.client_crl.empty()) revocation_list(port, files.client_crl);
  }

  // Null if there is none.
  static OpenSslPtr<X509> read_certificate(const Path& file) {
    const OpenSslPtr<BIO> pem(BIO_new_file(file.c_str(), "r"));
    OpenSslPtr<X509> one(pem == nullptr ? nullptr
                                        : PEM_read_bio_X509(pem.get(), nullptr, nullptr, nullptr));
    if (one == nullptr) ERR_clear_error();
    return one;
  }

  void certificate(const std::string& port, const Path& file) {
    const OpenSslPtr<X509> one = read_certificate(file);
    if (one == nullptr) {
      return fault("certificate",
                   Error(Category::malformed,
                         fmt::format("{} ({}) holds no certificate", file.string(), port)),
                   "put a PEM file there");
    }
    const std::string name = fmt::format("{} ({})", file.string(), port);
    if (days_until(X509_get0_notBefore(one.get())) > 0) {
      return fault("certificate", Error(Category::expired, name + " is not valid yet"),
                   "check the clock, or wait");
    }
    expiry("certificate", name, X509_get0_notAfter(one.get()),
           "renew it; the KMS takes up the new file without a restart");
  }

  // What certificate() cannot see of it: the key, and whether the two belong together.
  void key_of_certificate(const std::string& port, const TlsFiles& files) {
    if (read_certificate(files.certificate) == nullptr) return;
    const auto pair = pki::KeyPair::read(files.certificate, files.private_key);
    if (pair) return;
    Error error = pair.error();
    fault("certificate", std::move(error).with_context(port),
          "put the two there that belong together: a KMS that runs keeps what it read before, and "
          "does not start anew");
  }

  void revocation_list(const std::string& port, const Path& file) {
    const OpenSslPtr<BIO> bio(BIO_new_file(file.c_str(), "r"));
    const OpenSslPtr<X509_CRL> list(
        bio == nullptr ? nullptr : PEM_read_bio_X509_CRL(bio.get(), nullptr, nullptr, nullptr));
    if (list == nullptr || X509_CRL_get0_nextUpdate(list.get()) == nullptr) {
      ERR_clear_error();
      return fault("revocation list",
                   Error(Category::malformed,
                         fmt::format("{} ({}) holds no list with an end", file.string(), port)),
                   "put the CA's newest list there, in PEM");
    }
    const int days = days_until(X509_CRL_get0_nextUpdate(list.get()));
    const std::string name = fmt::format("{} ({})", file.string(), port);
    if (days < 0) {
      return fault("revocation list", Error(Category::expired, name + " is out of date"),
                   "fetch the CA's newest list: until then none of its certificates is accepted");
    }
    fine("revocation list", fmt::format("{}: current for {} days", name, days));
  }

  // [pk]: the files can be used together, and are current.
  void public_key() {
    const PkSettings& pk = settings_.pk;
    const auto material = PkMaterial::load(pk);
    if (!material) {
      return fault(
          "pk", material.error(),
          "put it right: a KMS that runs keeps what it read before, and does not start anew");
    }
    if (!(*material)->certificate().names(settings_.identity)) {
      warn("pk",
           fmt::format("{} does not name {}", pk.certificate.string(), settings_.identity.data),
           "put it into the subjectAltName: clients that validate the certificate refuse it");
    }
    for (const Path& file : {pk.certificate, pk.previous_certificate, pk.trust_anchors}) {
      if (!file.empty()) certificate("pk", file);
    }
    if (!pk.crl.empty()) return revocation_list("pk", pk.crl);
    if (!pk.trust_anchors.empty()) {
      warn("pk", "revocation is not looked at: pk.crl is empty",
           "put the lists of the trust anchors there, or suspend identities");
    }
  }

  void expiry(const std::string& check, const std::string& name, const ASN1_TIME* end,
              const std::string& advice) {
    const int days = days_until(end);
    if (days < 0) return fault(check, Error(Category::expired, name + " has expired"), advice);
    if (days < kExpiresSoonDays) {
      return warn(check, fmt::format("{} expires in {} days", name, days), advice);
    }
    fine(check, fmt::format("{}: {} days left", name, days));
  }

  // Whole days from now, negative when it is over.
  int days_until(const ASN1_TIME* time) const {
    const OpenSslPtr<ASN1_TIME> now(
        ASN1_TIME_set(nullptr, std::chrono::system_clock::to_time_t(clock_.now())));
    int days = 0;
    int seconds = 0;
    if (now == nullptr || ASN1_TIME_diff(&days, &seconds, now.get(), time) != 1) return -1;
    return days - (days == 0 && seconds < 0 ? 1 : 0);
  }

  void time() {
    timex state{};
    const int told = ::adjtimex(&state);
    if (told < 0) {
      return warn("clock", "the kernel does not tell whether the clock is synchronised",
                  "permit the system call adjtimex, or ask on the machine itself");
    }
    if (told == TIME_ERROR || (state.status & STA_UNSYNC) != 0) {
      return warn(
          "clock", "the kernel says that the clock is not synchronised",
          fmt::format("run an NTP client: messages more than {} s off are refused",
                      std::chrono::ceil<std::chrono::seconds>(settings_.clock_skew).count()));
    }
    fine("clock", "synchronised");
  }

  void space(const Path& folder) {
    if (std::ranges::find(looked_at_, folder) != looked_at_.end()) return;
    looked_at_.push_back(folder);
    struct statvfs info{};
    if (::statvfs(folder.c_str(), &info) != 0) {
      return fault(
          "disk",
          Error(Category::unavailable, fmt::format("{}: {}", folder.string(), errno_text(errno))),
          "is the file system mounted?");
    }
    const std::uint64_t octets = std::uint64_t{info.f_bavail} * info.f_frsize;
    const std::string text = fmt::format("{}: {} MiB free", folder.string(), octets >> 20);
    constexpr const char* kAdvice = "make room: move rotated audit files (FILE.N) away";
    if ((info.f_flag & ST_RDONLY) != 0) {
      return fault("disk", Error(Category::unavailable, folder.string() + " is read-only"),
                   "see the kernel's log, and mount it for writing");
    }
    if (octets < kNoSpace) return fault("disk", Error(Category::unavailable, text), kAdvice);
    if (octets < kLittleSpace) return warn("disk", text, kAdvice);
    fine("disk", text);
  }

  void audit() {
    const Path& path = settings_.audit.path;
    std::ifstream file(path, std::ios::binary);
    if (!file) return fine("audit", path.string() + ": not begun yet");
    service::AuditVerifier verifier;
    std::string line;
    while (std::getline(file, line) && !file.eof()) {  // a line without its end is being written
      if (const auto good = verifier.add(line); !good) {
        return fault(
            "audit",
            Error(good.error())
                .with_context(fmt::format("{}, line {}", path.string(), verifier.lines() + 1)),
            "somebody changed it, or the disk did: keep the file and find out");
      }
    }
    fine("audit", fmt::format("{}: {} lines, the chain is whole", path.string(), verifier.lines()));
  }

  const Settings& settings_;
  const Clock& clock_;
  const Kek* const in_use_;
  std::optional<Result<Kek>> configured_kek_;
  std::vector<Finding> findings_;
  std::vector<Path> looked_at_;
};

}  // namespace

std::vector<Finding> examine(const Settings& settings, const Clock& clock, const Kek* in_use) {
  return Examination(settings, clock, in_use).run();
}

std::optional<Category> worst(const std::vector<Finding>& findings) {
  const auto found = std::ranges::find(findings, Level::fault, &Finding::level);
  if (found == findings.end()) return std::nullopt;
  return found->category;
}

}  // namespace keystub::kms
