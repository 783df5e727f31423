// TlsFiles: the PEM files of a TLS port, looked at again and again. What changed is taken up when
// it fits together; until then what was read before stays in force, so that a pair that is half
// replaced, or a wrong file, ends no service.
//
// gRPC watches files too, but takes up whatever is there: with a key that does not belong to its
// certificate it refuses every connection. So it is given files in memory, with what is in force.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "pki/key_pair.h"
#include "pki/memory_file.h"
#include "pki/revocation_lists.h"

namespace keystub::pki {

// Threads: safe from several threads.
class TlsFiles {
 public:
  struct Paths {
    std::filesystem::path certificate;  // its own, then its chain
    std::filesystem::path private_key;
    std::optional<std::filesystem::path> ca;   // none: the peers' certificates are not asked for
    std::optional<std::filesystem::path> crl;  // lists of that CA; none: not looked at
  };
  struct Report {
    std::string unusable;        // why what lies in the files is not in force; empty: it is
    std::uint64_t taken_up = 0;  // how often files that had changed were
    WallTime not_after;          // of the certificate in force
  };

  // Reads them, and looks at them each `interval` from then on, on a thread of its own. Errors:
  // not_found, malformed (pki::KeyPair::read() and its neighbours), unavailable (MemoryFile).
  // `clock` must outlive it.
  static Result<std::shared_ptr<TlsFiles>> open(Paths paths, std::chrono::milliseconds interval,
                                                const Clock& clock);
  ~TlsFiles();
  TlsFiles(const TlsFiles&) = delete;
  TlsFiles& operator=(const TlsFiles&) = delete;

  // Where what is in force can be read, by this process: the private key and then the certificates;
  // the CA (empty: there is none). The paths stay the same.
  const std::string& pair_path() const noexcept { return pair_file_->path(); }
  std::string ca_path() const { return ca_file_ ? ca_file_->path() : std::string(); }

  // As they are now: the files are looked at first. Null: there are none.
  std::shared_ptr<const RevocationLists> lists();

  Report report() const;

 private:
  // By which a file that changed is known.
  struct Stamp {
    std::uint64_t inode = 0;
    std::int64_t size = -1;
    WallTime modified;

    bool operator==(const Stamp&) const = default;
  };

  TlsFiles(Paths paths, const Clock& clock) : paths_(std::move(paths)), clock_(clock) {}

  // All under the mutex.
  Result<void> read_pair();
  Result<void> read_authorities();
  void look();
  bool changed();
  static Stamp stamp_of(const std::filesystem::path& file);
  void run(std::chrono::milliseconds interval);

  const Paths paths_;
  const Clock& clock_;

  mutable std::mutex mutex_;
  std::vector<Stamp> stamps_;  // of the files when they were read, well or not
  bool settled_ = false;       // they tell every change from now on
  std::optional<KeyPair> pair_;
  std::optional<MemoryFile> pair_file_;
  std::string ca_;
  std::optional<MemoryFile> ca_file_;
  std::shared_ptr<const RevocationLists> lists_;
  Report report_;

  std::condition_variable stop_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace keystub::pki
