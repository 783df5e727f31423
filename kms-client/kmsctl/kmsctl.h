// kmsctl: the command line of a KMS. Identities, mode 3 TPKs, running it, and trying tickets out. A
// client of the admin port and the ticket port and nothing else. docs/kmsctl.md is its manual.
#pragma once

#include <ostream>

#include "base/clock.h"
#include "base/random.h"

namespace keystub::kmsctl {

// Runs one command line and returns the exit code (service/command_line.h). Results go to `out`,
// faults to standard error.
int run(int argc, char** argv, std::ostream& out, const Clock& clock, RandomSource& random);

}  // namespace keystub::kmsctl
