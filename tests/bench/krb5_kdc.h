// MIT Kerberos as others deploy a key server: `krb5kdc -w 2` with a realm, a database and
// configuration of its own, on loopback.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "tests/bench/child_process.h"
#include "tests/support/temp_dir.h"

namespace keystub::bench {

// Not thread-safe.
class Krb5Kdc {
 public:
  Krb5Kdc();
  // TGS exchanges per second of so many client processes together.
  double run(std::size_t clients, std::chrono::duration<double> length);

 private:
  testing::TempDir folder_;
  std::map<std::string, std::string> environment_;
  std::unique_ptr<ChildProcess> kdc_;
};

}  // namespace keystub::bench
