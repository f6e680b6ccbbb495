#pragma once

#include <librdkafka/rdkafka.h>

#include <string>

namespace tidegate::uplink {

/// Why Kafka does not take the records of a topic, and what helps; `text` is the library's own word for the error.
std::string describe_kafka_refusal(rd_kafka_resp_err_t error, const std::string& text, const std::string& topic);

/// Whether it is the message that is refused, as it is, and would be whenever it comes.
bool is_refusal_of_message(rd_kafka_resp_err_t error);

/// Why there is no connection, or no producer; `text` is what the library says of it.
std::string describe_kafka_outage(rd_kafka_resp_err_t error, const std::string& text);

}  // namespace tidegate::uplink
