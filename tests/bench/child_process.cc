#include "tests/bench/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

namespace keystub::bench {

void end_run(std::string_view why) {
  std::fflush(stdout);
  std::fprintf(stderr, "bench: %.*s: the run is void\n", static_cast<int>(why.size()), why.data());
  std::_Exit(1);
}

std::filesystem::path program(std::string_view name) {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / name;
}

ChildProcess::ChildProcess(const std::vector<std::string>& arguments,
                           const std::map<std::string, std::string>& environment)
    : name_(arguments.front()) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable)
    variables.emplace_back(*variable);
  for (const auto& [key, value] : environment) variables.push_back(key + "=" + value);
  std::vector<char*> envp;
  for (std::string& variable : variables) envp.push_back(variable.data());
  envp.push_back(nullptr);

  int pipe[2];
  require(::pipe2(pipe, O_CLOEXEC) == 0, "pipe2");
  pid_ = ::fork();
  require(pid_ >= 0, "fork");
  if (pid_ == 0) {  // nothing but system calls until exec: other threads may hold locks
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    ::dup2(pipe[1], STDOUT_FILENO);
    ::execvpe(argv[0], argv.data(), envp.data());
    ::_exit(127);
  }
  ::close(pipe[1]);
  output_ = pipe[0];
}

ChildProcess::~ChildProcess() {
  ::close(output_);
  if (pid_ <= 0) return;
  ::kill(pid_, SIGTERM);
  ::waitpid(pid_, nullptr, 0);
}

std::string ChildProcess::line() {
  std::string text;
  char c = 0;
  while (::read(output_, &c, 1) == 1) {
    if (c == '\n') return text;
    text += c;
  }
  end_run(name_ + " says nothing");
}

void ChildProcess::wait() {
  int status = 0;
  require(::waitpid(pid_, &status, 0) == pid_ && WIFEXITED(status) && WEXITSTATUS(status) == 0,
          name_ + " failed");
  pid_ = -1;
}

bool ChildProcess::running() { return pid_ > 0 && ::waitpid(pid_, nullptr, WNOHANG) == 0; }

long ChildProcess::status_kib(std::string_view field) const {
  std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
  for (std::string text; std::getline(status, text);) {
    if (text.starts_with(std::string(field) + ":"))
      return std::atol(text.c_str() + field.size() + 1);
  }
  end_run("no such field in /proc/PID/status");
}

double ChildProcess::cpu_seconds() const {
  clockid_t clock{};
  timespec time{};
  require(::clock_getcpuclockid(pid_, &clock) == 0 && ::clock_gettime(clock, &time) == 0,
          "no processor time of a child");
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

void run_program(const std::vector<std::string>& arguments,
                 const std::map<std::string, std::string>& environment) {
  ChildProcess(arguments, environment).wait();
}

}  // namespace keystub::bench
