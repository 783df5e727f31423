// SDP documents in and out.
#include "ue-agent/document_io.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <cstring>
#include <thread>

#include "ue-agent/file_descriptor.h"

namespace keystub::ue {

namespace {

constexpr std::chrono::milliseconds kLookInterval{20};

std::unexpected<Error> late(const std::filesystem::path& path, std::string_view what) {
  return fail(Category::unavailable,
              std::string(what) + " " + path.string() + ": the time is over (--timeout)");
}

std::unexpected<Error> system_fault(const std::filesystem::path& path, std::string_view what) {
  return fail(Category::unavailable,
              std::string(what) + " " + path.string() + ": " + std::strerror(errno));
}

// Up to the end, without blocking longer than `deadline`.
Result<std::string> read_to_end(int descriptor, const std::filesystem::path& path,
                                const Clock& clock, SteadyTime deadline) {
  std::string text;
  std::array<char, 4096> buffer;
  for (;;) {
    if (wait_for(descriptor, POLLIN, clock, deadline) == 0) return late(path, "reading");
    const auto count = ::read(descriptor, buffer.data(), buffer.size());
    if (count == 0) return text;
    if (count < 0 && errno != EINTR && errno != EAGAIN) return system_fault(path, "cannot read");
    if (count > 0) text.append(buffer.data(), static_cast<std::size_t>(count));
    if (text.size() > kMaxDocumentOctets) {
      return fail(Category::malformed, path.string() + " is longer than an SDP may be (" +
                                           std::to_string(kMaxDocumentOctets) + " octets)");
    }
  }
}

Result<void> write_all(int descriptor, std::string_view text, const std::filesystem::path& path,
                       const Clock& clock, SteadyTime deadline) {
  while (!text.empty()) {
    if (wait_for(descriptor, POLLOUT, clock, deadline) == 0) return late(path, "writing");
    const auto count = ::write(descriptor, text.data(), text.size());
    if (count < 0 && errno != EINTR && errno != EAGAIN) return system_fault(path, "cannot write");
    if (count > 0) text.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

bool is_named_pipe(const std::filesystem::path& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 && S_ISFIFO(status.st_mode);
}

}  // namespace

Result<std::string> read_document(const std::filesystem::path& path, const Clock& clock,
                                  SteadyTime deadline) {
  if (path == "-") return read_to_end(STDIN_FILENO, path, clock, deadline);
  for (;;) {
    // O_NONBLOCK: opening a FIFO must not wait for its writer longer than the deadline.
    const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    if (file.valid()) {
      auto text = TRY(read_to_end(file.get(), path, clock, deadline));
      if (!text.empty()) return text;
    } else if (errno != ENOENT) {
      return system_fault(path, "cannot open");
    }
    if (clock.steady_now() >= deadline) return late(path, "waiting for");
    std::this_thread::sleep_for(kLookInterval);
  }
}

Result<void> write_document(const std::filesystem::path& path, std::string_view text,
                            const Clock& clock, SteadyTime deadline) {
  if (path == "-") return write_all(STDOUT_FILENO, text, path, clock, deadline);
  if (is_named_pipe(path)) {
    for (;;) {
      const FileDescriptor fifo(::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
      if (fifo.valid()) return write_all(fifo.get(), text, path, clock, deadline);
      if (errno != ENXIO) return system_fault(path, "cannot open");
      if (clock.steady_now() >= deadline) return late(path, "waiting for a reader of");
      std::this_thread::sleep_for(kLookInterval);
    }
  }
  std::filesystem::path unfinished = path;
  unfinished += ".part";
  {
    const FileDescriptor file(
        ::open(unfinished.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!file.valid()) return system_fault(unfinished, "cannot create");
    TRY(write_all(file.get(), text, unfinished, clock, deadline));
  }
  if (::rename(unfinished.c_str(), path.c_str()) != 0) return system_fault(path, "cannot create");
  return {};
}

}  // namespace keystub::ue
