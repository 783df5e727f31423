// A program that a benchmark starts and ends: its servers, and those it is compared with.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace keystub::bench {

// What makes a run void: prints it and ends the program.
[[noreturn]] void end_run(std::string_view why);
inline void require(bool holds, std::string_view what) {
  if (!holds) end_run(what);
}

// Where the programs of this build are.
std::filesystem::path program(std::string_view name);

// Not thread-safe. Ends with its owner; the kernel sees to it that it ends with this program.
class ChildProcess {
 public:
  // `arguments` begins with the program. What it prints on standard output is for lines().
  explicit ChildProcess(const std::vector<std::string>& arguments,
                        const std::map<std::string, std::string>& environment = {});
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess();  // SIGTERM, and waits

  // The next line of its output; ends the run when there is none.
  std::string line();
  // Waits until it has ended by itself; ends the run unless it ended well.
  void wait();
  bool running();
  // "RssAnon" and the like from /proc/PID/status, in KiB.
  long status_kib(std::string_view field) const;
  // Processor time of all of its threads so far.
  double cpu_seconds() const;

 private:
  std::string name_;
  pid_t pid_ = -1;
  int output_ = -1;
};

// Runs a program that has to succeed.
void run_program(const std::vector<std::string>& arguments,
                 const std::map<std::string, std::string>& environment = {});

}  // namespace keystub::bench
