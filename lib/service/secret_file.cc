// Keys from and to files, see secret_file.h.
#include "service/secret_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

namespace keystub::service {
namespace {

constexpr std::size_t kMaxOctets = 8192;
// What the file may hold at most: hex of the longest key and some line ends.
constexpr std::size_t kMaxContent = 2 * kMaxOctets + 16;

class Descriptor {
 public:
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ > STDIN_FILENO) ::close(fd_);
  }
  int get() const noexcept { return fd_; }

 private:
  int fd_;
};

int hex_value(std::uint8_t c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// base's from_hex leaves its result in a plain vector; a key goes from Secret to Secret.
Result<FileSecret> decode_hex(Bytes text, const std::string& name) {
  while (!text.empty() && std::strchr(" \t\r\n", text.back()) != nullptr && text.back() != 0) {
    text = text.first(text.size() - 1);
  }
  FileSecret key(text.size() / 2);
  bool good = text.size() % 2 == 0;
  for (std::size_t i = 0; good && i < key.size(); ++i) {
    const int high = hex_value(text[2 * i]);
    const int low = hex_value(text[2 * i + 1]);
    good = high >= 0 && low >= 0;
    if (good) key.reveal_mutable()[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  if (!good) {
    return fail(
        Category::malformed,
        name + " does not hold a key in hex: an even number of hex digits and nothing else");
  }
  return key;
}

}  // namespace

Result<FileSecret> read_file_secret(const std::filesystem::path& file, SecretEncoding encoding,
                                    std::size_t min_octets, std::size_t max_octets,
                                    SecretFileMode mode) {
  const bool from_stdin = file == "-";
  const std::string name = from_stdin ? "standard input" : file.string();
  const Descriptor in(from_stdin ? STDIN_FILENO : ::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (in.get() < 0) {
    return fail(errno == ENOENT ? Category::not_found : Category::unavailable,
                "key file " + name + " cannot be opened: " + std::strerror(errno));
  }
  if (!from_stdin) {
    struct stat info{};
    if (::fstat(in.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
      return fail(Category::malformed, "key file " + name + " is not a file");
    }
    const mode_t permitted = mode == SecretFileMode::systemd_credential ? S_IRGRP : 0;
    if ((info.st_mode & (S_IRWXG | S_IRWXO) & ~permitted) != 0) {
      return fail(Category::denied, "key file " + name +
                                        " is open to its group or to others: chmod 600 it, and "
                                        "replace the key if somebody may have read it");
    }
  }
  Secret<struct ContentTag> content(kMaxContent + 1);
  std::size_t size = 0;
  while (size < content.size()) {
    const auto got =
        ::read(in.get(), content.reveal_mutable().data() + size, content.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      return fail(Category::unavailable, name + " cannot be read: " + std::strerror(errno));
    }
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  const Bytes octets = content.reveal().first(size);
  FileSecret key = encoding == SecretEncoding::hex && size <= kMaxContent
                       ? TRY(decode_hex(octets, name))
                       : FileSecret(octets);
  if (key.size() < min_octets || key.size() > max_octets) {
    return fail(Category::malformed,
                name + " holds a key of " +
                    (size > kMaxContent ? "too many" : std::to_string(key.size())) + " octets; " +
                    std::to_string(min_octets) + " to " + std::to_string(max_octets) +
                    " are needed");
  }
  return key;
}

Result<void> write_secret(const std::filesystem::path& file, SecretEncoding encoding,
                          Bytes secret_octets) {
  Secret<struct TextTag> text(encoding == SecretEncoding::hex ? 2 * secret_octets.size() + 1
                                                              : secret_octets.size());
  const MutableBytes out = text.reveal_mutable();
  if (encoding == SecretEncoding::hex) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    for (std::size_t i = 0; i < secret_octets.size(); ++i) {
      out[2 * i] = static_cast<std::uint8_t>(kDigits[secret_octets[i] >> 4]);
      out[2 * i + 1] = static_cast<std::uint8_t>(kDigits[secret_octets[i] & 15]);
    }
    out.back() = '\n';
  } else {
    std::memcpy(out.data(), secret_octets.data(), secret_octets.size());
  }
  const Descriptor target(
      ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (target.get() < 0) {
    const bool exists = errno == EEXIST;
    return fail(exists ? Category::conflict : Category::unavailable,
                "key file " + file.string() +
                    (exists ? " exists already and is not overwritten"
                            : std::string(" cannot be made: ") + std::strerror(errno)));
  }
  std::size_t written = 0;
  while (written < text.size()) {
    const auto put = ::write(target.get(), text.reveal().data() + written, text.size() - written);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) break;
    written += static_cast<std::size_t>(put);
  }
  bool durable = written == text.size() && ::fsync(target.get()) == 0;
  if (durable) {
    // The name must survive as well as the octets.
    const auto folder = file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
    const Descriptor parent(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    durable = parent.get() >= 0 && ::fsync(parent.get()) == 0;
  }
  if (!durable) {
    const std::string why = std::strerror(errno);
    ::unlink(file.c_str());
    return fail(Category::unavailable, "key file " + file.string() + " cannot be written: " + why);
  }
  return {};
}

}  // namespace keystub::service
