#include "tests/support/process_under_test.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "tests/support/temporary_directory.h"

namespace tidegate::testing {
namespace {

constexpr auto kPatienceToDie = std::chrono::seconds(20);

std::string make_file() {
  std::string pattern = std::filesystem::temp_directory_path() / "tidegate-output-XXXXXX";
  const int fd = ::mkostemp(pattern.data(), O_CLOEXEC);
  if (fd < 0) throw std::runtime_error("cannot make " + pattern);
  ::close(fd);
  return pattern;
}

int open_for_output(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) throw std::runtime_error("cannot open " + path);
  return fd;
}

std::vector<std::string> merged_environment(const std::map<std::string, std::string>& added) {
  std::vector<std::string> merged;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (!added.contains(text.substr(0, text.find('=')))) merged.push_back(text);
  }
  for (const auto& [name, value] : added) merged.push_back(name + "=" + value);
  return merged;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> all;
  for (auto& word : words) all.push_back(word.data());
  all.push_back(nullptr);
  return all;
}

struct Image {
  char* const* arguments;
  char* const* environment;
  int output;
  int errors;
};

// Between fork and exec only calls that are safe there: the test has threads.
[[noreturn]] void become(const Image& image) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::dup2(image.output, STDOUT_FILENO);
  ::dup2(image.errors, STDERR_FILENO);
  ::execve(image.arguments[0], image.arguments, image.environment);
  ::_exit(127);
}

// The fields of /proc/PID/stat behind the name, which may hold spaces; the first is the state, field 3 of proc(5).
std::vector<std::string> stat_fields(pid_t pid) {
  const std::string stat = read_file("/proc/" + std::to_string(pid) + "/stat");
  std::istringstream rest(stat.substr(std::min(stat.size(), stat.rfind(')') + 1)));
  std::vector<std::string> fields;
  for (std::string field; rest >> field;) fields.push_back(field);
  return fields;
}

}  // namespace

ProcessUnderTest::ProcessUnderTest(Options options)
    : output_path_(options.output_path), error_path_(options.error_path) {
  owns_files_ = output_path_.empty();
  if (owns_files_) {
    output_path_ = make_file();
    error_path_ = make_file();
  } else if (error_path_.empty()) {
    error_path_ = output_path_;
  }
  spawn(options);
}

ProcessUnderTest::~ProcessUnderTest() {
  if (!end_) {
    ::kill(pid_, SIGKILL);
    wait_for_end(kPatienceToDie);
  }
  if (pid_fd_ >= 0) ::close(pid_fd_);
  if (!owns_files_) return;
  std::error_code ignored;
  std::filesystem::remove(output_path_, ignored);
  std::filesystem::remove(error_path_, ignored);
}

void ProcessUnderTest::spawn(const Options& options) {
  auto arguments = options.arguments;
  auto environment = merged_environment(options.environment);
  const auto argument_pointers = pointers(arguments);
  const auto environment_pointers = pointers(environment);
  const int output = open_for_output(output_path_);
  const int errors = open_for_output(error_path_);
  const pid_t child = ::fork();
  if (child == 0) become(Image{argument_pointers.data(), environment_pointers.data(), output, errors});
  ::close(output);
  ::close(errors);
  if (child < 0) throw std::runtime_error("fork failed");
  pid_ = child;
  pid_fd_ = static_cast<int>(::syscall(SYS_pidfd_open, child, 0));
  if (pid_fd_ < 0) throw std::runtime_error("pidfd_open failed");
}

bool ProcessUnderTest::is_running() { return !wait_for_end(std::chrono::milliseconds(0)); }

void ProcessUnderTest::send_signal(int signal) {
  if (!end_) ::kill(pid_, signal);
}

std::optional<ProcessEnd> ProcessUnderTest::wait_for_end(std::chrono::milliseconds patience) {
  if (end_) return end_;
  pollfd waited{pid_fd_, POLLIN, 0};
  if (::poll(&waited, 1, static_cast<int>(patience.count())) != 1) return std::nullopt;
  int status = 0;
  if (::waitpid(pid_, &status, 0) == pid_) note_end(status);
  return end_;
}

void ProcessUnderTest::note_end(int status) {
  ProcessEnd end;
  if (WIFEXITED(status)) end.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) end.signal = WTERMSIG(status);
  end_ = end;
}

std::string ProcessUnderTest::output() const { return read_file(output_path_); }
std::string ProcessUnderTest::errors() const { return read_file(error_path_); }

std::uint64_t ProcessUnderTest::resident_bytes() const {
  std::istringstream lines(read_file("/proc/" + std::to_string(pid_) + "/status"));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("VmRSS:")) return std::stoull(line.substr(6)) * 1024;
  }
  return 0;
}

std::chrono::milliseconds ProcessUnderTest::cpu_time() const {
  constexpr std::size_t kUserField = 14 - 3;
  const auto fields = stat_fields(pid_);
  if (fields.size() <= kUserField + 1) return {};
  const auto ticks = std::stoll(fields[kUserField]) + std::stoll(fields[kUserField + 1]);
  return std::chrono::milliseconds(ticks * 1000 / ::sysconf(_SC_CLK_TCK));
}

FinishedProcess run_to_end(std::vector<std::string> arguments, std::map<std::string, std::string> environment,
                           std::chrono::milliseconds patience) {
  const std::string program = arguments.at(0);
  ProcessUnderTest process({std::move(arguments), std::move(environment), "", ""});
  const auto end = process.wait_for_end(patience);
  if (!end) throw std::runtime_error(program + " did not end; it said: " + process.errors());
  return {*end, process.output(), process.errors()};
}

}  // namespace tidegate::testing
