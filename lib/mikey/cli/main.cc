// mikey: looks into MIKEY messages, finds what is wrong with them, compares and builds them.
#include <fmt/ostream.h>

#include <algorithm>
#include <iostream>
#include <memory>

#include "mikey/cli/commands.h"

namespace {

using namespace keystub::mikey::cli;

struct Verb {
  CLI::App* app;
  std::unique_ptr<Command> command;
};

template <class Kind>
Verb add_verb(CLI::App& program, const char* name, const char* help) {
  CLI::App* app = program.add_subcommand(name, help);
  return {app, std::make_unique<Kind>(*app)};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App program("Looks into MIKEY messages (RFC 3830, RFC 4563, RFC 6043)", "mikey");
  program.set_version_flag("--version", std::string("mikey ") + KEYSTUB_VERSION);
  program.footer(exit_code_table());
  program.require_subcommand(1);
  Verb verbs[] = {
      add_verb<Explain>(program, "explain", "shows every field of a message"),
      add_verb<Lint>(program, "lint", "says which rules a message breaks"),
      add_verb<Diff>(program, "diff", "says how two messages differ"),
      add_verb<Build>(program, "build", "makes a message of what explain shows"),
  };
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // Prints help or version for the "errors" that ask for it.
    return program.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  // There is one: it is required.
  const Verb* const verb =
      std::ranges::find_if(verbs, [](const Verb& each) { return each.app->parsed(); });
  const keystub::Result<int> result = verb->command->run(std::cout);
  if (result) return *result;
  fmt::print(std::cerr, "mikey: {}\n", result.error().describe());
  return exit_code(result.error());
}
