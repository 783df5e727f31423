#include "service/audit_chain.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/sha256.h"

namespace keystub::service {
namespace {

constexpr std::string_view kSeq = "{\"seq\":";
constexpr std::string_view kPrevious = ",\"previous\":\"";
constexpr std::string_view kChain = ",\"chain\":\"";
constexpr std::string_view kEnd = "\"}";
constexpr std::size_t kHexDigits = 64;

Result<ChainDigest> digest_of(const ChainDigest& before, std::string_view line) {
  return sha256({before, as_bytes(line)});
}

std::optional<ChainDigest> parse_digest(std::string_view hex) {
  const auto octets = from_hex(hex);
  if (!octets || octets->size() != ChainDigest().size()) return std::nullopt;
  ChainDigest digest;
  std::ranges::copy(*octets, digest.begin());
  return digest;
}

// The parts of a chained line.
struct ChainedLine {
  std::uint64_t seq = 0;
  std::optional<ChainDigest> previous;
  std::string_view covered;  // up to the chain field
  ChainDigest chain{};
};

std::optional<ChainedLine> parse_line(std::string_view line) {
  ChainedLine parsed;
  const std::size_t tail = kChain.size() + kHexDigits + kEnd.size();
  if (!line.starts_with(kSeq) || !line.ends_with(kEnd) || line.size() < kSeq.size() + tail) {
    return std::nullopt;
  }
  parsed.covered = line.substr(0, line.size() - tail);
  const std::string_view chain = line.substr(parsed.covered.size());
  const auto digest = parse_digest(chain.substr(kChain.size(), kHexDigits));
  if (!chain.starts_with(kChain) || !digest) return std::nullopt;
  parsed.chain = *digest;

  const char* const end = parsed.covered.data() + parsed.covered.size();
  const auto [after, error] = std::from_chars(parsed.covered.data() + kSeq.size(), end, parsed.seq);
  if (error != std::errc()) return std::nullopt;
  const std::string_view rest(after, static_cast<std::size_t>(end - after));
  if (rest.starts_with(kPrevious)) {
    parsed.previous = parse_digest(rest.substr(kPrevious.size(), kHexDigits));
    if (!parsed.previous) return std::nullopt;
  }
  return parsed;
}

}  // namespace

Result<AuditChain> AuditChain::after(std::string_view last_line) {
  const auto parsed = parse_line(last_line);
  if (!parsed) {
    return fail(Category::conflict,
                "the last line is not one of a hash chain: move the file away and keep it; a new "
                "one is begun");
  }
  AuditChain chain;
  chain.digest_ = parsed->chain;
  chain.next_ = parsed->seq + 1;
  return chain;
}

Result<std::string> AuditChain::link(std::string_view record) {
  std::string line;
  line.reserve(record.size() + 2 * kHexDigits + 64);
  line.append(kSeq).append(std::to_string(next_));
  if (begins_file_) line.append(kPrevious).append(to_hex(digest_)).append("\"");
  // The record without its braces.
  if (record.size() > 2) line.append(",").append(record.substr(1, record.size() - 2));
  const ChainDigest digest = TRY(digest_of(digest_, line));
  line.append(kChain).append(to_hex(digest)).append(kEnd).append("\n");
  digest_ = digest;
  ++next_;
  begins_file_ = false;
  return line;
}

Result<void> AuditVerifier::add(std::string_view line) {
  const auto parsed = parse_line(line);
  if (!parsed) return fail(Category::conflict, "not a line of a hash chain");
  const bool first = lines_ == 0;
  if (first && parsed->seq != 0 && !parsed->previous) {
    return fail(Category::conflict, "the log starts with line " + std::to_string(parsed->seq) +
                                        ": the lines before it are missing");
  }
  if (!first && parsed->seq != next_) {
    return fail(Category::conflict, "line " + std::to_string(parsed->seq) + " stands where line " +
                                        std::to_string(next_) + " belongs");
  }
  if (first && parsed->previous) digest_ = *parsed->previous;
  if (!first && parsed->previous && *parsed->previous != digest_) {
    return fail(Category::conflict, "it does not go on from the line before it");
  }
  if (TRY(digest_of(digest_, parsed->covered)) != parsed->chain) {
    return fail(Category::conflict,
                "its digest does not fit: it, or the line before it, was changed");
  }
  digest_ = parsed->chain;
  next_ = parsed->seq + 1;
  ++lines_;
  return {};
}

std::string AuditVerifier::digest() const { return to_hex(digest_); }

}  // namespace keystub::service
