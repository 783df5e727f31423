#include "mrfc-agent/setup_refusal.h"

#include "mikey/types.h"

namespace keystub::mrfc {
namespace {

constexpr std::uint32_t kNotAcceptableHere = 488;
constexpr std::uint32_t kServiceUnavailable = 503;
constexpr std::uint32_t kServerInternalError = 500;
constexpr std::uint32_t kAttributeNotUnderstood = 306;
constexpr std::uint32_t kMiscellaneousWarning = 399;

bool is_about_a_parameter(const Error& error) {
  if (!error.mikey_error_no()) return false;
  switch (static_cast<mikey::ErrorNo>(*error.mikey_error_no())) {
    case mikey::ErrorNo::invalid_prf:
    case mikey::ErrorNo::invalid_mac:
    case mikey::ErrorNo::invalid_ea:
    case mikey::ErrorNo::invalid_ha:
    case mikey::ErrorNo::invalid_dh:
    case mikey::ErrorNo::invalid_sp:
    case mikey::ErrorNo::invalid_sppar:
    case mikey::ErrorNo::unsupported_message_type:
    case mikey::ErrorNo::invalid_tppar: return true;
    default: return false;
  }
}

}  // namespace

std::optional<SetupRefusal> setup_refusal_for(const Error& error) {
  switch (error.category()) {
    case Category::not_found:
    case Category::conflict: return std::nullopt;
    case Category::unavailable:
    case Category::busy:
      return SetupRefusal{kServiceUnavailable, kMiscellaneousWarning,
                          "Media security is not available now"};
    case Category::internal:
      return SetupRefusal{kServerInternalError, kMiscellaneousWarning, "Internal error"};
    case Category::malformed:
    case Category::unauthenticated:
    case Category::denied:
    case Category::expired: break;
  }
  if (is_about_a_parameter(error)) {
    return SetupRefusal{kNotAcceptableHere, kAttributeNotUnderstood,
                        "A parameter of the key management is not supported"};
  }
  return SetupRefusal{kNotAcceptableHere, kMiscellaneousWarning,
                      "Media security could not be agreed"};
}

}  // namespace keystub::mrfc
