#include "pki/memory_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

namespace keystub::pki {
namespace {

std::unexpected<Error> failure(const char* what) {
  return fail(Category::unavailable, std::string("a file in memory cannot be made: ") + what +
                                         ": " + std::strerror(errno));
}

bool write_all(int fd, Bytes octets) {
  while (!octets.empty()) {
    const auto put = ::write(fd, octets.data(), octets.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    octets = octets.subspan(static_cast<std::size_t>(put));
  }
  return true;
}

// Seconds, each given once.
std::time_t next_time() {
  static std::atomic<std::time_t> last{0};
  return ++last;
}

// A descriptor, for the caller to close.
Result<int> filled(std::initializer_list<Bytes> parts) {
  const int fd = ::memfd_create("keystub-tls", MFD_CLOEXEC);
  if (fd < 0) return failure("memfd_create");
  const std::time_t time = next_time();
  const timespec times[2] = {{time, 0}, {time, 0}};
  bool good = ::fchmod(fd, S_IRUSR | S_IWUSR) == 0;
  for (const Bytes part : parts) good = good && write_all(fd, part);
  if (!good || ::futimens(fd, times) != 0) {
    auto error = failure("write");
    ::close(fd);
    return error;
  }
  return fd;
}

}  // namespace

MemoryFile::MemoryFile(int fd) : fd_(fd), path_("/proc/self/fd/" + std::to_string(fd)) {}

MemoryFile::MemoryFile(MemoryFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

MemoryFile::~MemoryFile() {
  if (fd_ >= 0) ::close(fd_);
}

Result<MemoryFile> MemoryFile::make(std::initializer_list<Bytes> parts) {
  MemoryFile file(TRY(filled(parts)));
  if (::access(file.path_.c_str(), R_OK) != 0) return failure(file.path_.c_str());
  return file;
}

Result<void> MemoryFile::replace(std::initializer_list<Bytes> parts) {
  const int fresh = TRY(filled(parts));
  const bool put = ::dup3(fresh, fd_, O_CLOEXEC) >= 0;
  auto result = put ? Result<void>() : Result<void>(failure("dup3"));
  ::close(fresh);
  return result;
}

}  // namespace keystub::pki
