// The command line: a program with verbs, each with options of its own, and the exit codes.
// A light front for CLI11, which stays in the .cc file.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace keystub::service {

// Exit codes of every command of the project. 0 is success.
enum ExitCode : int {
  kExitOk = 0,
  kExitInternal = 1,
  kExitUsage = 2,            // the command line is wrong
  kExitMalformed = 3,        // input, file or configuration cannot be understood
  kExitUnauthenticated = 4,  // we, or the message, could not prove who we are
  kExitDenied = 5,
  kExitNotFound = 6,
  kExitConflict = 7,
  kExitExpired = 8,
  kExitBusy = 9,
  kExitUnavailable = 10,  // the server or a file system cannot be reached
};
int exit_code(Category category) noexcept;
// Lines "  N  meaning" for help texts and documentation.
std::string exit_code_table();
// Prints "PROGRAM: error text" on standard error and returns the exit code.
int report(std::string_view program, const Error& error);

// One verb, or the program itself. References handed in must outlive CommandLine::run().
// Option names are as typed: "--config". Defaults are what the variable holds.
class Verb {
 public:
  Verb(Verb&&) = delete;
  virtual ~Verb() = default;

  virtual Verb& option(const std::string& name, std::string& value, const std::string& help) = 0;
  virtual Verb& required_option(const std::string& name, std::string& value,
                                const std::string& help) = 0;
  virtual Verb& option(const std::string& name, std::int64_t& value, const std::string& help) = 0;
  // One of `choices`.
  virtual Verb& choice(const std::string& name, std::string& value,
                       const std::vector<std::string>& choices, const std::string& help) = 0;
  // May be given several times.
  virtual Verb& option(const std::string& name, std::vector<std::string>& values,
                       const std::string& help) = 0;
  virtual Verb& flag(const std::string& name, bool& value, const std::string& help) = 0;
  // A positional argument.
  virtual Verb& argument(const std::string& name, std::string& value, const std::string& help) = 0;
  // One or more, at the end of the line.
  virtual Verb& arguments(const std::string& name, std::vector<std::string>& values,
                          const std::string& help) = 0;

  // A verb below this one: "identity" → "create". Exactly one of them is then required.
  virtual Verb& verb(const std::string& name, const std::string& help) = 0;
  // What to do when this verb is chosen; returns the exit code.
  virtual Verb& action(std::function<int()> run) = 0;

 protected:
  Verb() = default;
};

class CommandLine {
 public:
  // `footer` ends the help text, for example exit_code_table().
  CommandLine(std::string program, std::string description, std::string footer = {});
  ~CommandLine();

  // The program's own options, usable before or after a verb, and its verbs.
  Verb& top();
  // Parses and runs the chosen action. --help and --version print and return 0; a wrong command
  // line prints what is wrong and returns kExitUsage.
  int run(int argc, char** argv);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace keystub::service
