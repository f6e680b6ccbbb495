#include "uplink/kafka/kafka_conf.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

#include "core/record.h"
#include "uplink/kafka/kafka_names.h"
#include "uplink/kafka/kafka_troubles.h"

namespace tidegate::uplink {
namespace {

// As long as nobody else sees what is in a transaction that its producer has left, nor anything behind it.
constexpr const char* kTransactionTimeout = "60000";

using Settings = std::vector<std::pair<const char*, std::string>>;

// A connection whose other end is gone without a word would be noticed after two hours when it is idle: that is what
// the probes are for. Bytes that nobody acknowledges have the time of a request, and not less: Linux counts them also
// where the peer does answer, but has no room for them, such as a broker that holds back a client with a quota.
constexpr int kDeadAfterMilliseconds = 60'000;
constexpr int kProbeAfterSeconds = 15;
constexpr int kProbeEverySeconds = 5;
constexpr int kProbesMost = 3;

int open_socket(int domain, int type, int protocol, void* /*user*/) {
  const int socket = ::socket(domain, type | SOCK_CLOEXEC, protocol);
  if (socket < 0) return socket;
  const auto set = [socket](int level, int option, int value) {
    ::setsockopt(socket, level, option, &value, sizeof(value));  // one that is refused only leaves it slower
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, kProbeAfterSeconds);
  set(IPPROTO_TCP, TCP_KEEPINTVL, kProbeEverySeconds);
  set(IPPROTO_TCP, TCP_KEEPCNT, kProbesMost);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, kDeadAfterMilliseconds);
  return socket;
}

std::string brokers_of(const KafkaUplinkOptions& options) {
  std::string brokers;
  for (const std::string& broker : options.brokers) brokers += (brokers.empty() ? "" : ",") + broker;
  return brokers;
}

void add_security(const KafkaUplinkOptions& options, Settings& settings) {
  const std::string transport = options.tls ? "ssl" : "plaintext";
  settings.emplace_back("security.protocol", options.login ? "sasl_" + transport : transport);
  if (options.tls) {
    const mqtt::TlsOptions& tls = *options.tls;
    if (!tls.ca_file.empty()) settings.emplace_back("ssl.ca.location", tls.ca_file);
    if (!tls.cert_file.empty()) settings.emplace_back("ssl.certificate.location", tls.cert_file);
    if (!tls.key_file.empty()) settings.emplace_back("ssl.key.location", tls.key_file);
    settings.emplace_back("enable.ssl.certificate.verification", tls.verify ? "true" : "false");
    settings.emplace_back("ssl.endpoint.identification.algorithm", tls.verify ? "https" : "none");
  }
  if (options.login) {
    settings.emplace_back("sasl.mechanisms", options.login->mechanism);
    if (options.login->uses_tokens()) return;  // which the client gets when it is made
    settings.emplace_back("sasl.username", options.login->username);
    settings.emplace_back("sasl.password", options.login->password);
  }
}

// All that the forwarder may have on its way has room, so that a full queue is no state of its own; and no more. A
// record is longer by itself than in its batch.
void add_bounds(const ForwarderOptions& forwarder, Settings& settings) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::int32_t>::max();
  constexpr std::uint64_t kRequestBytesMax = 1'000'000;  // Kafka takes 1,048,588 when nothing is set
  constexpr std::uint64_t kMessageBytesMax =
      32'000'000;  // one that is larger than a request goes alone; the topic decides
  constexpr std::uint64_t kLongerBy = 512;
  const std::uint64_t batches = std::uint64_t{forwarder.inflight_max} + kStreamCount;
  const std::uint64_t messages = batches * forwarder.batch_readings_max;
  const std::uint64_t bytes = batches * forwarder.batch_bytes_max + messages * kLongerBy;
  settings.emplace_back("queue.buffering.max.messages", std::to_string(std::min(messages, kMost)));
  settings.emplace_back("queue.buffering.max.kbytes", std::to_string(std::min(bytes / 1024 + 1, kMost)));
  settings.emplace_back("message.max.bytes", std::to_string(kMessageBytesMax));
  settings.emplace_back("batch.size", std::to_string(std::min(forwarder.batch_bytes_max, kRequestBytesMax)));
}

// Room for the metadata of a large cluster; who claims that an answer is longer is no broker.
constexpr const char* kAnswerBytesMax = "16000000";

Settings producer_settings(const KafkaUplinkOptions& options, const std::string& gateway) {
  Settings settings{
      {"enable.idempotence", "true"},
      // A message that is refused stops those behind it, which would otherwise overtake it.
      {"enable.gapless.guarantee", "true"},
      // The same partition for a key as the producers in Java take.
      {"partitioner", "murmur2_random"},
      {"compression.type", options.compression},
      {"receive.message.max.bytes", kAnswerBytesMax},
      {"log.queue", "true"},
  };
  if (options.exactly_once) {
    settings.emplace_back("transactional.id", kafka_transactional_id(gateway, options.forwarder.name));
    settings.emplace_back("transaction.timeout.ms", kTransactionTimeout);
    settings.emplace_back("message.timeout.ms", kTransactionTimeout);
  } else {
    // The library goes on trying: what it gives up after a time may yet be written, and would be sent again.
    settings.emplace_back("message.timeout.ms", "0");
  }
  add_bounds(options.forwarder, settings);
  return settings;
}

Settings reader_settings(const std::string& client_id, KafkaIsolation isolation) {
  const bool is_committed = isolation == KafkaIsolation::read_committed;
  return {
      {"group.id", client_id},  // which is never joined, but has to be there
      {"isolation.level", is_committed ? "read_committed" : "read_uncommitted"},
      {"socket.timeout.ms", "5000"},  // what bounds the questions that take no patience of ours
      {"enable.auto.commit", "false"},
      {"enable.auto.offset.store", "false"},
      {"enable.partition.eof", "true"},
      {"auto.offset.reset", "earliest"},
      {"queued.max.messages.kbytes", "1024"},
      {"log_level", "0"},  // what goes wrong is told by the caller
  };
}

Result<rd_kafka_conf_t*> make_conf(const KafkaLibrary& library, const KafkaUplinkOptions& options,
                                   const std::string& client_id, Settings settings) {
  settings.emplace_back("bootstrap.servers", brokers_of(options));
  settings.emplace_back("client.id", client_id);
  settings.emplace_back("log.connection.close", "false");
  add_security(options, settings);
  rd_kafka_conf_t* const conf = library.conf_new_();
  std::array<char, 512> problem{};
  for (const auto& [name, value] : settings) {
    if (library.conf_set_(conf, name, value.c_str(), problem.data(), problem.size()) == RD_KAFKA_CONF_OK) continue;
    library.conf_destroy_(conf);
    return fail(ErrorCode::invalid,
                "librdkafka does not take the setting " + std::string(name) + ": " + kafka_words(problem.data()));
  }
  library.conf_set_socket_cb_(conf, open_socket);
  return conf;
}

std::string client_id_of(const KafkaUplinkOptions& options, const std::string& gateway) {
  return "tidegate-" + gateway + "-" + options.forwarder.name;
}

}  // namespace

Result<rd_kafka_conf_t*> kafka_producer_conf(const KafkaLibrary& library, const KafkaUplinkOptions& options,
                                             const std::string& gateway) {
  auto conf = make_conf(library, options, client_id_of(options, gateway), producer_settings(options, gateway));
  if (conf) library.conf_set_events_(*conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG);
  return conf;
}

Result<rd_kafka_conf_t*> kafka_reader_conf(const KafkaLibrary& library, const KafkaUplinkOptions& options,
                                           const std::string& gateway, KafkaIsolation isolation) {
  const std::string client_id = client_id_of(options, gateway);
  return make_conf(library, options, client_id, reader_settings(client_id, isolation));
}

}  // namespace tidegate::uplink
