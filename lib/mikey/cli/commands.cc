#include "mikey/cli/commands.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/base64.h"
#include "mikey/cli/assemble.h"
#include "mikey/cli/describe.h"
#include "mikey/cli/diff.h"
#include "mikey/cli/forms.h"
#include "mikey/cli/input.h"
#include "mikey/cli/key_file.h"
#include "mikey/cli/lint.h"
#include "mikey/cli/opening.h"
#include "mikey/key_mgmt_attribute.h"

namespace keystub::mikey::cli {
namespace {

using nlohmann::ordered_json;

constexpr const char* kFileHelp =
    "octets, hex, base64, or a text with a=key-mgmt lines (SDP, SIP); - for standard input";

std::string_view name_of(Check::Outcome outcome) noexcept {
  switch (outcome) {
    case Check::Outcome::good: return "good";
    case Check::Outcome::bad: return "BAD";
    case Check::Outcome::skipped: break;
  }
  return "skipped";
}

std::string_view name_of(Finding::Severity severity) noexcept {
  return severity == Finding::Severity::error ? "error" : "warning";
}

// The one message of a file; `role` says what for.
Result<ByteVector> one_message(const std::string& path, std::string_view role) {
  std::vector<Found> found = TRY(find_messages(TRY(read_input(path))));
  if (found.size() != 1) {
    return fail(Category::malformed,
                fmt::format("{} holds {} messages; {} is one", path, found.size(), role));
  }
  return std::move(found[0].octets);
}

// "media 1 (audio): ", nothing for a message that stands alone.
std::string prefix(const Found& found) { return found.where.empty() ? "" : found.where + ": "; }

void print_checks(std::ostream& out, const std::vector<Check>& checks) {
  if (!checks.empty()) out << '\n';
  for (const Check& check : checks) {
    fmt::print(out, "{:8} {}: {}\n", name_of(check.outcome), check.what, check.text);
  }
}

ordered_json to_json(const std::vector<Check>& checks) {
  ordered_json array = ordered_json::array();
  for (const Check& check : checks) {
    std::string outcome(name_of(check.outcome));
    std::ranges::transform(outcome, outcome.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
    array.push_back({{"what", check.what}, {"outcome", outcome}, {"text", check.text}});
  }
  return array;
}

void print(std::ostream& out, const ordered_json& json) {
  out << json.dump(2, ' ', false, ordered_json::error_handler_t::replace) << '\n';
}

}  // namespace

int exit_code(const Error& error) noexcept {
  switch (error.category()) {
    case Category::malformed: return kExitMalformed;
    case Category::unauthenticated: return kExitUnauthenticated;
    case Category::denied: return kExitDenied;
    case Category::not_found: return kExitNotFound;
    case Category::unavailable: return kExitUnavailable;
    case Category::conflict:
    case Category::expired:
    case Category::busy:
    case Category::internal: break;
  }
  return kExitInternal;
}

std::string exit_code_table() {
  return "Exit codes:\n"
         "  0   done; nothing found, no difference\n"
         "  1   lint has findings, or the messages differ\n"
         "  2   wrong command line\n"
         "  3   the input cannot be understood\n"
         "  4   a MAC does not verify with the given keys\n"
         "  5   others can read the file with the keys\n"
         "  6   there is no such file\n"
         "  10  a file cannot be read\n"
         "  11  internal fault\n";
}

// ---- explain

Explain::Explain(CLI::App& app) {
  app.add_option("FILE", file_, kFileHelp)->capture_default_str();
  app.add_option("--keys", keys_,
                 "file with lines such as 'psk HEX' or 'tpk HEX' (man mikey); - for standard "
                 "input. Verifies MACs and shows what is encrypted");
  app.add_option("--initial", initial_,
                 "the message that FILE answers, or is an Error about: its MAC covers it");
  CLI::Option* text = app.add_flag("--text", text_, "the form that build reads");
  app.add_flag("--json", json_, "JSON, which build reads as well")->excludes(text);
}

Result<int> Explain::run(std::ostream& out) {
  if (file_ == "-" && keys_ == "-") {
    return fail(Category::malformed, "message and keys cannot both come from standard input");
  }
  std::optional<KeyRing> ring;
  if (!keys_.empty()) ring = TRY(read_key_file(keys_));
  ByteVector initial_octets;
  std::optional<Message> initial;
  if (!initial_.empty()) {
    initial_octets = TRY(one_message(initial_, "the initial message"));
    initial = TRY(Message::parse(initial_octets));
  }
  const std::vector<Found> found = TRY(find_messages(TRY(read_input(file_))));
  ordered_json messages = ordered_json::array();
  int code = kExitOk;
  for (const Found& one : found) {
    if (&one != &found.front() && !json_) out << '\n';
    const auto message = Message::parse(one.octets);
    if (!message) {
      code = kExitMalformed;
      if (json_) {
        messages.push_back({{"where", one.where}, {"error", message.error().describe()}});
      } else {
        fmt::print(std::cerr, "mikey: {}{}\n", prefix(one), message.error().describe());
      }
      continue;
    }
    std::vector<Node> tree = describe(*message);
    std::vector<Check> checks;
    if (ring) checks = open_with_keys(*message, initial ? &*initial : nullptr, *ring, tree);
    const bool is_bad = std::ranges::any_of(
        checks, [](const Check& check) { return check.outcome == Check::Outcome::bad; });
    if (is_bad && code == kExitOk) code = kExitUnauthenticated;
    if (json_) {
      ordered_json object;
      if (!one.where.empty()) object["where"] = one.where;
      object["message"] = message->name();
      object["octets"] = one.octets.size();
      object["payloads"] = cli::to_json(tree);
      if (ring) object["checks"] = to_json(checks);
      messages.push_back(std::move(object));
      continue;
    }
    fmt::print(out, "{}{}{}, {} octets\n", text_ ? "# " : "", prefix(one), message->name(),
               one.octets.size());
    if (text_) {
      print_text(out, tree);
    } else {
      print_annotated(out, tree);
      print_checks(out, checks);
    }
  }
  if (json_) print(out, {{"messages", std::move(messages)}});
  return code;
}

// ---- lint

Lint::Lint(CLI::App& app) {
  app.add_option("FILE", file_, kFileHelp)->capture_default_str();
  app.add_flag("--json", json_, "JSON");
}

Result<int> Lint::run(std::ostream& out) {
  const std::vector<Found> found = TRY(find_messages(TRY(read_input(file_))));
  ordered_json json = ordered_json::array();
  std::size_t count = 0;
  for (const Found& one : found) {
    for (const Finding& finding : lint(one.octets)) {
      ++count;
      if (json_) {
        ordered_json object;
        object["severity"] = name_of(finding.severity);
        if (!one.where.empty()) object["where"] = one.where;
        object["payload"] = finding.payload;
        object["offset"] = finding.offset;
        object["clause"] = finding.clause;
        object["text"] = finding.text;
        json.push_back(std::move(object));
        continue;
      }
      fmt::print(out, "{}: {}{} at octet {} ({}): {}\n", name_of(finding.severity), prefix(one),
                 finding.payload, finding.offset, finding.clause, finding.text);
    }
  }
  if (json_) print(out, json);
  return count == 0 ? kExitOk : kExitFindings;
}

// ---- diff

Diff::Diff(CLI::App& app) {
  app.add_option("A", before_, kFileHelp)->required();
  app.add_option("B", after_, "the other message")->required();
  app.add_flag("--json", json_, "JSON");
}

Result<int> Diff::run(std::ostream& out) {
  if (before_ == "-" && after_ == "-") {
    return fail(Category::malformed, "the two messages cannot both come from standard input");
  }
  const ByteVector before = TRY(one_message(before_, "A"));
  const ByteVector after = TRY(one_message(after_, "B"));
  const std::vector<Difference> differences =
      diff(describe(TRY(Message::parse(before))), describe(TRY(Message::parse(after))));
  ordered_json json = ordered_json::array();
  for (const Difference& difference : differences) {
    using Kind = Difference::Kind;
    if (json_) {
      ordered_json object;
      object["path"] = difference.path;
      if (difference.kind != Kind::added) object["a"] = difference.before;
      if (difference.kind != Kind::removed) object["b"] = difference.after;
      json.push_back(std::move(object));
      continue;
    }
    if (difference.kind != Kind::added) {
      fmt::print(out, "- {}: {}\n", difference.path, difference.before);
    }
    if (difference.kind != Kind::removed) {
      fmt::print(out, "+ {}: {}\n", difference.path, difference.after);
    }
  }
  if (json_) print(out, json);
  return differences.empty() ? kExitOk : kExitFindings;
}

// ---- build

Build::Build(CLI::App& app) {
  app.add_option("FILE", file_,
                 "what explain --text or explain --json prints; - for standard input")
      ->capture_default_str();
  app.add_option("--as", form_, "hex, base64, key-mgmt (an SDP line) or octets")
      ->check(CLI::IsMember({"hex", "base64", "key-mgmt", "octets"}))
      ->capture_default_str();
  app.add_flag("--json", json_, "JSON");
}

Result<int> Build::run(std::ostream& out) {
  const std::string content = TRY(read_input(file_));
  const std::size_t first = std::min(content.find_first_not_of(" \t\r\n"), content.size());
  const bool is_json = content.substr(first, 1) == "{" || content.substr(first, 1) == "[";
  const std::vector<Node> tree = TRY(is_json ? parse_json(content) : parse_text(content));
  const ByteVector octets = TRY(assemble(tree));
  if (json_) {
    print(out, {{"message", Message::parse(octets)->name()},
                {"octets", octets.size()},
                {"hex", to_hex(octets)},
                {"base64", base64_encode(octets)}});
  } else if (form_ == "hex") {
    out << to_hex(octets) << '\n';
  } else if (form_ == "base64") {
    out << base64_encode(octets) << '\n';
  } else if (form_ == "key-mgmt") {
    out << "a=key-mgmt:" << format_key_mgmt(octets) << '\n';
  } else {
    out << as_text(octets);
  }
  return kExitOk;
}

}  // namespace keystub::mikey::cli
