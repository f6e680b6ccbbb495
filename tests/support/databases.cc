#include "tests/support/databases.h"

#include <csignal>
#include <cstdlib>
#include <stdexcept>

#include "tests/support/network.h"
#include "tests/support/wait_until.h"

namespace tidegate::testing {
namespace {

constexpr auto kPatience = std::chrono::seconds(60);

void wait_for_answer(ProcessUnderTest& process, std::uint16_t port, const std::string& path, const std::string& log) {
  const auto answers = [&] { return !process.is_running() || http_get(port, path).status / 100 == 2; };
  if (wait_until(answers, kPatience) && process.is_running()) return;
  throw std::runtime_error(path + " is not answered: " + read_file(log));
}

}  // namespace

InfluxDatabase::InfluxDatabase(const std::string& programs) : program_(programs + "/influxd"), port_(free_port()) {
  write_file(directory_ / "influxdb.conf",
             "reporting-disabled = true\nbind-address = \"127.0.0.1:" + std::to_string(free_port()) +
                 "\"\n[meta]\ndir = \"" + (directory_ / "meta") + "\"\n[data]\ndir = \"" + (directory_ / "data") +
                 "\"\nwal-dir = \"" + (directory_ / "wal") + "\"\n[http]\nbind-address = \"" + address() +
                 "\"\nlog-enabled = false\n[monitor]\nstore-enabled = false\n");
}

void InfluxDatabase::start() {
  const std::string log = directory_ / "log";
  process_ = std::make_unique<ProcessUnderTest>(
      ProcessUnderTest::Options{{program_, "-config", directory_ / "influxdb.conf"}, {}, log, log});
  wait_for_answer(*process_, port_, "/ping", log);
}

void InfluxDatabase::stop() {
  process_->send_signal(SIGTERM);
  if (!process_->wait_for_end(kPatience)) throw std::runtime_error("influxd does not end on SIGTERM");
}

std::string InfluxDatabase::query(const std::string& encoded) const {
  const HttpReply reply = http_get(port_, "/query?db=plant&epoch=ns&q=" + encoded, kPatience);
  if (reply.status == 200) return reply.body;
  throw std::runtime_error("InfluxDB answers " + std::to_string(reply.status) + ": " + reply.body);
}

PrometheusServer::PrometheusServer(const std::string& programs, const std::string& target)
    : program_(programs + "/prometheus"), port_(free_port()) {
  write_file(directory_ / "prometheus.yml",
             "global:\n  scrape_interval: 1s\nscrape_configs:\n  - job_name: tidegate\n    static_configs:\n      - "
             "targets: [\"" +
                 target + "\"]\n");
}

void PrometheusServer::start() {
  const std::string log = directory_ / "log";
  process_ = std::make_unique<ProcessUnderTest>(ProcessUnderTest::Options{
      {program_, "--config.file=" + (directory_ / "prometheus.yml"), "--storage.tsdb.path=" + (directory_ / "data"),
       "--web.listen-address=127.0.0.1:" + std::to_string(port_)},
      {},
      log,
      log});
  wait_for_answer(*process_, port_, "/-/ready", log);
}

// {"status":"success","data":{...,"result":[{"metric":{...},"value":[SECONDS,"VALUE"]}, ...]}}
std::vector<double> PrometheusServer::values(const std::string& encoded) const {
  const std::string body = http_get(port_, "/api/v1/query?query=" + encoded).body;
  const std::string before = "\"value\":[";
  std::vector<double> found;
  for (auto at = body.find(before); at != std::string::npos; at = body.find(before, at + 1)) {
    const auto value = body.find(",\"", at);
    if (value == std::string::npos) break;
    found.push_back(std::strtod(body.c_str() + value + 2, nullptr));
  }
  return found;
}

}  // namespace tidegate::testing
