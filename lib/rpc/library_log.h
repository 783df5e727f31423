// gRPC's own messages (a failed handshake, mostly), which it would print on standard error in a
// form of its own, handed to ours. Free of gRPC headers.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace keystub::rpc {

enum class LibrarySeverity : std::uint8_t { debug, info, error };

// For the whole process; once, before the first channel or server. `sink` is called from gRPC's
// threads, must not call gRPC, and lives for ever.
void route_library_log(std::function<void(LibrarySeverity, std::string_view)> sink);

}  // namespace keystub::rpc
