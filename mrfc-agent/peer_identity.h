// KMS user identities from SIP signalling: the identities of a Ticket Transfer are derived from the
// URIs in From, To, P-Asserted-Identity and the Request-URI (TS 23.333 6.2.19.2), stripped of
// display name, parameters and headers (TS 33.328 6.2.3.2).
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace keystub::mrfc {

// Takes a URI or a header value: `"Alice" <sip:alice@example.com;transport=tcp>;tag=1`. Scheme and
// host come out in lower case; a tel number without its visual separators. Malformed when there is
// no sip, sips or tel URI in it.
Result<std::string> user_identity(std::string_view uri_or_header);

}  // namespace keystub::mrfc
