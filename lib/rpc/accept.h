// How many connections this process accepts, and that it never stops accepting.
//
// gRPC 1.51 closes a port for good when accept4() fails once for want of a file descriptor, and
// goes on without a word. So accept4() is defined here, in front of the C library's, for all that
// is linked into the program: a connection that would take one of the last kOwnDescriptors, which
// databases and logs need, is closed at once, and no failure that passes is told.
#pragma once

namespace keystub::rpc {

inline constexpr int kOwnDescriptors = 64;

// From now on, by the limit of the process (RLIMIT_NOFILE) as it is now. Before the first server.
// Any thread.
void bound_accepted_connections();

}  // namespace keystub::rpc
