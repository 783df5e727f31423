#include "pki/tls_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <utility>

namespace keystub::pki {
namespace {

// A file that changes twice within one tick of the kernel's clock has the same stamp both times.
constexpr std::chrono::seconds kSettled{2};

}  // namespace

Result<std::shared_ptr<TlsFiles>> TlsFiles::open(Paths paths, std::chrono::milliseconds interval,
                                                 const Clock& clock) {
  std::shared_ptr<TlsFiles> files(new TlsFiles(std::move(paths), clock));
  const std::lock_guard lock(files->mutex_);
  files->changed();
  TRY(files->read_pair());
  TRY(files->read_authorities());
  files->thread_ = std::thread([files = files.get(), interval] { files->run(interval); });
  return files;
}

TlsFiles::~TlsFiles() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void TlsFiles::run(std::chrono::milliseconds interval) {
  std::unique_lock lock(mutex_);
  while (!stop_.wait_for(lock, interval, [this] { return stopping_; })) look();
}

std::shared_ptr<const RevocationLists> TlsFiles::lists() {
  const std::lock_guard lock(mutex_);
  look();
  return lists_;
}

TlsFiles::Report TlsFiles::report() const {
  const std::lock_guard lock(mutex_);
  return report_;
}

Result<void> TlsFiles::read_pair() {
  KeyPair fresh = TRY(KeyPair::read(paths_.certificate, paths_.private_key));
  if (pair_ == fresh) return {};
  const auto parts = {fresh.private_key.reveal(), as_bytes("\n"), fresh.certificates.reveal()};
  if (pair_file_) {
    TRY(pair_file_->replace(parts));
  } else {
    pair_file_.emplace(TRY(MemoryFile::make(parts)));
  }
  report_.not_after = fresh.not_after;
  pair_ = std::move(fresh);
  return {};
}

Result<void> TlsFiles::read_authorities() {
  if (!paths_.ca) return {};
  std::string fresh = TRY(pki::read_authorities(*paths_.ca));
  std::shared_ptr<const RevocationLists> lists;
  if (paths_.crl) lists = TRY(RevocationLists::read(*paths_.crl, *paths_.ca));
  if (!ca_file_) {
    ca_file_.emplace(TRY(MemoryFile::make({as_bytes(fresh)})));
  } else if (fresh != ca_) {
    TRY(ca_file_->replace({as_bytes(fresh)}));
  }
  ca_ = std::move(fresh);
  lists_ = std::move(lists);
  return {};
}

TlsFiles::Stamp TlsFiles::stamp_of(const std::filesystem::path& file) {
  struct stat info{};
  if (::stat(file.c_str(), &info) != 0) return {};
  return {info.st_ino, info.st_size,
          WallTime(std::chrono::seconds(info.st_mtim.tv_sec) +
                   std::chrono::nanoseconds(info.st_mtim.tv_nsec))};
}

// Whether they are to be read (again).
bool TlsFiles::changed() {
  std::vector<Stamp> stamps = {stamp_of(paths_.certificate), stamp_of(paths_.private_key)};
  for (const auto& file : {paths_.ca, paths_.crl}) {
    if (file) stamps.push_back(stamp_of(*file));
  }
  const bool changed = stamps != stamps_ || !settled_;
  settled_ = std::ranges::all_of(stamps, [before = clock_.now() - kSettled](const Stamp& stamp) {
    return stamp.modified < before;
  });
  stamps_ = std::move(stamps);
  return changed;
}

void TlsFiles::look() {
  const std::vector<Stamp> before = stamps_;
  if (!changed()) return;
  // Each for itself: a wrong list does not keep a renewed certificate out.
  const std::array results = {read_pair(), read_authorities()};
  std::string unusable;
  for (const Result<void>& result : results) {
    if (result) continue;
    if (!unusable.empty()) unusable += "; ";
    unusable += result.error().text();
  }
  const bool news = stamps_ != before || unusable != report_.unusable;
  if (news && unusable.empty()) ++report_.taken_up;
  report_.unusable = std::move(unusable);
}

}  // namespace keystub::pki
