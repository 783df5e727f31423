// Verbs and exit codes over CLI11, see command_line.h.
#include "service/command_line.h"

#include <cstdio>
#include <utility>

#include <CLI/CLI.hpp>

namespace keystub::service {

int exit_code(Category category) noexcept {
  switch (category) {
    case Category::malformed: return kExitMalformed;
    case Category::unauthenticated: return kExitUnauthenticated;
    case Category::denied: return kExitDenied;
    case Category::not_found: return kExitNotFound;
    case Category::conflict: return kExitConflict;
    case Category::expired: return kExitExpired;
    case Category::busy: return kExitBusy;
    case Category::unavailable: return kExitUnavailable;
    case Category::internal: return kExitInternal;
  }
  return kExitInternal;
}

std::string exit_code_table() {
  return "Exit codes:\n"
         "   0  done\n"
         "   1  internal fault\n"
         "   2  wrong command line\n"
         "   3  input, file or configuration cannot be understood\n"
         "   4  not authenticated\n"
         "   5  denied\n"
         "   6  not found\n"
         "   7  conflict: exists already, or its state forbids it\n"
         "   8  expired, outside the clock skew, or seen before\n"
         "   9  a limit is reached; later may work\n"
         "  10  the server or a file cannot be reached";
}

int report(std::string_view program, const Error& error) {
  const std::string text = error.describe();
  std::fprintf(stderr, "%.*s: %s\n", static_cast<int>(program.size()), program.data(),
               text.c_str());
  return exit_code(error.category());
}

namespace {

class CliVerb final : public Verb {
 public:
  explicit CliVerb(CLI::App& app) : app_(app) {}

  Verb& option(const std::string& name, std::string& value, const std::string& help) override {
    app_.add_option(name, value, help)->capture_default_str();
    return *this;
  }
  Verb& required_option(const std::string& name, std::string& value,
                        const std::string& help) override {
    app_.add_option(name, value, help)->required();
    return *this;
  }
  Verb& option(const std::string& name, std::int64_t& value, const std::string& help) override {
    app_.add_option(name, value, help)->capture_default_str();
    return *this;
  }
  Verb& choice(const std::string& name, std::string& value, const std::vector<std::string>& choices,
               const std::string& help) override {
    app_.add_option(name, value, help)->check(CLI::IsMember(choices))->capture_default_str();
    return *this;
  }
  Verb& option(const std::string& name, std::vector<std::string>& values,
               const std::string& help) override {
    app_.add_option(name, values, help)->allow_extra_args(false);
    return *this;
  }
  Verb& flag(const std::string& name, bool& value, const std::string& help) override {
    app_.add_flag(name, value, help);
    return *this;
  }
  Verb& argument(const std::string& name, std::string& value, const std::string& help) override {
    app_.add_option(name, value, help)->required();
    return *this;
  }
  Verb& arguments(const std::string& name, std::vector<std::string>& values,
                  const std::string& help) override {
    app_.add_option(name, values, help)->required();
    return *this;
  }
  Verb& verb(const std::string& name, const std::string& help) override {
    app_.require_subcommand(1);
    CLI::App* below = app_.add_subcommand(name, help);
    below->fallthrough();
    verbs_.push_back(std::make_unique<CliVerb>(*below));
    return *verbs_.back();
  }
  Verb& action(std::function<int()> run) override {
    action_ = std::move(run);
    return *this;
  }

  // The action of the deepest verb that was given.
  int run() const {
    for (const auto& verb : verbs_) {
      if (verb->app_.parsed()) return verb->run();
    }
    return action_ ? action_() : static_cast<int>(kExitUsage);
  }

 private:
  CLI::App& app_;
  std::vector<std::unique_ptr<CliVerb>> verbs_;
  std::function<int()> action_;
};

}  // namespace

struct CommandLine::Impl {
  Impl(std::string name, std::string description) : app(std::move(description), std::move(name)) {}
  CLI::App app;
  CliVerb top{app};
};

CommandLine::CommandLine(std::string program, std::string description, std::string footer)
    : impl_(std::make_unique<Impl>(program, std::move(description))) {
  impl_->app.set_version_flag("--version", std::move(program) + " " + KEYSTUB_VERSION);
  impl_->app.footer(std::move(footer));
}
CommandLine::~CommandLine() = default;

Verb& CommandLine::top() { return impl_->top; }

int CommandLine::run(int argc, char** argv) {
  try {
    impl_->app.parse(argc, argv);
    return impl_->top.run();
  } catch (const CLI::ParseError& error) {
    // Prints help or version for the "errors" that ask for it.
    return impl_->app.exit(error) == 0 ? static_cast<int>(kExitOk) : static_cast<int>(kExitUsage);
  } catch (const std::exception& error) {
    return report(impl_->app.get_name(), Error(Category::internal, error.what()));
  }
}

}  // namespace keystub::service
