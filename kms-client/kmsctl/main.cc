// kmsctl, see kmsctl.h.
#include <iostream>

#include "kms-client/kmsctl/kmsctl.h"
#include "rpc/library.h"
#include "service/command_line.h"
#include "service/lifecycle.h"

int main(int argc, char** argv) {
  using namespace keystub;
  if (const auto hardened = service::harden_process(); !hardened) {
    return service::report("kmsctl", hardened.error());
  }
  // What gRPC has to say is in the error of the call.
  rpc::route_library_log([](rpc::LibrarySeverity, std::string_view) {});
  const SystemClock clock;
  OpenSslRandom random;
  rpc::end_process(kmsctl::run(argc, argv, std::cout, clock, random));
}
