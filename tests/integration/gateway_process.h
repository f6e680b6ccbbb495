#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/process_under_test.h"
#include "tests/support/temporary_directory.h"

namespace tidegate::testing {

/// The path of the program that is tested.
std::string program_path();

/// The real daemon in a process of its own, with a configuration, a data directory and an admin port that stay the same
/// when it is stopped, killed and started again. Functions throw std::runtime_error, with the daemon's log, when it
/// does not do what it should.
class GatewayProcess {
 public:
  GatewayProcess();

  /// Writes the configuration: `[gateway]` stands already, `body` is the rest. {dir} in it becomes directory().
  void configure(const std::string& body);
  /// Returns when the daemon says that it is ready.
  void start(const std::map<std::string, std::string>& environment = {});
  /// Returns at once.
  void start_without_waiting(const std::map<std::string, std::string>& environment = {});
  bool wait_until_ready(std::chrono::milliseconds patience);
  /// SIGKILL.
  void kill();
  /// SIGTERM. Throws when the exit code is not 0.
  void stop();
  void reload();
  /// Another configuration by `tidegate reload`, which returns when it is taken over. Throws when it is not.
  void change_to(const std::string& body);

  bool is_running() { return process_ && process_->is_running(); }
  ProcessUnderTest& process() { return *process_; }
  /// Lines of `tidegate tail` with the whole stream that hold `part`.
  std::vector<std::string> tail(const std::string& stream, const std::string& part) const;
  std::uint16_t admin_port() const { return admin_port_; }
  std::string directory() const { return directory_.path(); }
  std::string data_directory() const { return directory_ / "data"; }
  std::string config_file() const { return directory_ / "tidegate.toml"; }
  /// All its starts together.
  std::string log() const { return read_file(directory_ / "daemon.log"); }

  /// The value of a sample such as `tidegate_uplink_up{uplink="cloud"}`; -1 when there is none.
  double metric(const std::string& sample) const;
  /// Waits until the sample is at least `least`.
  bool wait_for_metric(const std::string& sample, double least, std::chrono::milliseconds patience) const;
  /// What the status says of the driver or the uplink, as JSON; empty when there is none.
  std::string status_of(const std::string& name) const;

  /// Runs another command of the program with this configuration.
  FinishedProcess command(std::vector<std::string> arguments) const;

 private:
  std::string describe_end();

  TemporaryDirectory directory_;
  std::uint16_t admin_port_;
  std::unique_ptr<ProcessUnderTest> process_;
};

/// A subscription and an uplink of numbered readings, as most tests want them; `driver`: more lines of the driver, each
/// ended.
std::string relay_config(std::uint16_t source_port, std::uint16_t target_port, const std::string& driver = "");

/// Lines of a text that hold `part`.
std::vector<std::string> lines_with(const std::string& text, const std::string& part);

}  // namespace tidegate::testing
