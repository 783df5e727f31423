#include "kms-server/audit_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace keystub::kms {
namespace {

constexpr std::uint64_t kTailBlock = 64 * 1024;

// The last whole line of a file, and where it ends; empty and 0: there is none.
struct LastLine {
  std::string text;
  std::uint64_t end = 0;
};

Result<LastLine> last_line(int file, std::uint64_t size, const std::filesystem::path& path) {
  // Read backwards until its beginning is in sight.
  std::string tail;
  for (std::uint64_t wanted = kTailBlock;; wanted *= 2) {
    tail.resize(std::min(wanted, size));
    const ssize_t got =
        ::pread(file, tail.data(), tail.size(), static_cast<off_t>(size - tail.size()));
    if (got < 0 || static_cast<std::size_t>(got) != tail.size()) {
      return fail(Category::unavailable, fmt::format("cannot read the audit file {}: {}",
                                                     path.string(), errno_text(errno)));
    }
    const bool all = tail.size() == size;
    const std::size_t end = tail.rfind('\n');
    if (end == std::string::npos) {
      if (all) return LastLine();
      continue;
    }
    const std::size_t before = end == 0 ? std::string::npos : tail.rfind('\n', end - 1);
    if (before == std::string::npos && !all) continue;
    const std::size_t begin = before == std::string::npos ? 0 : before + 1;
    return LastLine{tail.substr(begin, end - begin), size - tail.size() + end + 1};
  }
}

// PATH.N, or PATH.N.K where that name was taken.
bool is_rotated(const std::filesystem::path& file, const std::filesystem::path& path) {
  const std::string name = file.filename().string();
  const std::string stem = path.filename().string() + ".";
  return name.starts_with(stem) && name.size() > stem.size() &&
         name.find_first_not_of("0123456789.", stem.size()) == std::string::npos;
}

}  // namespace

Result<AuditFile> AuditFile::open(std::filesystem::path path, std::uint64_t max_size) {
  AuditFile file(std::move(path), max_size);
  TRY(file.open_file());
  // A kill between the two steps of a rotation leaves no file, or an empty one.
  if (file.begins_log()) file.go_on_from_rotated();
  return file;
}

void AuditFile::go_on_from_rotated() {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder_of(path_), error)) {
    if (!is_rotated(entry.path(), path_)) continue;
    const FileDescriptor file(::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status{};
    if (!file.is_open() || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    const auto line =
        last_line(file.get(), static_cast<std::uint64_t>(status.st_size), entry.path());
    if (!line) continue;
    const auto chain = service::AuditChain::after(line->text);
    if (chain && chain->next() > chain_.next()) chain_ = *chain;
  }
  chain_.begin_file();
}

Result<void> AuditFile::open_file() {
  FileDescriptor file(::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  struct stat status{};
  if (!file.is_open() || ::fstat(file.get(), &status) != 0) {
    return fail(Category::unavailable, fmt::format("cannot open the audit file {}: {}",
                                                   path_.string(), errno_text(errno)));
  }
  file_ = std::move(file);
  device_ = status.st_dev;
  inode_ = status.st_ino;
  size_ = static_cast<std::uint64_t>(status.st_size);
  if (size_ == 0) {
    chain_.begin_file();
    return {};
  }
  return read_end();
}

Result<void> AuditFile::read_end() {
  const LastLine last = TRY(last_line(file_.get(), size_, path_));
  if (last.end == 0) return cut_off_after(0);
  auto chain = service::AuditChain::after(last.text);
  if (!chain) {
    return std::unexpected(
        std::move(chain).error().with_context(fmt::format("the audit file {}", path_.string())));
  }
  chain_ = *chain;
  return cut_off_after(last.end);
}

Result<void> AuditFile::cut_off_after(std::uint64_t size) {
  if (size == 0) chain_.begin_file();
  if (size == size_) return {};
  if (::ftruncate(file_.get(), static_cast<off_t>(size)) != 0) {
    return fail(Category::unavailable, fmt::format("cannot shorten the audit file {}: {}",
                                                   path_.string(), errno_text(errno)));
  }
  size_ = size;
  return {};
}

Result<void> AuditFile::reopen_if_moved() {
  struct stat status{};
  if (::stat(path_.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_) {
    return {};
  }
  return open_file();
}

Result<void> AuditFile::rotate_if_full() {
  if (max_size_ == 0 || size_ < max_size_) return {};
  const std::string name = fmt::format("{}.{}", path_.string(), chain_.next() - 1);
  // A file of that name is of another log: it is not overwritten.
  std::string old = name;
  struct stat status{};
  for (int n = 1; ::lstat(old.c_str(), &status) == 0; ++n) old = fmt::format("{}.{}", name, n);
  if (::rename(path_.c_str(), old.c_str()) != 0) {
    return fail(Category::unavailable,
                fmt::format("cannot rename the audit file to {}: {}", old, errno_text(errno)));
  }
  TRY(open_file());
  return sync_folder(folder_of(path_));
}

Result<void> AuditFile::append(const std::vector<std::string>& records) {
  if (torn_ && ::ftruncate(file_.get(), static_cast<off_t>(size_)) != 0) {
    return fail(Category::unavailable, fmt::format("cannot shorten the audit file {}: {}",
                                                   path_.string(), errno_text(errno)));
  }
  torn_ = false;
  TRY(reopen_if_moved());
  TRY(rotate_if_full());
  const service::AuditChain before = chain_;
  std::string lines;
  for (const std::string& record : records) lines += TRY(chain_.link(record));
  Result<void> written = write_all(file_.get(), as_bytes(lines));
  if (written) {
    size_ += lines.size();
    return {};
  }
  chain_ = before;
  // Half a line would make the next one unreadable. A disk that is full or faulty may not let us
  // cut it off now; before the next line then.
  torn_ = ::ftruncate(file_.get(), static_cast<off_t>(size_)) != 0 && errno != EINVAL;
  return written;
}

Result<void> AuditFile::sync() {
  // EINVAL: not a file that can be synchronised, such as a pipe.
  if (::fdatasync(file_.get()) == 0 || errno == EINVAL) return {};
  return fail(Category::unavailable, fmt::format("fsync: {}", errno_text(errno)));
}

}  // namespace keystub::kms
