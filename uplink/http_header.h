#pragma once

#include <string>

namespace tidegate::uplink {

/// A header of every request, or a secret that is kept like one.
struct HttpHeader {
  std::string name;
  std::string value;        // of a secret: as it was when the configuration was read
  std::string secret_file;  // where it is read anew for each request; empty when it cannot change
  bool is_secret = false;
  bool operator==(const HttpHeader&) const = default;
};

}  // namespace tidegate::uplink
