#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/time.h"
#include "uplink/http_answer.h"
#include "uplink/secret_values.h"

namespace tidegate::uplink {

/// A token of OAuth 2.0 for the login at the brokers (SASL OAUTHBEARER, RFC 7628).
struct KafkaToken {
  std::string value;
  std::string subject;             // whom it is for, when it says so
  std::optional<Duration> lasts;   // from when it was given
  std::optional<WallTime> begins;  // by its own word
  std::optional<WallTime> ends;
};

/// What a token endpoint has answered (RFC 6749, 5.1 and 5.2), which says how long the token lasts. Of the answer only
/// what it calls the error is in an error's message, without what was sent.
Result<KafkaToken> kafka_token_of_answer(const HttpAnswer& answer, WallTime now, const SentSecrets& sent = {});

/// What a file holds: a JWT (RFC 7519) with the claim `exp`. Nobody verifies it here but the brokers. No error's
/// message has anything of it.
Result<KafkaToken> kafka_token_of_file(std::string text);

}  // namespace tidegate::uplink
