#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>

#include "core/error.h"
#include "uplink/http_header.h"

namespace tidegate::uplink {

/// Gives the secret the value that its file has now; one without a file keeps its value. Blocks on the disk for a
/// moment. Error `retry` when the file cannot be read, is empty or larger than 64 KiB.
Result<void> read_secret_again(HttpHeader& secret);

/// `text` without the secret, and without what is left of a secret of more than 16 bytes that somebody has cut behind
/// these.
void redact_secret(std::string& text, std::string_view secret);

/// Secrets as they were sent, to be taken out of what comes back. The ones of before count too: a file may be renewed
/// while an answer is on its way.
class SentSecrets {
 public:
  SentSecrets() = default;  // for a login in several forms, and those of before
  /// Keeps the newest `most`.
  explicit SentSecrets(std::size_t most) : most_(most) {}
  void add(std::string_view secret);
  /// Of a text as it came, not clipped yet: of a short secret that was cut, or one that is written otherwise, nobody
  /// finds the rest.
  std::string without(std::string text) const;

 private:
  std::size_t most_ = 12;
  std::deque<std::string> secrets_;  // newest last
};

}  // namespace tidegate::uplink
