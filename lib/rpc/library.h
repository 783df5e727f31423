// gRPC as a library of this process: how long it lives, and where its own messages go (a failed
// handshake, mostly), which it would print on standard error in a form of its own. Free of gRPC
// headers.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace keystub::rpc {

// Every channel and server opened here calls it first. Any thread, any number of times.
//
// It keeps gRPC, and the queue whose threads run our callbacks, until the process is gone.
// gRPC 1.51 takes that queue down with the last channel, and where a callback drops that channel
// the queue's thread waits for itself, goes on with what was freed, and ends the process with
// SIGABRT.
//
// It bounds the connections that are accepted (accept.h).
//
// It switches off abseil's search for deadlocks, a tool for debugging that Debian's build has on:
// each lock of gRPC's would take a lock of the whole process.
void prepare_library();

// Ends a command that made calls: writes out what streams hold, and leaves what is static as it is.
// gRPC's threads, which run until the process is gone, still use it.
[[noreturn]] void end_process(int code);

enum class LibrarySeverity : std::uint8_t { debug, info, error };

// For the whole process; once, before the first channel or server. `sink` is called from gRPC's
// threads, must not call gRPC, and lives for ever. A failed assertion, after which gRPC aborts, is
// printed on standard error besides: no sink may swallow why a process ended.
void route_library_log(std::function<void(LibrarySeverity, std::string_view)> sink);

}  // namespace keystub::rpc
