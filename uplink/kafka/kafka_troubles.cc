#include "uplink/kafka/kafka_troubles.h"

#include <array>
#include <string_view>

#include "core/text.h"

namespace tidegate::uplink {
namespace {

constexpr std::size_t kWordsMost = 600;  // more than the library has room for, unless they are no text
constexpr std::size_t kToldMost = 400;

// What the library says beside the matter, from there to the end, and what is to be said instead.
struct Words {
  std::string_view theirs;
  const char* ours;
};
constexpr const char* kNoKafka =
    "what listens there does not answer as Kafka does: check address and port, and whether it is a port of TLS";
constexpr std::array<Words, 4> kWords{{
    {": increase receive.message.max.bytes", kNoKafka},
    {": probably due to broker version", kNoKafka},
    {"Local: Broker transport failure",
     "the connection is ended before a broker has answered: check address and port, "
     "and whether it is a port of TLS"},
    {", retry call to resume", "it is tried again; are enough brokers there for its transactions?"},
}};

std::string in_our_words(const std::string& text) {
  for (const Words& words : kWords) {
    const std::size_t at = text.find(words.theirs);
    if (at == 0) return words.ours;
    if (at != std::string::npos) return text.substr(0, at) + "; " + words.ours;
  }
  return text;
}

}  // namespace

std::string kafka_words(const char* text) { return clip(text, kWordsMost); }

std::string describe_kafka_refusal(rd_kafka_resp_err_t error, const std::string& text, const std::string& topic) {
  const std::string name = "topic " + topic;
  switch (error) {
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
      return name + " does not exist: create it, or let the brokers make topics by themselves";
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
      return name + " may not be written to: give this user the rights WRITE and DESCRIBE on it";
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
      return "the cluster does not let this user produce: give it the right IDEMPOTENT_WRITE on the cluster";
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
      return name + " takes no message of this size: raise its max.message.bytes, or set batch.max_bytes below it";
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
      return name + " has a name that the brokers do not take: set another topic";
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE:
      return name + " does not take this compression: set another one";
    default:
      return name + ": " + clip(text, kToldMost);
  }
}

bool is_refusal_of_message(rd_kafka_resp_err_t error) {
  return error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || error == RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE ||
         error == RD_KAFKA_RESP_ERR_INVALID_RECORD;
}

// The library adds how often it has said so before, and text that changes is news.
std::string describe_kafka_outage(rd_kafka_resp_err_t error, const std::string& reason) {
  const std::string text = in_our_words(clip(reason.substr(0, reason.find(" (after ")), kToldMost));
  switch (error) {
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
      return "the brokers refuse the login: " + text;
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
      return "the brokers do not let this user produce: " + text;
    case RD_KAFKA_RESP_ERR__SSL:
      return "no TLS connection: " + text;
    case RD_KAFKA_RESP_ERR__RESOLVE:
      return "a broker's name is not known: " + text;
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
      return "no broker answers: " + text;
    default:
      return text;
  }
}

bool may_be_of_login(rd_kafka_resp_err_t error) {
  switch (error) {
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
      return true;
    default:
      return false;
  }
}

}  // namespace tidegate::uplink
