#pragma once

#include <librdkafka/rdkafka.h>

#include <string>

namespace tidegate::uplink {

/// What the library says: it repeats what brokers say, cut anywhere, and that may be any bytes.
std::string kafka_words(const char* text);

/// Why Kafka does not take the records of a topic, and what helps; `text` is the library's own word for the error.
std::string describe_kafka_refusal(rd_kafka_resp_err_t error, const std::string& text, const std::string& topic);

/// Whether it is the message that is refused, as it is, and would be whenever it comes.
bool is_refusal_of_message(rd_kafka_resp_err_t error);

/// Why there is no connection, or no producer; `text` is what the library says of it.
std::string describe_kafka_outage(rd_kafka_resp_err_t error, const std::string& text);

/// Whether that may come of a login without a good token: of a client that has none the library only says that nobody
/// answers.
bool may_be_of_login(rd_kafka_resp_err_t error);

}  // namespace tidegate::uplink
