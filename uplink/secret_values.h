#pragma once

#include <string>
#include <string_view>

#include "core/error.h"
#include "uplink/http_header.h"

namespace tidegate::uplink {

/// Gives the secret the value that its file has now; one without a file keeps its value. Blocks on the disk for a
/// moment. Error `retry` when the file cannot be read or is empty.
Result<void> read_secret_again(HttpHeader& secret);

/// `text` without the secret.
void redact_secret(std::string& text, std::string_view secret);

}  // namespace tidegate::uplink
