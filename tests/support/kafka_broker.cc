#include "tests/support/kafka_broker.h"

#include <csignal>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "tests/support/kafka_cluster.h"
#include "tests/support/network.h"

namespace tidegate::testing {
namespace {

using std::chrono::seconds;

constexpr seconds kPatience{120};
constexpr const char* kClusterId = "4L6g3nShT-eMCtK--X86sw";  // any 16 bytes

}  // namespace

KafkaBroker::KafkaBroker(const std::string& jars) : jars_(jars), port_(free_port()), token_port_(free_port()) {
  const std::string listeners =
      "PLAINTEXT://127.0.0.1:" + std::to_string(port_) + ",TOKENS://127.0.0.1:" + std::to_string(token_port_);
  const std::string controller = "127.0.0.1:" + std::to_string(free_port());
  write_file(directory_ / "server.properties",
             "process.roles=broker,controller\nnode.id=1\nlisteners=" + listeners + ",CONTROLLER://" + controller +
                 "\nadvertised.listeners=" + listeners +
                 "\ncontroller.listener.names=CONTROLLER\n"
                 "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,TOKENS:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT\n"
                 "sasl.enabled.mechanisms=OAUTHBEARER\n"
                 "listener.name.tokens.oauthbearer.sasl.jaas.config="
                 "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required "
                 "unsecuredLoginStringClaim_sub=\"broker\";\n"
                 "listener.name.tokens.oauthbearer.connections.max.reauth.ms=3600000\n"
                 "controller.quorum.voters=1@" +
                 controller + "\nlog.dirs=" + (directory_ / "data") +
                 "\nnum.partitions=8\noffsets.topic.replication.factor=1\ntransaction.state.log.replication.factor=1\n"
                 "transaction.state.log.min.isr=1\n");
  const auto formatted =
      run_to_end(java({"kafka.tools.StorageTool", "format", "-t", kClusterId, "-c", directory_ / "server.properties"}),
                 {}, kPatience);
  if (formatted.end.exit_code != 0) throw std::runtime_error(formatted.output + formatted.errors);
}

std::vector<std::string> KafkaBroker::java(std::vector<std::string> arguments) const {
  // What it unpacks of its libraries stays where it is killed.
  std::vector<std::string> all{"/usr/bin/java", "-Xmx512m", "-Djava.io.tmpdir=" + directory_.path(), "-cp",
                               jars_ + "/*"};
  all.insert(all.end(), std::make_move_iterator(arguments.begin()), std::make_move_iterator(arguments.end()));
  return all;
}

void KafkaBroker::start() {
  process_ = std::make_unique<ProcessUnderTest>(ProcessUnderTest::Options{
      java({"kafka.Kafka", directory_ / "server.properties"}), {}, directory_ / "output", directory_ / "errors"});
  wait_for_kafka(brokers(), kPatience);
}

void KafkaBroker::stop() {
  process_->send_signal(SIGTERM);
  if (!process_->wait_for_end(kPatience)) throw std::runtime_error("the broker does not end");
}

void KafkaBroker::kill() {
  process_->send_signal(SIGKILL);
  if (!process_->wait_for_end(kPatience)) throw std::runtime_error("the broker does not end");
}

std::vector<std::string> KafkaBroker::brokers() const { return {"127.0.0.1:" + std::to_string(port_)}; }
std::vector<std::string> KafkaBroker::brokers_for_tokens() const {
  return {"127.0.0.1:" + std::to_string(token_port_)};
}

}  // namespace tidegate::testing
