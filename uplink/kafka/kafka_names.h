#pragma once

#include <string>
#include <string_view>

#include "core/error.h"
#include "core/record.h"

namespace tidegate::uplink {

/// The topic of a stream: {gateway} and {stream} are filled in. Error `invalid` when that is no topic of Kafka's, which
/// has 1 to 249 of the characters a-z A-Z 0-9 . _ - and is not "." or "..".
Result<std::string> kafka_topic(std::string_view topic_template, std::string_view gateway, Stream stream);

/// The key of a record: {tag} and {gateway} are filled in. Records of no tag, which most events are, have the gateway's
/// id in its place, so that they keep their order among themselves.
Result<std::string> kafka_key(std::string_view key_template, std::string_view gateway, std::string_view tag);

/// The topic of the cursors: {gateway} is filled in. Errors as of kafka_topic.
Result<std::string> kafka_cursor_topic(std::string_view topic_template, std::string_view gateway);

/// By which the brokers know a gateway's uplink over its restarts, and the key of its cursor.
std::string kafka_transactional_id(std::string_view gateway, std::string_view uplink);

}  // namespace tidegate::uplink
