#include "tests/integration/gateway_process.h"

#include <signal.h>

#include <cstdlib>
#include <sstream>
#include <stdexcept>

#include "tests/support/network.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

constexpr auto kPatience = std::chrono::seconds(60);

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

}  // namespace

std::string program_path() {
  // Set by scripts/test --target system-calls, to one that runs the daemon within the bounds of its unit.
  const char* const instead = std::getenv("TIDEGATE_TEST_PROGRAM");
  return instead == nullptr ? TIDEGATE_PROGRAM : instead;
}

GatewayProcess::GatewayProcess() : admin_port_(free_port()) {}

void GatewayProcess::configure(const std::string& body) {
  const std::string head =
      "[gateway]\nid = \"test-gateway\"\ndata_dir = \"{dir}/data\"\nruntime_dir = \"{dir}/run\"\nadmin = \"127.0.0.1:" +
      std::to_string(admin_port_) + "\"\n";
  write_file(config_file(), replaced(head + body, "{dir}", directory()));
}

void GatewayProcess::start_without_waiting(const std::map<std::string, std::string>& environment) {
  const std::string log_path = directory_ / "daemon.log";
  process_ = std::make_unique<ProcessUnderTest>(
      ProcessUnderTest::Options{{program_path(), "run", "--config", config_file()}, environment, log_path, log_path});
}

bool GatewayProcess::wait_until_ready(std::chrono::milliseconds patience) {
  const bool done =
      wait_until([this] { return !is_running() || http_get(admin_port_, "/readyz").status == 200; }, patience);
  return done && is_running();
}

void GatewayProcess::start(const std::map<std::string, std::string>& environment) {
  start_without_waiting(environment);
  if (!wait_until_ready(kPatience)) {
    throw std::runtime_error("the daemon does not become ready; " + describe_end() + ": " + log());
  }
}

void GatewayProcess::kill() {
  process_->send_signal(SIGKILL);
  if (!process_->wait_for_end(kPatience)) throw std::runtime_error("the daemon survives SIGKILL");
}

void GatewayProcess::stop() {
  process_->send_signal(SIGTERM);
  const auto end = process_->wait_for_end(kPatience);
  if (!end || end->exit_code != 0) {
    throw std::runtime_error("the daemon does not end well on SIGTERM; " + describe_end() + ": " + log());
  }
}

std::string GatewayProcess::describe_end() {
  const auto end = process_->wait_for_end(std::chrono::milliseconds(0));
  if (!end) return "it is running";
  return end->exit_code ? "exit code " + std::to_string(*end->exit_code) : "signal " + std::to_string(end->signal);
}

void GatewayProcess::reload() { process_->send_signal(SIGHUP); }

void GatewayProcess::change_to(const std::string& body) {
  configure(body);
  const auto done = command({"reload", "--config", config_file()});
  if (done.end.exit_code != 0) throw std::runtime_error("not taken over: " + done.output + done.errors + log());
}

double GatewayProcess::metric(const std::string& sample) const {
  std::istringstream lines(http_get(admin_port_, "/metrics").body);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(sample + " ")) return std::strtod(line.c_str() + sample.size(), nullptr);
  }
  return -1;
}

bool GatewayProcess::wait_for_metric(const std::string& sample, double least,
                                     std::chrono::milliseconds patience) const {
  return wait_until([&] { return metric(sample) >= least; }, patience);
}

std::string GatewayProcess::status_of(const std::string& name) const {
  const std::string status = http_get(admin_port_, "/api/v1/status").body;
  const std::size_t at = status.find("\"name\":\"" + name + "\"");
  return at == std::string::npos ? "" : status.substr(at, status.find("\"name\":", at + 1) - at);
}

FinishedProcess GatewayProcess::command(std::vector<std::string> arguments) const {
  arguments.insert(arguments.begin(), program_path());
  return run_to_end(std::move(arguments));
}

std::vector<std::string> GatewayProcess::tail(const std::string& stream, const std::string& part) const {
  return lines_with(command({"tail", "--stream", stream, "--from", "0", "--config", config_file()}).output, part);
}

std::string relay_config(std::uint16_t source_port, std::uint16_t target_port, const std::string& driver) {
  return "[[driver.mqtt]]\nname = \"local\"\nbroker = \"mqtt://127.0.0.1:" + std::to_string(source_port) + "\"\n" +
         driver +
         "  [[driver.mqtt.subscribe]]\n  topic = \"plant/{device}/{tag}\"\n  value = \"/value\"\n  time = \"/ts\"\n"
         "[[uplink.mqtt]]\nname = \"cloud\"\nbroker = \"mqtt://127.0.0.1:" +
         std::to_string(target_port) + "\"\n";
}

std::vector<std::string> lines_with(const std::string& text, const std::string& part) {
  std::vector<std::string> found;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.find(part) != std::string::npos) found.push_back(line);
  }
  return found;
}

}  // namespace tidegate::testing
