#include "mikey/cli/key_file.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "mikey/cli/input.h"

namespace keystub::mikey::cli {
namespace {

std::unexpected<Error> wrong_line(std::size_t number, std::string_view what) {
  return fail(Category::malformed, fmt::format("line {} of the keys: {}", number, what));
}

std::string_view next_word(std::string_view& line) {
  const std::size_t begin = std::min(line.find_first_not_of(" \t\r"), line.size());
  const std::size_t end = std::min(line.find_first_of(" \t\r", begin), line.size());
  const std::string_view word = line.substr(begin, end - begin);
  line.remove_prefix(end);
  return word;
}

// One line into its place.
Result<void> read_line(KeyRing& ring, std::string_view line, std::size_t number) {
  const std::string_view name = next_word(line);
  if (name.empty() || name.starts_with('#')) return {};
  const std::string_view value = next_word(line);
  if (value.empty() || !next_word(line).empty()) {
    return wrong_line(number, "a name and one value, separated by a blank, are expected");
  }
  struct Text {
    std::string_view name;
    std::optional<std::string>& place;
  };
  for (const Text& text :
       {Text{"idri", ring.idr_i}, Text{"idrr", ring.idr_r}, Text{"idrkms", ring.idr_kms}}) {
    if (name == text.name) {
      text.place = std::string(value);
      return {};
    }
  }
  auto octets = from_hex(value);
  if (!octets || octets->empty()) return wrong_line(number, "the key is not given in hex");
  const Secret<struct GivenKeyTag> key(*octets);
  wipe(*octets);
  const auto put = [&](auto& place) -> Result<void> {
    if (!place.empty()) return wrong_line(number, "a second key of this name");
    place = std::remove_reference_t<decltype(place)>(key.reveal());
    return {};
  };
  if (name == "psk") return put(ring.psk);
  if (name == "envelope") return put(ring.envelope);
  if (name == "mpk") return put(ring.mpk);
  if (name == "mpki") return put(ring.mpki);
  if (name == "mpkr") return put(ring.mpkr);
  if (name == "mpkr'") return put(ring.mpkr_forked);
  if (name == "tpk") return put(ring.tpk);
  return wrong_line(number,
                    "the names are psk, envelope, mpk, mpki, mpkr, mpkr', tpk, idri, idrr and "
                    "idrkms");
}

}  // namespace

Result<KeyRing> read_key_file(const std::string& path) {
  struct stat status{};
  if (path != "-" && stat(path.c_str(), &status) == 0 && (status.st_mode & 077) != 0) {
    return fail(Category::denied,
                fmt::format("{} can be read by others than its owner; chmod 600 {}", path, path));
  }
  std::string content = TRY(read_input(path));
  KeyRing ring;
  std::string_view rest = content;
  Result<void> result;
  for (std::size_t number = 1; result && !rest.empty(); ++number) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    result = read_line(ring, rest.substr(0, end), number);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  wipe({reinterpret_cast<std::uint8_t*>(content.data()), content.size()});
  if (!result) return std::unexpected(std::move(result).error());
  return ring;
}

}  // namespace keystub::mikey::cli
