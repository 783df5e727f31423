#include "kms-client/kmsctl/output.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>
#include <nlohmann/json.hpp>

namespace keystub::kmsctl {
namespace {

using Json = nlohmann::ordered_json;

// What a server sends must not move the cursor of the terminal that it is shown on.
std::string printable(std::string_view text) {
  std::string out(text);
  std::ranges::replace_if(
      out, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return out;
}

std::string dump(const Json& json, int indent = 2) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

constexpr std::pair<const char*, v1::IdentityKind> kKinds[] = {
    {"user", v1::IDENTITY_KIND_USER}, {"mrfc", v1::IDENTITY_KIND_MRFC},
    {"as", v1::IDENTITY_KIND_AS},     {"group", v1::IDENTITY_KIND_GROUP},
    {"kms", v1::IDENTITY_KIND_KMS},
};

std::string tpk_state_name(v1::TpkState state) {
  switch (state) {
    case v1::TPK_STATE_ACTIVE: return "active";
    case v1::TPK_STATE_RETIRED: return "retired";
    case v1::TPK_STATE_PREPARED: return "prepared";
    case v1::TPK_STATE_REVOKED: return "revoked";
    default: return "unknown";
  }
}

std::string time_text(const mikey::Timestamp& time) {
  if (!time.is_time()) return "counter " + std::to_string(time.value);
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time.to_wall_time());
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(seconds.time_since_epoch().count()));
}

template <class Ids>
std::vector<std::string> id_texts(const Ids& ids) {
  std::vector<std::string> texts;
  for (const auto& id : ids) texts.push_back(id_text(id));
  return texts;
}

// A value in a table: "-" where there is none, so that every line has one.
std::string table_text(const Value& value) {
  if (const auto* number = std::get_if<std::uint64_t>(&value)) return std::to_string(*number);
  std::string text;
  if (const auto* list = std::get_if<std::vector<std::string>>(&value)) {
    for (const auto& element : *list) text += (text.empty() ? "" : ", ") + element;
  } else {
    text = std::get<std::string>(value);
  }
  return text.empty() ? "-" : printable(text);
}

// "ID until TIME", of the keys that end.
std::vector<std::string> expiries(const v1::Identity& identity) {
  std::vector<std::string> out;
  for (const v1::PskInfo& psk : identity.psks()) {
    if (!psk.has_expire_time()) continue;
    out.push_back(id_text(psk.psk_id()) + " until " + rfc3339(psk.expire_time()));
  }
  return out;
}

// "FINGERPRINT SUBJECT until TIME"
std::vector<std::string> certificate_texts(const v1::Identity& identity) {
  std::vector<std::string> out;
  for (const v1::CertificateInfo& one : identity.certificates()) {
    out.push_back(to_hex(as_bytes(one.fingerprint())) + " " + one.subject() + " until " +
                  rfc3339(one.not_after()));
  }
  return out;
}

std::vector<Row> identity_rows(const v1::Identity& identity) {
  return {
      {"uri", identity.uri()},
      {"kind", kind_name(identity.kind())},
      {"state", state_name(identity.state())},
      {"aliases", std::vector<std::string>(identity.aliases().begin(), identity.aliases().end())},
      {"owned_patterns", std::vector<std::string>(identity.owned_patterns().begin(),
                                                  identity.owned_patterns().end())},
      {"groups", std::vector<std::string>(identity.groups().begin(), identity.groups().end())},
      {"psk_ids", id_texts(identity.psk_ids())},
      {"psk_expiries", expiries(identity)},
      {"certificates", certificate_texts(identity)},
      {"shared_tpk_ids", id_texts(identity.shared_tpk_ids())},
      {"create_time", rfc3339(identity.create_time())},
      {"update_time", rfc3339(identity.update_time())},
      {"change_sequence", identity.change_sequence()}};
}

std::vector<Row> tpk_rows(const v1::Tpk& tpk) {
  return {{"tpk_id", id_text(tpk.tpk_id())},
          {"state", tpk_state_name(tpk.state())},
          {"create_time", rfc3339(tpk.create_time())},
          {"state_time", rfc3339(tpk.state_time())}};
}

Json to_json(const std::vector<Row>& rows) {
  Json json;
  for (const auto& [name, value] : rows) {
    std::visit([&, &key = name](const auto& v) { json[key] = v; }, value);
  }
  return json;
}

}  // namespace

std::string kind_name(v1::IdentityKind kind) {
  for (const auto& [name, value] : kKinds) {
    if (value == kind) return name;
  }
  return "unknown";
}

std::string state_name(v1::IdentityState state) {
  switch (state) {
    case v1::IDENTITY_STATE_ACTIVE: return "active";
    case v1::IDENTITY_STATE_SUSPENDED: return "suspended";
    default: return "unknown";
  }
}

std::string rfc3339(const google::protobuf::Timestamp& time) {
  return google::protobuf::util::TimeUtil::ToString(time);
}

std::string id_text(std::string_view octets) {
  const bool plain = std::ranges::all_of(octets, [](char c) { return c > 0x20 && c < 0x7f; });
  if (plain && !octets.starts_with("hex:")) return std::string(octets);
  return "hex:" + to_hex(as_bytes(octets));
}

Result<std::string> id_octets(const std::string& text) {
  if (!text.starts_with("hex:")) return text;
  const auto octets = from_hex(std::string_view(text).substr(4));
  if (!octets || octets->empty()) {
    return fail(Category::malformed,
                "\"" + text + "\" is no key id: after hex: stand hex digits, two for each octet");
  }
  return to_string(Bytes(*octets));
}

const std::vector<std::string>& kind_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const auto& [name, value] : kKinds) all.emplace_back(name);
    return all;
  }();
  return names;
}

v1::IdentityKind kind_of(const std::string& name) {
  for (const auto& [known, value] : kKinds) {
    if (known == name) return value;
  }
  return v1::IDENTITY_KIND_UNSPECIFIED;
}

void print_rows(std::ostream& out, Format format, const std::vector<Row>& rows) {
  if (format == Format::json) {
    out << dump(to_json(rows)) << '\n';
    return;
  }
  std::size_t width = 0;
  for (const auto& [name, value] : rows) width = std::max(width, name.size());
  for (const auto& [name, value] : rows) {
    out << fmt::format("{:<{}}  {}\n", name, width, table_text(value));
  }
}

void print_line(std::ostream& out, Format format, const std::vector<Row>& rows) {
  if (format == Format::json) {
    out << dump(to_json(rows), -1);
  } else {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      out << (i > 0 ? "  " : "") << table_text(rows[i].second);
    }
  }
  out << std::endl;
}

void print_list(std::ostream& out, Format format, const std::vector<std::vector<Row>>& things) {
  if (format == Format::json) {
    Json all = Json::array();
    for (const auto& rows : things) all.push_back(to_json(rows));
    out << dump(all) << '\n';
    return;
  }
  for (std::size_t i = 0; i < things.size(); ++i) {
    if (i > 0) out << '\n';
    print_rows(out, format, things[i]);
  }
}

void print_identity(std::ostream& out, Format format, const v1::Identity& identity) {
  print_rows(out, format, identity_rows(identity));
}

void IdentityList::begin() {
  if (std::exchange(begun_, true)) return;
  if (format_ == Format::json) {
    out_ << '[';
  } else {
    out_ << fmt::format("{:<40} {:<6} {:<10} {:>4} {:>4}\n", "URI", "KIND", "STATE", "PSKS",
                        "TPKS");
  }
}

void IdentityList::add(const v1::Identity& identity) {
  begin();
  if (format_ == Format::json) {
    out_ << (empty_ ? "\n" : ",\n") << dump(to_json(identity_rows(identity)), -1);
  } else {
    out_ << fmt::format("{:<40} {:<6} {:<10} {:>4} {:>4}\n", printable(identity.uri()),
                        kind_name(identity.kind()), state_name(identity.state()),
                        identity.psk_ids_size(), identity.shared_tpk_ids_size());
  }
  empty_ = false;
}

void IdentityList::finish() {
  begin();
  if (format_ == Format::json) out_ << (empty_ ? "]\n" : "\n]\n");
}

void print_tpk(std::ostream& out, Format format, const v1::Tpk& tpk) {
  print_rows(out, format, tpk_rows(tpk));
}

void print_tpks(std::ostream& out, Format format, const v1::ListTpksResponse& tpks) {
  if (format == Format::json) {
    Json all = Json::array();
    for (const v1::Tpk& tpk : tpks.tpks()) all.push_back(to_json(tpk_rows(tpk)));
    out << dump(all) << '\n';
    return;
  }
  out << fmt::format("{:<24} {:<9} {:<28} {}\n", "TPK", "STATE", "SINCE", "CREATED");
  for (const v1::Tpk& tpk : tpks.tpks()) {
    out << fmt::format("{:<24} {:<9} {:<28} {}\n", id_text(tpk.tpk_id()),
                       tpk_state_name(tpk.state()), rfc3339(tpk.state_time()),
                       rfc3339(tpk.create_time()));
  }
}

std::vector<Row> policy_rows(const mikey::TicketPolicy& policy) {
  std::vector<std::string> responders;
  responders.reserve(policy.idr_r.size());
  for (const auto& responder : policy.idr_r) responders.push_back(responder.data);
  const auto time = [](const std::optional<mikey::Timestamp>& t) {
    return t ? time_text(*t) : std::string();
  };
  return {{"ticket_type",
           fmt::format("{}/{}/{}", policy.type.type, policy.type.subtype, policy.type.version)},
          {"flags", policy.flags.letters()},
          {"suite", policy.prf == mikey::PrfFunc::mikey_1 ? "128-bit" : "256-bit"},
          {"initiator", policy.idr_i ? policy.idr_i->data : std::string()},
          {"responders", responders},
          {"valid_from", time(policy.trs)},
          {"valid_until", time(policy.tre)}};
}

}  // namespace keystub::kmsctl
