#include "kms-client/kmsctl/record_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace keystub::kmsctl {
namespace {

std::string why() { return std::generic_category().message(errno); }

std::int64_t changed_ns(const struct stat& info) {
  return std::int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
}

}  // namespace

Result<RecordFile> RecordFile::open(const std::string& path) {
  const bool standard_input = path == "-";
  RecordFile file(
      standard_input ? "standard input" : path,
      standard_input ? ::dup(STDIN_FILENO) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info{};
  if (file.descriptor_ < 0 || ::fstat(file.descriptor_, &info) != 0) {
    return fail(errno == ENOENT ? Category::not_found : Category::unavailable,
                fmt::format("{} cannot be opened: {}", file.name_, why()));
  }
  if (S_ISDIR(info.st_mode)) {
    return fail(Category::malformed, fmt::format("{} is a folder", file.name_));
  }
  file.regular_ = !standard_input && S_ISREG(info.st_mode);
  file.open_to_others_ = file.regular_ && (info.st_mode & (S_IRWXG | S_IRWXO)) != 0;
  file.size_ = info.st_size;
  file.changed_ns_ = changed_ns(info);
  return file;
}

RecordFile::RecordFile(RecordFile&& other) noexcept
    : name_(std::move(other.name_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      regular_(other.regular_),
      open_to_others_(other.open_to_others_),
      size_(other.size_),
      changed_ns_(other.changed_ns_) {}

RecordFile::~RecordFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

RecordSource RecordFile::source(Sha256* digest) {
  return [this, digest](MutableBytes memory) -> Result<std::size_t> {
    for (;;) {
      const auto got = ::read(descriptor_, memory.data(), memory.size());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) {
        return fail(Category::unavailable, fmt::format("{} cannot be read: {}", name_, why()));
      }
      const auto octets = static_cast<std::size_t>(got);
      if (digest != nullptr) digest->update(memory.first(octets));
      return octets;
    }
  };
}

Result<void> RecordFile::rewind() {
  if (::lseek(descriptor_, 0, SEEK_SET) != 0) {
    return fail(Category::unavailable, fmt::format("{} cannot be read again: {}", name_, why()));
  }
  return check_unchanged();
}

Result<void> RecordFile::check_unchanged() const {
  struct stat info{};
  if (!regular_ || (::fstat(descriptor_, &info) == 0 && info.st_size == size_ &&
                    changed_ns(info) == changed_ns_)) {
    return {};
  }
  return fail(Category::conflict,
              fmt::format("{} was changed while it was read: leave it alone and run the import "
                          "again",
                          name_));
}

}  // namespace keystub::kmsctl
