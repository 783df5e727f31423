// kmsctl audit verify|tail|search: reads audit files where they lie, without a KMS.
#include <algorithm>
#include <deque>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "kms-client/kmsctl/commands.h"
#include "service/audit_chain.h"

namespace keystub::kmsctl {
namespace {

// Calls `each` with every line and its number in the file, from 1.
template <class Each>
Result<void> for_each_line(const std::string& path, Each each) {
  std::ifstream file(path);
  if (!file) return fail(Category::not_found, "cannot read the audit file " + path);
  std::string line;
  for (std::uint64_t number = 1; std::getline(file, line); ++number) {
    if (auto done = each(line, number); !done) {
      return std::unexpected(
          std::move(done).error().with_context(path + ":" + std::to_string(number)));
    }
  }
  if (file.bad()) return fail(Category::unavailable, "reading " + path + " failed");
  return {};
}

Result<nlohmann::json> parse_line(const std::string& line) {
  auto parsed = nlohmann::json::parse(line, nullptr, false);
  if (!parsed.is_object()) return fail(Category::malformed, "this line is not a JSON object");
  return parsed;
}

std::string text_of(const nlohmann::json& line, const char* field) {
  const auto found = line.find(field);
  return found != line.end() && found->is_string() ? found->get<std::string>() : std::string();
}

constexpr std::size_t kDigestDigits = 64;
constexpr std::size_t kTicketIdDigits = 32;

// As they stand in an audit file: lower case.
bool is_hex(const std::string& text, std::size_t digits) {
  return text.size() == digits && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace

AuditCommands::AuditCommands(service::Verb& top, Session& session) : session_(session) {
  service::Verb& audit = top.verb("audit", "Audit files, read where they lie.");
  audit.verb("verify", "Checks the hash chain: that no line was changed, added or taken out.")
      .arguments("file", files_, "The audit files of one log, oldest first.")
      .option("--digest", digest_, "What an earlier verify printed: must be in the log.")
      .action([this] { return exit_code_of(verify()); });
  audit.verb("tail", "Shows the last decisions.")
      .arguments("file", files_, "The audit file.")
      .option("--lines", lines_, "How many.")
      .action([this] { return exit_code_of(tail()); });
  audit.verb("search", "Shows the decisions that fit everything that is asked for.")
      .arguments("file", files_, "The audit files, oldest first.")
      .option("--identity", identity_, "Whom it is about, or a responder: a part of the URI.")
      .option("--ticket", ticket_, "The ticket id.")
      .option("--trace", trace_, "The trace id.")
      .option("--operation", operation_, "request, resolve, admin.create_identity, …")
      .option("--decision", decision_, "granted or refused.")
      .action([this] { return exit_code_of(search()); });
}

Result<void> AuditCommands::verify() {
  if (!digest_.empty() && !is_hex(digest_, kDigestDigits)) {
    return fail(Category::malformed, "--digest is what an earlier verify printed: 64 hex digits");
  }
  service::AuditVerifier verifier;
  bool seen = digest_.empty();
  for (const std::string& path : files_) {
    TRY(for_each_line(path, [&](const std::string& line, std::uint64_t) -> Result<void> {
      TRY(verifier.add(line));
      seen = seen || verifier.digest() == digest_;
      return {};
    }));
  }
  if (verifier.lines() == 0) return fail(Category::not_found, "there is no line in these files");
  if (!seen) {
    return fail(Category::conflict,
                "the chain is sound, but the digest " + digest_ +
                    " is not in it: the log was cut off before it, or made anew");
  }
  print_rows(
      session_.out, session_.format(),
      {{"lines", verifier.lines()}, {"last", verifier.last()}, {"digest", verifier.digest()}});
  return {};
}

void AuditCommands::print(const nlohmann::json& line) const {
  if (session_.format() == Format::json) {
    session_.out << line.dump() << '\n';
    return;
  }
  session_.out << text_of(line, "time") << "  " << text_of(line, "operation") << "  "
               << text_of(line, "decision") << " (" << text_of(line, "rule") << ")  "
               << text_of(line, "identity");
  if (const std::string responder = text_of(line, "responder"); !responder.empty()) {
    session_.out << " -> " << responder;
  }
  if (const std::string ticket = text_of(line, "ticket_id"); !ticket.empty()) {
    session_.out << "  ticket " << ticket;
  }
  if (const std::string reason = text_of(line, "reason"); !reason.empty()) {
    session_.out << "  " << reason;
  }
  session_.out << '\n';
}

Result<void> AuditCommands::tail() {
  if (lines_ < 1) return fail(Category::malformed, "--lines is at least 1");
  std::deque<nlohmann::json> last;
  for (const std::string& path : files_) {
    TRY(for_each_line(path, [&](const std::string& line, std::uint64_t) -> Result<void> {
      last.push_back(TRY(parse_line(line)));
      if (std::cmp_greater(last.size(), lines_)) last.pop_front();
      return {};
    }));
  }
  std::ranges::for_each(last, [this](const nlohmann::json& line) { print(line); });
  return {};
}

Result<void> AuditCommands::search() {
  if (!ticket_.empty() && !is_hex(ticket_, kTicketIdDigits)) {
    return fail(Category::malformed, "--ticket is the id of a ticket: 32 hex digits");
  }
  if (!decision_.empty() && decision_ != "granted" && decision_ != "refused") {
    return fail(Category::malformed, "--decision is granted or refused");
  }
  const auto fits = [](const std::string& wanted, const std::string& found) {
    return wanted.empty() || wanted == found;
  };
  for (const std::string& path : files_) {
    TRY(for_each_line(path, [&](const std::string& text, std::uint64_t) -> Result<void> {
      const nlohmann::json line = TRY(parse_line(text));
      const bool about = identity_.empty() || text_of(line, "identity").contains(identity_) ||
                         text_of(line, "responder").contains(identity_);
      if (about && fits(ticket_, text_of(line, "ticket_id")) &&
          fits(trace_, text_of(line, "trace_id")) && fits(operation_, text_of(line, "operation")) &&
          fits(decision_, text_of(line, "decision"))) {
        print(line);
      }
      return {};
    }));
  }
  return {};
}

}  // namespace keystub::kmsctl
