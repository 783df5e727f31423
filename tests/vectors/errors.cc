#include "tests/vectors/errors.h"

#include <stdexcept>

#include "mikey/payload/error.h"
#include "tests/vectors/refusals.h"

namespace keystub::vectors {
namespace {

using namespace mikey;

constexpr const char* kForking = "mode1-256-forking";
constexpr const char* kPlain = "mode1-256";
constexpr const char* kForking128 = "mode1-128-forking";

// What happens to the message on its way.
enum class OnTheWay : std::uint8_t { nothing, mac_broken, v_stripped, csb_id_changed };

struct Row {
  std::string id;
  std::string title;
  std::string exchange;
  std::string about;
  Refusal refusal;
  bool authenticated = true;
  OnTheWay on_the_way = OnTheWay::nothing;
};

const std::vector<Row>& rows() {
  using enum ErrorNo;
  static const std::vector<Row> kRows = {
      {"error-request-init", "the KMS does not support the policy", kForking, "REQUEST_INIT",
       invalid_tppar},
      {"error-request-init-128", "the same under the 128-bit suite", kForking128, "REQUEST_INIT",
       invalid_tppar},
      {"error-request-init-two", "two errors at once", kForking, "REQUEST_INIT",
       Refusal({invalid_tppar, invalid_id}, {})},
      {"error-request-resp", "the initiator tells the KMS", kForking, "REQUEST_RESP", unspecified},
      {"error-resolve-init", "the KMS does not support the ticket type", kForking, "RESOLVE_INIT",
       invalid_ticket},
      {"error-resolve-resp", "the responder tells the KMS", kForking, "RESOLVE_RESP", unspecified},
      {"error-transfer-init", "the responder tells the initiator", kForking, "TRANSFER_INIT",
       invalid_sp},
      {"error-transfer-resp", "the initiator tells the responder", kForking, "TRANSFER_RESP",
       unspecified},
      {"error-transfer-init-plain", "the same without key forking", kPlain, "TRANSFER_INIT",
       invalid_sp},
      {"error-transfer-resp-plain", "the same without key forking", kPlain, "TRANSFER_RESP",
       unspecified},
      {"error-without-v", "without V: only a recommendation", kForking, "REQUEST_INIT",
       auth_failure, false},
      {"error-stripped", "V was taken away on the way: again only a recommendation", kForking,
       "REQUEST_INIT", invalid_tppar, true, OnTheWay::v_stripped},
      {"error-mac", "the last octet of the MAC is changed", kForking, "REQUEST_INIT", invalid_tppar,
       true, OnTheWay::mac_broken},
      {"error-csb-id", "about another message: another CSB ID", kForking, "REQUEST_INIT",
       auth_failure, false, OnTheWay::csb_id_changed},
  };
  return kRows;
}

// HDR, T and ERR of an Error message that ends with ERR instead of V.
ByteVector without_v(const Call& call, ByteVector error) {
  const std::size_t v_octets = 2 + call.suite().auth_octets;
  constexpr std::size_t kErrOctets = 4;
  error.resize(error.size() - v_octets);
  error.at(error.size() - kErrOctets) = static_cast<std::uint8_t>(PayloadType::last);
  return error;
}

ByteVector carried(const Call& call, ByteVector error, OnTheWay on_the_way) {
  switch (on_the_way) {
    case OnTheWay::nothing: break;
    case OnTheWay::mac_broken: error.back() ^= 1; break;
    case OnTheWay::v_stripped: return without_v(call, std::move(error));
    case OnTheWay::csb_id_changed: error.at(4) ^= 1; break;
  }
  return error;
}

}  // namespace

Json outcome(const Result<ReceivedError>& error) {
  if (!error) return {{"refused", refused(error.error())}};
  Json numbers = Json::array();
  for (const ErrorNo number : error->numbers) numbers.push_back(static_cast<int>(number));
  return {{"authenticated", error->authenticated}, {"error_nos", numbers}};
}

Json errors(const std::map<std::string, Call>& calls) {
  Json all = Json::array();
  std::uint64_t t = 0xED01B42FULL << 32;  // after the call
  for (const Row& row : rows()) {
    const Call& call = calls.at(row.exchange);
    ByteWriter t_octets;
    t_octets.u64(t += 1ULL << 32);
    const Json hex_t = to_hex(t_octets.view());
    const ByteVector octets = carried(
        call, call.error(row.about, hex_t, row.refusal, row.authenticated).value(), row.on_the_way);
    const Json said = outcome(call.read_error(row.about, octets));
    const bool refuses =
        row.on_the_way == OnTheWay::mac_broken || row.on_the_way == OnTheWay::csb_id_changed;
    if (said.contains("refused") != refuses) throw std::runtime_error(row.id + ": " + said.dump());
    all.push_back({{"id", row.id},
                   {"title", row.title},
                   {"exchange", row.exchange},
                   {"about", row.about},
                   {"t", hex_t},
                   {"octets", to_hex(octets)},
                   {"outcome", said}});
  }
  return all;
}

}  // namespace keystub::vectors
