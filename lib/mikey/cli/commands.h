// The verbs of `mikey`. Each registers its options with the command line and holds what they fill.
#pragma once

#include <CLI/CLI.hpp>
#include <ostream>
#include <string>

#include "base/error.h"

namespace keystub::mikey::cli {

// Exit codes, those of kmsctl where both have one (docs/mikey.md).
enum ExitCode : int {
  kExitOk = 0,
  kExitFindings = 1,  // lint found something, or the messages of diff differ
  kExitUsage = 2,
  kExitMalformed = 3,        // the input cannot be understood
  kExitUnauthenticated = 4,  // a MAC does not verify with the given keys
  kExitDenied = 5,           // others can read the file with the keys
  kExitNotFound = 6,         // there is no such file
  kExitUnavailable = 10,     // a file cannot be read
  kExitInternal = 11,
};
int exit_code(const Error& error) noexcept;
// Lines "  N  meaning" for the help text.
std::string exit_code_table();

// One verb: `app` is its part of the command line and must outlive it.
class Command {
 public:
  virtual ~Command() = default;
  // Prints to `out`; the exit code, or what went wrong.
  virtual Result<int> run(std::ostream& out) = 0;
};

class Explain : public Command {
 public:
  explicit Explain(CLI::App& app);
  Result<int> run(std::ostream& out) override;

 private:
  std::string file_ = "-";
  std::string keys_;
  std::string initial_;
  bool json_ = false;
  bool text_ = false;
};

class Lint : public Command {
 public:
  explicit Lint(CLI::App& app);
  Result<int> run(std::ostream& out) override;

 private:
  std::string file_ = "-";
  bool json_ = false;
};

class Diff : public Command {
 public:
  explicit Diff(CLI::App& app);
  Result<int> run(std::ostream& out) override;

 private:
  std::string before_;
  std::string after_;
  bool json_ = false;
};

class Build : public Command {
 public:
  explicit Build(CLI::App& app);
  Result<int> run(std::ostream& out) override;

 private:
  std::string file_ = "-";
  std::string form_ = "hex";
  bool json_ = false;
};

}  // namespace keystub::mikey::cli
