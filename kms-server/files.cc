#include "kms-server/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace keystub::kms {

void FileDescriptor::reset(int fd) noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

std::string errno_text(int error_number) { return std::generic_category().message(error_number); }

Result<void> write_all(int fd, Bytes data) {
  while (!data.empty()) {
    const ssize_t written = ::write(fd, data.data(), data.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return fail(Category::unavailable, fmt::format("write: {}", errno_text(errno)));
    }
    data = data.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Result<void> create_private_file(const std::filesystem::path& path, Bytes contents) {
  FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file.is_open()) {
    const int error_number = errno;
    return fail(error_number == EEXIST ? Category::conflict : Category::unavailable,
                fmt::format("cannot create {}: {}", path.string(), errno_text(error_number)));
  }
  if (auto written = write_all(file.get(), contents); !written) {
    return std::unexpected(std::move(written).error().with_context(path.string()));
  }
  if (::fsync(file.get()) != 0) {
    return fail(Category::unavailable,
                fmt::format("cannot sync {}: {}", path.string(), errno_text(errno)));
  }
  return sync_folder(path.has_parent_path() ? path.parent_path() : ".");
}

std::filesystem::path unused_name(const std::filesystem::path& wanted) {
  std::filesystem::path name = wanted;
  std::error_code ignored;
  for (int number = 2; std::filesystem::exists(name, ignored); ++number) {
    name = fmt::format("{}-{}", wanted.string(), number);
  }
  return name;
}

Result<void> sync_file(const std::filesystem::path& file) {
  const FileDescriptor open(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!open.is_open() || ::fsync(open.get()) != 0) {
    return fail(Category::unavailable,
                fmt::format("cannot sync {}: {}", file.string(), errno_text(errno)));
  }
  return {};
}

Result<void> sync_folder(const std::filesystem::path& folder) {
  FileDescriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.is_open() || ::fsync(directory.get()) != 0) {
    return fail(Category::unavailable,
                fmt::format("cannot sync folder {}: {}", folder.string(), errno_text(errno)));
  }
  return {};
}

}  // namespace keystub::kms
