#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace tidegate::testing {

/// How a process ended.
struct ProcessEnd {
  std::optional<int> exit_code;  // nothing: by a signal
  int signal = 0;
};

/// A program in a process of its own, standard output and error each in a file. It dies with the thread that started
/// it. Functions throw std::runtime_error when the system refuses.
class ProcessUnderTest {
 public:
  struct Options {
    std::vector<std::string> arguments;              // the program's path first
    std::map<std::string, std::string> environment;  // added to ours
    std::string output_path;                         // appended to; empty: a file of its own
    std::string error_path;
  };

  explicit ProcessUnderTest(Options options);
  ProcessUnderTest(const ProcessUnderTest&) = delete;
  ProcessUnderTest& operator=(const ProcessUnderTest&) = delete;
  ~ProcessUnderTest();

  pid_t pid() const { return pid_; }
  bool is_running();
  void send_signal(int signal);
  /// Nothing when it has not ended within `patience`.
  std::optional<ProcessEnd> wait_for_end(std::chrono::milliseconds patience);

  /// What it has written so far.
  std::string output() const;
  std::string errors() const;

  std::uint64_t resident_bytes() const;
  /// User and system time of all its threads.
  std::chrono::milliseconds cpu_time() const;

 private:
  void spawn(const Options& options);
  void note_end(int status);

  std::string output_path_;
  std::string error_path_;
  bool owns_files_ = false;
  pid_t pid_ = -1;
  int pid_fd_ = -1;  // readable when the process has ended
  std::optional<ProcessEnd> end_;
};

struct FinishedProcess {
  ProcessEnd end;
  std::string output;
  std::string errors;
};

/// Runs a program to its end. Throws when it takes longer than `patience`.
FinishedProcess run_to_end(std::vector<std::string> arguments, std::map<std::string, std::string> environment = {},
                           std::chrono::milliseconds patience = std::chrono::seconds(20));

}  // namespace tidegate::testing
