// What kmsctl prints: tables for people, JSON for programs. Never a key, with the one exception
// that `tpk share --stdout` asks for.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "keystub/v1/identity_admin.pb.h"
#include "mikey/exchange.h"

namespace keystub::kmsctl {

enum class Format : std::uint8_t { table, json };

// Names and values of one thing, in order. In a table one line each, in JSON one object.
using Value = std::variant<std::string, std::uint64_t, std::vector<std::string>>;
using Row = std::pair<std::string, Value>;
void print_rows(std::ostream& out, Format format, const std::vector<Row>& rows);

// One of many that come one by one: a line, and on its way at once.
void print_line(std::ostream& out, Format format, const std::vector<Row>& rows);

// Several things: in a table with a line between them, in JSON one list.
void print_list(std::ostream& out, Format format, const std::vector<std::vector<Row>>& things);

void print_identity(std::ostream& out, Format format, const v1::Identity& identity);

// A list that may be long: printed while it arrives, and not at all when the KMS cannot be
// reached. finish() ends it.
class IdentityList {
 public:
  IdentityList(std::ostream& out, Format format) : out_(out), format_(format) {}
  void add(const v1::Identity& identity);
  void finish();

 private:
  void begin();

  std::ostream& out_;
  const Format format_;
  bool begun_ = false;
  bool empty_ = true;
};

void print_tpk(std::ostream& out, Format format, const v1::Tpk& tpk);
void print_tpks(std::ostream& out, Format format, const v1::ListTpksResponse& tpks);

// In UTC.
std::string rfc3339(const google::protobuf::Timestamp& time);

// An id that may be any octets: as it is when it is printable ASCII, else "hex:…".
std::string id_text(std::string_view octets);
// Back again; "hex:…" is decoded.
Result<std::string> id_octets(const std::string& text);

std::string kind_name(v1::IdentityKind kind);
std::string state_name(v1::IdentityState state);

// "user" ↔ IDENTITY_KIND_USER.
const std::vector<std::string>& kind_names();
v1::IdentityKind kind_of(const std::string& name);

// The granted policy of a ticket, without its keys.
std::vector<Row> policy_rows(const mikey::TicketPolicy& policy);

}  // namespace keystub::kmsctl
